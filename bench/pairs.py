"""Pairs of runs: whether this tree costs more than another commit.

The two runs of a pair do the same work within a minute, so other load on the machine affects both.
The figure is the median of the ratios of all pairs. For a tree against itself it would be 1 on an
idle machine; how far it is from 1 is the spread, which is added to the limit.
"""

from dataclasses import dataclass
from statistics import median, quantiles

from bench.measure import Run
from bench.peers import AGAIN, BEFORE, CONFAB
from bench.report import Results, markdown_table

MAX_WORSE_PERCENT = 5.0
MIN_PAIRS_FOR_QUARTILES = 3
METRICS = {
    "cost": "CPU",
    "connect_ms": "connect and join",
    "idle_kib": "memory of an idle connection",
    "p50": "p50 latency",
    "p99": "p99 latency",
}


@dataclass(frozen=True)
class Comparison:
    """The ratios of all pairs of two peers in one scenario and metric; there is at least one."""

    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def worse_percent(self) -> float:
        """How much more the first peer costs, in percent; negative if it costs less."""
        return (self.median - 1) * 100

    def __str__(self) -> str:
        if len(self.ratios) < MIN_PAIRS_FOR_QUARTILES:
            return f"{self.median:.3f}"
        lower, _, upper = quantiles(self.ratios)
        return f"{self.median:.3f} ({lower:.3f} to {upper:.3f})"


def compare(
    results: Results, peer: str, other_peer: str, scenario: str, metric: str
) -> Comparison | None:
    """Compare two peers by their pairs; None when there is no pair."""
    other_runs = {run.repeat: run for run in results.of(other_peer, scenario)}
    ratios = []
    for run in results.of(peer, scenario):
        other_run = other_runs.get(run.repeat)
        if other_run is not None and _value(other_run, metric) > 0:
            ratios.append(_value(run, metric) / _value(other_run, metric))
    return Comparison(tuple(ratios)) if ratios else None


def table_against_itself(results: Results) -> str:
    """Return the table of this tree against itself: medians with lower and upper quartiles."""
    rows = []
    for scenario in results.scenarios():
        found = [compare(results, CONFAB, AGAIN, scenario.name, metric) for metric in METRICS]
        figures = ["" if comparison is None else str(comparison) for comparison in found]
        rows.append([scenario.name, *figures])
    return markdown_table([["Scenario", *METRICS.values()], *rows])


def table_against_before(results: Results) -> str:
    """Return the table of this tree against another commit, with a verdict for each row."""
    rows = []
    for scenario in results.scenarios():
        for metric, name in METRICS.items():
            figure = compare(results, CONFAB, BEFORE, scenario.name, metric)
            control = compare(results, CONFAB, AGAIN, scenario.name, metric)
            if figure is None or control is None:
                continue
            pairs = str(len(figure.ratios))
            judged = verdict(figure, control)
            rows.append([scenario.name, name, pairs, str(figure), str(control), judged])
    columns = ["Scenario", "Metric", "Pairs", "now / before", "now / now", "Verdict"]
    return markdown_table([columns, *rows])


def verdict(figure: Comparison, control: Comparison) -> str:
    """Return whether the figure is within the limit plus the spread of the control."""
    spread = abs(control.worse_percent)
    is_within = figure.worse_percent <= MAX_WORSE_PERCENT + spread
    direction = "worse" if figure.worse_percent > 0 else "better"
    change = f"{abs(figure.worse_percent):.1f} % {direction}"
    judged = "within" if is_within else "beyond"
    return f"{change}: {judged} {MAX_WORSE_PERCENT:g} % + {spread:.1f} %"


def _value(run: Run, metric: str) -> float:
    return float(getattr(run, metric))
