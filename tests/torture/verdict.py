"""The verdict on a scenario: what the checker found, and what it measured."""

from collections import Counter
from dataclasses import dataclass, field
from math import inf

MAX_DETAILS_PER_KIND = 5


@dataclass(frozen=True)
class Delay:
    """How long a connected client waited for a stored change."""

    received_at: float
    ms: float
    client: str


@dataclass
class Verdict:
    """Violations of the delivery promise, and the measurements that limits are checked against."""

    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    delays: list[Delay] = field(default_factory=list)
    acknowledgement_times_ms: list[float] = field(default_factory=list)
    outages_ms: list[float] = field(default_factory=list)
    """How long clients were without a connection after losing it."""
    stock_outages_ms: list[float] = field(default_factory=list)
    """The same for stock clients, whose pauses between attempts are their own defaults."""
    expulsions_ms: list[float] = field(default_factory=list)
    """Until when people whom a host has removed or banned were connected or received something."""
    recovery_ms: float = 0
    """From the end of the fault until no client missed anything."""
    findings: Counter[str] = field(default_factory=Counter)
    """Violations by kind; a kind begins with the number of its invariant."""
    details: list[str] = field(default_factory=list)

    def add_finding(
        self, kind: str, detail: object, max_details: int = MAX_DETAILS_PER_KIND
    ) -> None:
        """Count a violation, and keep the details of the first ones of its kind."""
        self.findings[kind] += 1
        if self.findings[kind] <= max_details:
            self.details.append(f"{kind}: {detail}")
        if "lost" in kind:
            self.lost += 1
        if "duplicated" in kind:
            self.duplicated += 1
        if "out of order" in kind:
            self.reordered += 1

    def merge(self, other: "Verdict") -> None:
        """Add the findings and measurements of another verdict."""
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.reordered += other.reordered
        self.delays += other.delays
        self.acknowledgement_times_ms += other.acknowledgement_times_ms
        self.outages_ms += other.outages_ms
        self.stock_outages_ms += other.stock_outages_ms
        self.expulsions_ms += other.expulsions_ms
        self.recovery_ms = max(self.recovery_ms, other.recovery_ms)
        self.findings += other.findings
        self.details += other.details

    def worst_delay_ms(
        self,
        received_after: float = 0,
        received_before: float = inf,
        except_clients: frozenset[str] = frozenset(),
    ) -> float:
        """Return the longest delay of changes that were received in a period of time."""
        delays = [
            delay.ms
            for delay in self.delays
            if received_after <= delay.received_at <= received_before
            and delay.client not in except_clients
        ]
        return max(delays, default=0)

    def acknowledgement_time_ms(self, fraction: float) -> float:
        """Return the time within which this fraction of the posts was acknowledged."""
        return _percentile(self.acknowledgement_times_ms, fraction)

    def longest_outage_ms(self, fraction: float = 1.0) -> float:
        """Return the time within which this fraction of the connections was restored."""
        return _percentile(self.outages_ms, fraction)

    def longest_stock_outage_ms(self) -> float:
        """Return the time within which all stock clients had reconnected."""
        return _percentile(self.stock_outages_ms, 1.0)


def _percentile(values: list[float], fraction: float) -> float:
    """Return the value that this fraction of the values does not exceed; 0 without values."""
    if not values:
        return 0
    index = max(0, round(fraction * len(values)) - 1)
    return sorted(values)[index]
