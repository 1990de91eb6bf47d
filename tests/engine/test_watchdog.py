"""The watchdog: a blocked event loop is logged, with the place that blocked it."""

import subprocess
import sys

import pytest

from tests.servers import ROOT

BLOCKED = """
import logging, time
import eventlet
from chat.engine.watchdog import Watchdog

logging.basicConfig(level=logging.WARNING)
Watchdog().start()
eventlet.sleep(0.2)
{block}
eventlet.sleep(0.2)
"""


def log_of(block: str) -> str:
    """Return the log of a process that runs a statement under a watchdog."""
    program = BLOCKED.format(block=block)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return ended.stderr


@pytest.mark.servers
def test_a_blocked_event_loop_is_logged_with_its_stack() -> None:
    log = log_of("time.sleep(0.5)")

    assert "The event loop of this worker was blocked for" in log
    assert "<module>" in log


@pytest.mark.servers
def test_a_greenlet_that_sleeps_blocks_nothing() -> None:
    assert "was blocked" not in log_of("eventlet.sleep(0.5)")
