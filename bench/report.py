"""The results as tables in Markdown: medians, ratios to Node, and checks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from bench.measure import Run
from bench.peers import CONFAB, OWN, PEERS, REFERENCE, TUNED, Peer
from bench.scenarios import QUICK, SCENARIOS, Scenario

CONNECT_SCENARIOS = ("W1000", "L1000", "A1000")
"""A thousand clients on one server: used for connecting and for the memory of idle connections."""

CONNECT_TARGET_RATIO = 1.0
CONNECT_TUNED_TARGET_RATIO = 1.2
IDLE_TARGET_KIB = 30.0
P99_TARGET_RATIO = 1.25
P99_TARGET_EXTRA_MS = 5.0
"""The p99 latency may be so much longer than Node's, even if the ratio is higher."""


class Results:
    """The runs of a benchmark. `peers` are those that the tables list."""

    def __init__(self, runs: Iterable[Run], peers: Iterable[Peer] = PEERS.values()) -> None:
        self.runs = list(runs)
        self.peers = list(peers)

    def of(self, peer: str, *scenarios: str) -> list[Run]:
        """Return the runs of a peer in some scenarios."""
        return [run for run in self.runs if run.peer == peer and run.scenario in scenarios]

    def median(self, peer: str, metric: str, *scenarios: str) -> float | None:
        """Return the median of a field of a peer's runs; None without runs."""
        values = [getattr(run, metric) for run in self.of(peer, *scenarios)]
        return median(values) if values else None

    def ratio(
        self, peer: str, metric: str, *scenarios: str, reference: str = REFERENCE
    ) -> float | None:
        """Return the median of a peer divided by that of Node; None when one is missing."""
        value = self.median(peer, metric, *scenarios)
        reference_value = self.median(reference, metric, *scenarios)
        if value is None or not reference_value:
            return None
        return value / reference_value

    def has_reference(self) -> bool:
        """Return whether both Confab and Node were measured."""
        return {CONFAB, REFERENCE} <= {run.peer for run in self.runs}

    def scenarios(self) -> list[Scenario]:
        """Return the scenarios that were run, in their order."""
        names = {run.scenario for run in self.runs}
        return [each for each in [*SCENARIOS.values(), QUICK] if each.name in names]


@dataclass(frozen=True)
class TargetRow:
    """A row of the table of targets. `ratio_of` returns the ratio of a peer to `reference`.

    `is_met` is None when Confab was not measured.
    """

    title: str
    target: str
    ratio_of: Callable[[str], float | None]
    is_met: bool | None
    is_slower: bool
    reference: str = "Node"


def target_rows(results: Results) -> list[TargetRow]:
    """Return the rows of the table of targets."""
    scenarios = results.scenarios()
    rows = []
    for scenario in scenarios:
        rows.append(_cost_row(results, scenario))
        if scenario.tuned_target is not None:
            rows.append(_tuned_cost_row(results, scenario, scenario.tuned_target))
    connect_scenarios = [
        name
        for name in CONNECT_SCENARIOS
        if results.of(CONFAB, name) or results.of(REFERENCE, name)
    ]
    if connect_scenarios:
        rows.append(_connect_row(results, connect_scenarios))
        rows.append(_tuned_connect_row(results, connect_scenarios))
        rows.append(_idle_row(results, connect_scenarios))
    for scenario in scenarios:
        if scenario.tuned_p99_extra_ms is None:
            rows.append(_p99_row(results, scenario))
        else:
            rows.append(_tuned_p99_row(results, scenario, scenario.tuned_p99_extra_ms))
    return rows


def _row(
    title: str,
    target: str,
    ratio_of: Callable[[str], float | None],
    max_ratio: float,
    reference: str = "Node",
) -> TargetRow:
    ratio = ratio_of(CONFAB)
    is_met = None if ratio is None else ratio <= max_ratio
    is_slower = ratio is not None and ratio > 1
    return TargetRow(title, target, ratio_of, is_met, is_slower, reference)


def _cost_row(results: Results, scenario: Scenario) -> TargetRow:
    def ratio_of(peer: str) -> float | None:
        return results.ratio(peer, "cost", scenario.name)

    title = f"{scenario.name}: {scenario.description}"
    return _row(title, f"{scenario.target:.2f}", ratio_of, scenario.target)


def _tuned_cost_row(results: Results, scenario: Scenario, target: float) -> TargetRow:
    def ratio_of(peer: str) -> float | None:
        return results.ratio(peer, "cost", scenario.name, reference=TUNED)

    title = f"{scenario.name}, with tuned Node as 1"
    return _row(title, f"{target:.2f}", ratio_of, target, "tuned Node")


def _connect_row(results: Results, scenarios: list[str]) -> TargetRow:
    def ratio_of(peer: str) -> float | None:
        return results.ratio(peer, "connect_ms", *scenarios)

    target = f"{CONNECT_TARGET_RATIO:.2f}"
    return _row("connect and join", target, ratio_of, CONNECT_TARGET_RATIO)


def _tuned_connect_row(results: Results, scenarios: list[str]) -> TargetRow:
    def ratio_of(peer: str) -> float | None:
        return results.ratio(peer, "connect_ms", *scenarios, reference=TUNED)

    title = "connect and join, with tuned Node as 1"
    target = f"{CONNECT_TUNED_TARGET_RATIO:.2f}"
    return _row(title, target, ratio_of, CONNECT_TUNED_TARGET_RATIO, "tuned Node")


def _idle_row(results: Results, scenarios: list[str]) -> TargetRow:
    def ratio_of(peer: str) -> float | None:
        return results.ratio(peer, "idle_kib", *scenarios)

    reference = results.median(REFERENCE, "idle_kib", *scenarios)
    max_ratio = IDLE_TARGET_KIB / reference if reference else 0.0
    return _row("memory of an idle connection", f"{IDLE_TARGET_KIB:g} KiB", ratio_of, max_ratio)


def _p99_row(results: Results, scenario: Scenario) -> TargetRow:
    def ratio_of(peer: str) -> float | None:
        return results.ratio(peer, "p99", scenario.name)

    reference = results.median(REFERENCE, "p99", scenario.name)
    max_ratio = max(P99_TARGET_RATIO, 1 + P99_TARGET_EXTRA_MS / reference) if reference else 0.0
    target = f"{P99_TARGET_RATIO}, or {P99_TARGET_EXTRA_MS:g} ms more"
    return _row(f"p99 latency in {scenario.name}", target, ratio_of, max_ratio)


def _tuned_p99_row(results: Results, scenario: Scenario, extra_ms: float) -> TargetRow:
    def ratio_of(peer: str) -> float | None:
        return results.ratio(peer, "p99", scenario.name, reference=TUNED)

    reference = results.median(TUNED, "p99", scenario.name)
    max_ratio = 1 + extra_ms / reference if reference else 0.0
    title = f"p99 latency in {scenario.name}, with tuned Node as 1"
    return _row(title, f"{extra_ms:g} ms more", ratio_of, max_ratio, "tuned Node")


def ratio_table(results: Results) -> str:
    """Return the table of ratios to Node, with the targets."""
    others = [peer for peer in results.peers if peer.name not in (CONFAB, REFERENCE)]
    lines = [["", "Target", "Confab", *(peer.title for peer in others)]]
    for row in target_rows(results):
        ratios = [_format_ratio(row.ratio_of(peer.name)) for peer in others]
        lines.append([row.title, row.target, _format_own_ratio(row), *ratios])
    return markdown_table(lines)


def _format_own_ratio(row: TargetRow) -> str:
    ratio = _format_ratio(row.ratio_of(CONFAB))
    return f"{ratio} (missed)" if row.is_met is False else ratio


def _format_ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def slower_list(results: Results) -> str:
    """Return the list of metrics in which Confab costs more than Node."""
    lines = [
        f"- {row.title}: {_format_ratio(row.ratio_of(CONFAB))} times {row.reference}'s."
        for row in target_rows(results)
        if row.is_slower
    ]
    return "\n".join(lines or ["- In none of these measurements."])


def checks_summary(results: Results, title: str = "Confab", peers: Iterable[str] = OWN) -> str:
    """Return a sentence on the delivery checks of some peers; by default of this tree of Confab."""
    runs = [run for run in results.runs if run.peer in peers]
    sent = sum(run.sent for run in runs)
    lost = sum(run.lost for run in runs)
    duplicated = sum(run.duplicated for run in runs)
    reordered = sum(run.reordered for run in runs)
    problems = [problem for run in runs for problem in run.problems]
    rest = ", ".join(problems) or "every message acknowledged, and as many stored as sent"
    return (
        f"{title}, in {len(runs)} runs: {sent:,} messages, {lost} deliveries lost, "
        f"{duplicated} duplicated, {reordered} out of order; {rest}."
    )


def number_table(results: Results) -> str:
    """Return the table of measured numbers."""
    has_postgres = any(run.postgres_cost for run in results.runs)
    lines = [
        [
            "Scenario",
            "Server",
            "CPU in µs (min to max)",
            "of Redis",
            *(["of PostgreSQL"] if has_postgres else []),
            "messages/s",
            "deliveries/s",
            "p50 ms",
            "p99 ms",
            "lost / duplicated / out of order",
        ]
    ]
    for scenario in results.scenarios():
        for peer in results.peers:
            runs = results.of(peer.name, scenario.name)
            if runs:
                lines.append([scenario.name, peer.title, *_number_cells(runs, has_postgres)])
    return markdown_table(lines)


def _number_cells(runs: list[Run], has_postgres: bool) -> list[str]:
    costs = [run.cost for run in runs]
    cost = _format_microseconds(median(costs))
    lowest = _format_microseconds(min(costs))
    highest = _format_microseconds(max(costs))
    redis_cost = median(run.redis_cost for run in runs)
    postgres_cost = median(run.postgres_cost for run in runs)
    lost = sum(run.lost for run in runs)
    duplicated = sum(run.duplicated for run in runs)
    reordered = sum(run.reordered for run in runs)
    return [
        f"{cost} ({lowest} to {highest})",
        _format_microseconds(redis_cost) if redis_cost else "",
        *([_format_microseconds(postgres_cost)] if has_postgres else []),
        f"{median(run.messages_per_second for run in runs):,.0f}",
        f"{median(run.deliveries_per_second for run in runs):,.0f}",
        f"{median(run.p50 for run in runs):.1f}",
        f"{median(run.p99 for run in runs):.1f}",
        f"{lost} / {duplicated} / {reordered}",
    ]


def _format_microseconds(cost: float) -> str:
    return f"{cost:.2f}" if cost < 100 else f"{cost:,.0f}"


def connection_table(results: Results) -> str:
    """Return the table of what one client costs that connects, joins and is idle."""
    scenarios = [scenario.name for scenario in results.scenarios()]
    if any(results.of(peer.name, *CONNECT_SCENARIOS) for peer in results.peers):
        scenarios = list(CONNECT_SCENARIOS)
    lines = [["Server", "connect and join, ms of CPU", "idle connection, KiB"]]
    for peer in results.peers:
        runs = results.of(peer.name, *scenarios)
        if runs:
            connect_ms = median(run.connect_ms for run in runs)
            idle_kib = median(run.idle_kib for run in runs)
            lines.append([peer.title, f"{connect_ms:.2f}", f"{idle_kib:.2f}"])
    return markdown_table(lines)


def markdown_table(lines: list[list[str]]) -> str:
    """Return a table in Markdown; the first line has the column titles."""
    titles, *rows = lines
    rule = ["-", *("-:" for _ in titles[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [titles, rule, *rows])
