"""The scenarios: who sends to whom, how many messages at once, and the target relative to Node."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """Clients in rooms that exchange messages for a while.

    `target` is the highest acceptable cost, with Node socket.io as 1. `tuned_target` is that with
    tuned Node as 1; where there is one, it is the bound, and `target` is beside it.
    `tuned_p99_extra_ms` says by how much the p99 latency may exceed tuned Node's. `outstanding`
    limits the messages that have not been delivered to everyone; each sender has at most one of
    them. With a `rate`, in messages a second, senders do not wait for deliveries. With several
    `servers` there is Redis between them. `per_message` makes the cost that of a message, not of a
    delivery.
    """

    name: str
    description: str
    target: float
    people: int = 1000
    rooms: int = 1
    senders: int = 8
    outstanding: int = 8
    rate: float = 0.0
    deflate: bool = False
    servers: int = 1
    warm_up_seconds: float = 0.5
    measured_seconds: float = 2.5
    per_message: bool = False
    tuned_target: float | None = None
    tuned_p99_extra_ms: float | None = None

    def load_options(self) -> list[str]:
        """Return the options of the load generator."""
        values = {
            "people": self.people,
            "rooms": self.rooms,
            "senders": self.senders,
            "outstanding": self.outstanding,
            "rate": self.rate,
            "warm-up": self.warm_up_seconds,
            "seconds": self.measured_seconds,
        }
        options: list[str] = []
        for name, value in values.items():
            options += [f"--{name}", str(value)]
        if self.deflate:
            options.append("--deflate")
        return options


L1000_MESSAGES_PER_SECOND = 13.0
"""What every server can do without being saturated."""

_ALL = [
    Scenario(
        "W1000", "a live room of 1,000, one message at a time", 0.80, senders=1, outstanding=1
    ),
    Scenario(
        "L1000",
        "a room of 1,000 at a fixed rate, 13 messages a second",
        0.90,
        rate=L1000_MESSAGES_PER_SECOND,
        measured_seconds=4.0,
    ),
    Scenario("A1000", "a saturated room of 1,000 with eight senders", 0.25),
    Scenario("Z1000", "the same, with clients that offer compression", 0.25, deflate=True),
    Scenario("A100", "the same in a room of 100", 0.45, people=100, tuned_target=0.50),
    Scenario("A3000", "the same in a room of 3,000", 0.25, people=3000),
    Scenario(
        "B",
        "200 rooms of 5 in which everyone sends",
        1.3,
        rooms=200,
        senders=1000,
        outstanding=64,
        per_message=True,
        tuned_target=2.0,
    ),
    Scenario(
        "BL",
        "200 rooms of 5 at everyday load, 300 messages a second in all",
        1.4,
        rooms=200,
        senders=1000,
        rate=300.0,
        warm_up_seconds=2.0,
        measured_seconds=15.0,
        per_message=True,
        tuned_target=1.6,
        tuned_p99_extra_ms=3.0,
    ),
    Scenario(
        "BQ",
        "200 quiet rooms of 5, 60 messages a second in all",
        1.5,
        rooms=200,
        senders=1000,
        rate=60.0,
        warm_up_seconds=4.0,
        measured_seconds=30.0,
        per_message=True,
        tuned_target=1.7,
    ),
    Scenario("C1000", "a room of 1,000 on two workers with Redis", 0.35, servers=2),
]
SCENARIOS = {scenario.name: scenario for scenario in _ALL}

QUICK = Scenario(
    "W50",
    "a small room that shows whether the benchmark works",
    1.0,
    people=50,
    senders=1,
    outstanding=1,
    warm_up_seconds=0.2,
    measured_seconds=1.0,
)
