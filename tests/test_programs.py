"""Programs that the tests start react to signals, also when the tests run in the background and ignore them."""

import os
import signal
from pathlib import Path

import pytest

from tests.servers import Program, flask_run, wait_until

# As a bit mask of the kernel. The C library keeps two signals for itself, which no program can set.
SETTABLE_SIGNALS = sum(1 << (number - 1) for number in signal.valid_signals())


def proc(pid: int, file: str) -> str:
    """What the kernel says about a process."""
    return Path(f"/proc/{pid}/{file}").read_text()


def end(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child of this process; fail when it does not end."""
    os.kill(pid, number)
    wait_until(
        lambda: proc(pid, "stat").rpartition(")")[2].split()[0] == "Z", 15, f"{number.name} ends it"
    )


def sleeping(folder: Path) -> Program:
    """A program that does nothing; it answers when it runs in place of whatever started it."""
    program = Program(
        folder, ["sleep", "60"], lambda: proc(program.processes()[0], "comm") == "sleep\n"
    )
    program.start()
    return program


@pytest.mark.servers
def test_ctrl_c_ends_a_server_that_was_started_in_the_background(
    tmp_path: Path, in_background: None
) -> None:
    with flask_run(tmp_path) as server:
        end(server.processes()[0], signal.SIGINT)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_ends_a_program_that_was_started_in_the_background(
    tmp_path: Path, in_background: None, name: str
) -> None:
    program = sleeping(tmp_path)
    try:
        end(program.processes()[0], signal.Signals[name])
    finally:
        program.kill()


def test_a_program_inherits_no_ignored_and_no_blocked_signals(
    tmp_path: Path, in_background: None
) -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    program = sleeping(tmp_path)
    try:
        status = dict(
            line.split(":\t", 1) for line in proc(program.processes()[0], "status").splitlines()
        )
        assert int(status["SigIgn"], 16) & SETTABLE_SIGNALS == 0
        assert int(status["SigBlk"], 16) & SETTABLE_SIGNALS == 0
    finally:
        program.kill()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
