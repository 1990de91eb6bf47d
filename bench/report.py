"""What the runs come to: medians, as tables in Markdown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from bench.measure import Run
from bench.peers import AGAIN, CONFAB, PEERS, REFERENCE, Peer
from bench.scenarios import QUICK, SCENARIOS, Scenario

CALM = (
    "W1000",
    "L1000",
    "A1000",
)  # a thousand people on one server: how they connect, and what an idle one keeps
CONNECT, IDLE_KIB = 1.25, 30.0  # bounds: of Node's cost, and in KiB
P99, P99_MORE = 1.25, 5.0  # of Node's, or so many milliseconds more
OTHERS = [each for each in PEERS.values() if each.name not in (CONFAB, REFERENCE)]


class Results:
    """The runs of a benchmark, by scenario and peer; `peers` are those that the tables of numbers list."""

    def __init__(self, runs: Iterable[Run], peers: Iterable[Peer] = PEERS.values()) -> None:
        self.runs = list(runs)
        self.peers = list(peers)

    def of(self, peer: str, *scenarios: str) -> list[Run]:
        """The runs of a peer in some scenarios."""
        return [run for run in self.runs if run.peer == peer and run.scenario in scenarios]

    def median(self, peer: str, what: str, *scenarios: str) -> float | None:
        """The median of one number of theirs; None when there were no such runs."""
        numbers = [getattr(run, what) for run in self.of(peer, *scenarios)]
        return median(numbers) if numbers else None

    def ratio(self, peer: str, what: str, *scenarios: str) -> float | None:
        """The same as a part of Node's."""
        mine, nodes = self.median(peer, what, *scenarios), self.median(REFERENCE, what, *scenarios)
        return mine / nodes if mine is not None and nodes else None

    def compared(self) -> bool:
        """Whether there is something to compare."""
        return {CONFAB, REFERENCE} <= {run.peer for run in self.runs}

    def scenarios(self) -> list[Scenario]:
        """Those that were run, in their order."""
        run = {run.scenario for run in self.runs}
        return [each for each in (*SCENARIOS.values(), QUICK) if each.name in run]


@dataclass(frozen=True)
class Row:
    """A line of the first table: what it is about, its bound, and a number for each peer, Node = 1."""

    about: str
    bound: str
    of: Callable[[str], float | None]
    kept: bool | None  # None: not measured
    slower: bool


def rows(results: Results) -> list[Row]:
    """What was promised, line by line; the live room first."""
    found = [_cost(results, scenario) for scenario in results.scenarios()]
    calm = [name for name in CALM if results.of(CONFAB, name) or results.of(REFERENCE, name)]
    if calm:
        found += [_connect(results, calm), _idle(results, calm)]
    return found + [_p99(results, scenario) for scenario in results.scenarios()]


def _row(about: str, bound: str, of: Callable[[str], float | None], at_most: float) -> Row:
    mine = of(CONFAB)
    return Row(
        about, bound, of, None if mine is None else mine <= at_most, mine is not None and mine > 1
    )


def _cost(results: Results, scenario: Scenario) -> Row:
    about = f"{scenario.name}: {scenario.says}"
    return _row(
        about,
        f"{scenario.bound:.2f}",
        lambda peer: results.ratio(peer, "cost", scenario.name),
        scenario.bound,
    )


def _connect(results: Results, calm: list[str]) -> Row:
    return _row(
        "connect and join",
        f"{CONNECT:.2f}",
        lambda peer: results.ratio(peer, "connect_ms", *calm),
        CONNECT,
    )


def _idle(results: Results, calm: list[str]) -> Row:
    nodes = results.median(REFERENCE, "idle_kib", *calm)
    at_most = IDLE_KIB / nodes if nodes else 0.0
    about, bound = "memory of an idle connection", f"{IDLE_KIB:g} KiB"
    return _row(about, bound, lambda peer: results.ratio(peer, "idle_kib", *calm), at_most)


def _p99(results: Results, scenario: Scenario) -> Row:
    nodes = results.median(REFERENCE, "p99", scenario.name)
    at_most = max(P99, 1 + P99_MORE / nodes) if nodes else 0.0
    about = f"p99 latency in {scenario.name}"
    bound = f"{P99}, or {P99_MORE:g} ms more"
    return _row(about, bound, lambda peer: results.ratio(peer, "p99", scenario.name), at_most)


def ratios(results: Results) -> str:
    """The first table: everything as a part of Node's."""
    lines = [
        [row.about, row.bound, _confabs(row), *(_part(row.of(each.name)) for each in OTHERS)]
        for row in rows(results)
    ]
    return table([["", "At most", "Confab", *(each.title for each in OTHERS)], *lines])


def _confabs(row: Row) -> str:
    part = _part(row.of(CONFAB))
    return f"{part} (missed)" if row.kept is False else part


def _part(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def slower(results: Results) -> str:
    """Where Confab costs more than Node, said in so many words."""
    found = [
        f"- {row.about}: {_part(row.of(CONFAB))} of Node's." for row in rows(results) if row.slower
    ]
    return "\n".join(found or ["- Nowhere that is measured here."])


def checks(results: Results, title: str = "Confab", names: Iterable[str] = (CONFAB, AGAIN)) -> str:
    """What became of everything that was said to some peers; without names, to this tree of Confab."""
    runs = [run for run in results.runs if run.peer in names]
    said, lost, doubled, disordered = (
        sum(getattr(run, what) for run in runs)
        for what in ("said", "lost", "doubled", "disordered")
    )
    other = [each for run in runs for each in run.wrong]
    return (
        f"{title}, in {len(runs)} runs: {said:,} messages, {lost} deliveries lost, {doubled} doubled, "
        f"{disordered} out of order; {', '.join(other) or 'every message acknowledged, and as many stored as sent'}."
    )


def numbers(results: Results) -> str:
    """The second table: what was read from the machine."""
    heads = [
        "Scenario",
        "Peer",
        "CPU in µs (least to most)",
        "Redis's",
        "messages/s",
        "deliveries/s",
        "p50 ms",
        "p99 ms",
    ]
    pairs = [(scenario.name, peer) for scenario in results.scenarios() for peer in results.peers]
    lines = [
        [name, peer.title, *_numbers(runs)]
        for name, peer in pairs
        if (runs := results.of(peer.name, name))
    ]
    return table([[*heads, "lost / doubled / out of order"], *lines])


def _numbers(runs: list[Run]) -> list[str]:
    def middle(what: str) -> float:
        return float(median(getattr(run, what) for run in runs))

    costs = [run.cost for run in runs]
    return [
        f"{_microseconds(middle('cost'))} ({_microseconds(min(costs))} to {_microseconds(max(costs))})",
        _microseconds(middle("redis_cost")) if middle("redis_cost") else "",
        f"{middle('messages_per_second'):,.0f}",
        f"{middle('deliveries_per_second'):,.0f}",
        f"{middle('p50'):.1f}",
        f"{middle('p99'):.1f}",
        " / ".join(
            str(sum(getattr(run, what) for run in runs))
            for what in ("lost", "doubled", "disordered")
        ),
    ]


def _microseconds(cost: float) -> str:
    return f"{cost:.2f}" if cost < 100 else f"{cost:,.0f}"


def people(results: Results) -> str:
    """The third table: what one person costs who only connects, joins and stays."""
    calm = (
        CALM
        if any(results.of(peer.name, *CALM) for peer in results.peers)
        else [each.name for each in results.scenarios()]
    )
    lines = [
        [
            peer.title,
            *(
                f"{median(getattr(run, what) for run in runs):.2f}"
                for what in ("connect_ms", "idle_kib")
            ),
        ]
        for peer in results.peers
        if (runs := results.of(peer.name, *calm))
    ]
    return table([["Peer", "connect and join, ms of CPU", "idle connection, KiB"], *lines])


def table(lines: list[list[str]]) -> str:
    """A table in Markdown; the first line is its head."""
    head, *rest = lines
    rule = ["-", *("-:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rest])
