"""What the tasks of a page cost in Chromium."""

from dataclasses import dataclass
from typing import Self

from playwright.sync_api import CDPSession, Page


@dataclass(frozen=True)
class Cost:
    """What the tasks of a page have cost: CPU time in ms, which unlike the elapsed time does not
    depend on what else the machine does, and how many layouts.
    """

    total_ms: float
    script_ms: float
    layouts: int

    @classmethod
    def so_far(cls, cdp: CDPSession) -> Self:
        """Return the cost since the page was loaded. `Performance` has to be enabled."""
        metrics = {
            each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]
        }
        return cls(
            1000.0 * metrics["TaskDuration"],
            1000.0 * metrics["ScriptDuration"],
            int(metrics["LayoutCount"]),
        )

    def since(self, earlier: Self) -> Self:
        """Return the difference."""
        return type(self)(
            self.total_ms - earlier.total_ms,
            self.script_ms - earlier.script_ms,
            self.layouts - earlier.layouts,
        )


def measured(page: Page) -> CDPSession:
    """Return a session of the developer tools that measures CPU time."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    return cdp
