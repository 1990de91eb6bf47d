"""What attackers count: the statuses of HTTP responses, the codes of answers, and other things."""

from collections import Counter

from tests.clients import JSON
from tests.raw_http import status


class Counts(Counter[str]):
    """Counts by name."""

    def add_response(self, response: bytes) -> None:
        """Count the status of an HTTP response; 0 when it is none."""
        self[f"status {status(response)}"] += 1

    def add_answer(self, answer: JSON) -> None:
        """Count `ok`, or the code of a refusal."""
        self["ok" if answer["ok"] else answer["code"]] += 1

    def statuses(self) -> str:
        """Return the statuses of HTTP, such as `400, 413`."""
        return ", ".join(sorted(self._statuses()))

    def total_responses(self) -> int:
        """Return the number of HTTP responses."""
        return sum(self[f"status {each}"] for each in self._statuses())

    def codes(self) -> str:
        """Return all names but `ok`, such as `busy, rate_limited`."""
        return ", ".join(sorted(name for name in self if name != "ok"))

    def _statuses(self) -> set[str]:
        prefix = "status "
        return {name.removeprefix(prefix) for name in self if name.startswith(prefix)}
