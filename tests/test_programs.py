"""Programs that the tests start react to signals, even when the tests themselves ignore them."""

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.servers import Program, cpu_seconds, flask_run, wait_until

SHORT_THREADS = """
from threading import Thread
print("started", flush=True)
while True:
    Thread(target=int).start()
"""
# As a bit mask of the kernel. The C library reserves two signals that no program can set.
SETTABLE_SIGNALS = sum(1 << (number - 1) for number in signal.valid_signals())


def read_proc(pid: int, file: str) -> str:
    """Return the content of a file in /proc/<pid>."""
    return Path(f"/proc/{pid}/{file}").read_text()


def signal_mask(pid: int, field: str) -> int:
    """Return a signal mask of a process that `status` holds, such as "SigIgn"."""
    for line in read_proc(pid, "status").splitlines():
        name, _, value = line.partition(":\t")
        if name == field:
            return int(value, 16)
    raise KeyError(field)


def end(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child of this process; fail unless it ends."""
    os.kill(pid, number)

    def is_zombie() -> bool:
        return read_proc(pid, "stat").rpartition(")")[2].split()[0] == "Z"

    wait_until(is_zombie, 15, f"{number.name} ends it")


def start_sleep(folder: Path) -> Program:
    """Start `sleep`; return when it has replaced the launcher."""
    program = Program(
        folder, ["sleep", "60"], lambda: read_proc(program.processes()[0], "comm") == "sleep\n"
    )
    program.start()
    return program


@pytest.mark.servers
def test_sigint_ends_a_server_that_was_started_in_the_background(
    tmp_path: Path, in_background: None
) -> None:
    with flask_run(tmp_path) as server:
        end(server.processes()[0], signal.SIGINT)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_ends_a_program_that_was_started_in_the_background(
    tmp_path: Path, in_background: None, name: str
) -> None:
    program = start_sleep(tmp_path)
    try:
        end(program.processes()[0], signal.Signals[name])
    finally:
        program.kill()


def test_a_program_inherits_no_ignored_or_blocked_signals(
    tmp_path: Path, in_background: None
) -> None:
    mask_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    program = start_sleep(tmp_path)
    try:
        pid = program.processes()[0]
        assert signal_mask(pid, "SigIgn") & SETTABLE_SIGNALS == 0
        assert signal_mask(pid, "SigBlk") & SETTABLE_SIGNALS == 0
    finally:
        program.kill()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask_before)


def test_the_cpu_time_of_a_process_can_be_read_while_its_threads_end(tmp_path: Path) -> None:
    program = Program(
        tmp_path, [sys.executable, "-c", SHORT_THREADS], lambda: "started" in program.log()
    )
    program.start()
    try:
        pid = program.processes()[0]
        seconds = [cpu_seconds(pid) for _ in range(2000)]
    finally:
        program.kill()

    assert max(seconds) > 0
