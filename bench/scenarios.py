"""What is measured: who speaks to whom, how many at once, and how much of Node's cost is allowed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """People in rooms who talk for a while. `bound` is the most that it may cost, Node socket.io = 1."""

    name: str
    says: str
    bound: float
    people: int = 1000
    rooms: int = 1
    senders: int = 8
    outstanding: int = (
        8  # at most so many messages wait to be heard; each sender has at most one of them
    )
    rate: float = (
        0.0  # messages a second, whatever becomes of them; 0: the next when one was heard by all
    )
    deflate: bool = False
    servers: int = 1  # more than one: with Redis between them
    warm_up: float = 0.5
    seconds: float = 2.5
    per_message: bool = False  # the cost is that of a message, not of a delivery

    def words(self) -> list[str]:
        """The options of the load generator."""
        numbers = {
            "people": self.people,
            "rooms": self.rooms,
            "senders": self.senders,
            "outstanding": self.outstanding,
            "rate": self.rate,
            "warm-up": self.warm_up,
            "seconds": self.seconds,
        }
        options = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
        return [*options, "--deflate"] if self.deflate else options


DELIVERIES = 13_000  # a second in L1000: what every peer can do without hurry

SCENARIOS = {
    each.name: each
    for each in (
        Scenario(
            "W1000", "a live room of 1,000, one message at a time", 0.80, senders=1, outstanding=1
        ),
        Scenario(
            "L1000",
            "a room of 1,000 at a fixed pace, 13 messages a second",
            0.90,
            rate=DELIVERIES / 1000,
            seconds=4.0,
        ),
        Scenario("A1000", "a room of 1,000, eight people talk as fast as they can", 0.25),
        Scenario(
            "Z1000",
            "the same, and the clients offer compression as browsers do",
            0.25,
            deflate=True,
        ),
        Scenario("A100", "the same in a room of 100", 0.40, people=100),
        Scenario("A3000", "the same in a room of 3,000", 0.25, people=3000),
        Scenario(
            "B",
            "200 rooms of 5, everybody talks",
            1.0,
            rooms=200,
            senders=1000,
            outstanding=64,
            per_message=True,
        ),
        Scenario(
            "C1000", "a room of 1,000 on two workers, with Redis between them", 0.35, servers=2
        ),
    )
}

QUICK = Scenario(
    "W50",
    "a small room, to see that the benchmark works",
    1.0,
    50,
    1,
    1,
    1,
    warm_up=0.2,
    seconds=1.0,
)
