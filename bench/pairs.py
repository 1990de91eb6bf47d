"""Pairs of runs: whether this tree costs more than another commit, judged beside the same figure for this tree itself.

The two runs of a pair do the same work within a minute, so what else the machine does affects both of them.
The figure is the median of the ratios of all pairs. For a tree against itself it would be 1 on a quiet machine:
how far it is from 1 is the spread, by which the other figure may be beyond its bound.
"""

from dataclasses import dataclass
from statistics import median, quantiles

from bench.measure import Run
from bench.peers import AGAIN, BEFORE, CONFAB
from bench.report import Results, table

MAX_WORSE_PERCENT = 5.0
METRICS = {
    "cost": "CPU",
    "connect_ms": "connect and join",
    "idle_kib": "memory of an idle connection",
}


@dataclass(frozen=True)
class Comparison:
    """The ratios of the pairs of two peers, in one scenario and one metric; there is at least one."""

    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure that is judged."""
        return median(self.ratios)

    @property
    def worse_percent(self) -> float:
        """By how much the first of the two costs more; negative when it costs less."""
        return (self.median - 1) * 100

    def __str__(self) -> str:
        if len(self.ratios) < 3:
            return f"{self.median:.3f}"
        lower, _, upper = quantiles(self.ratios)
        return f"{self.median:.3f} ({lower:.3f} to {upper:.3f})"


def compare(
    results: Results, peer: str, other: str, scenario: str, metric: str
) -> Comparison | None:
    """Compare two peers by their pairs; None when there is no pair."""
    others = {run.repeat: run for run in results.of(other, scenario)}
    pairs = [
        (run, others[run.repeat]) for run in results.of(peer, scenario) if run.repeat in others
    ]
    ratios = tuple(
        _value(run, metric) / _value(beside, metric)
        for run, beside in pairs
        if _value(beside, metric) > 0
    )
    return Comparison(ratios) if ratios else None


def against_itself(results: Results) -> str:
    """The table of this tree against itself: the median of the pairs, and their lower and upper quartile."""
    lines = [
        [
            scenario.name,
            *(
                str(compare(results, CONFAB, AGAIN, scenario.name, metric) or "")
                for metric in METRICS
            ),
        ]
        for scenario in results.scenarios()
    ]
    return table([["Scenario", *METRICS.values()], *lines])


def against_before(results: Results) -> str:
    """The table of this tree against another commit, with a verdict for each scenario and metric."""
    lines = [
        [
            scenario.name,
            name,
            str(len(figure.ratios)),
            str(figure),
            str(control),
            verdict(figure, control),
        ]
        for scenario in results.scenarios()
        for metric, name in METRICS.items()
        if (figure := compare(results, CONFAB, BEFORE, scenario.name, metric))
        and (control := compare(results, CONFAB, AGAIN, scenario.name, metric))
    ]
    return table([["Scenario", "What", "Pairs", "now / before", "now / now", "Verdict"], *lines])


def verdict(figure: Comparison, control: Comparison) -> str:
    """Whether the figure is within its bound, which is wider by the spread of the control."""
    spread = abs(control.worse_percent)
    kept = figure.worse_percent <= MAX_WORSE_PERCENT + spread
    change = (
        f"{abs(figure.worse_percent):.1f} % {'worse' if figure.worse_percent > 0 else 'better'}"
    )
    return f"{change}: {'within' if kept else 'beyond'} {MAX_WORSE_PERCENT:g} % + {spread:.1f} %"


def _value(run: Run, metric: str) -> float:
    return float(getattr(run, metric))
