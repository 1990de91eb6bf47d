"""The faults: what is done to a Confab while people talk, and the numbers that hold all the same."""

import os
import signal
import sqlite3
import time
from collections.abc import Collection
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import redis as redis_client
from sqlalchemy import Engine, text

from tests.servers import wait_until
from tests.torture.history import now
from tests.torture.stage import CALM_MS, LATE_MS, Fault, Nemesis, Scenario, connections_of

BOTH = ("SQLite", "PostgreSQL")


def a_worker_is_killed(scenario: Scenario) -> Nemesis:
    """F1."""
    for _ in range(2 if scenario.fault.brief else 5):
        scenario.pause(3)
        before = set(scenario.workers())
        os.kill(scenario.rng.choice(sorted(before)), signal.SIGKILL)
        killed = time.monotonic()
        scenario.healed()
        _until_there_are_others(scenario, before)
        scenario.at_most("until the new worker, ms", (time.monotonic() - killed) * 1000, 5_000)
    scenario.pause(3)
    verdict = yield
    scenario.at_most("19 of 20 back, ms", verdict.longest_away(0.95), 2_000)
    scenario.at_most("all back, ms", verdict.longest_away(), 5_000)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def the_master_is_killed(scenario: Scenario) -> Nemesis:
    """F2."""
    scenario.pause(3)
    orphans = scenario.workers()
    master = scenario.server.processes()[0]
    os.kill(master, signal.SIGKILL)
    killed = time.monotonic()
    _until_they_have_ended(orphans)
    scenario.at_most("until no worker is left, ms", (time.monotonic() - killed) * 1000, 5_000)
    scenario.server.kill()  # nothing is left of it; this only takes note
    scenario.server.start()
    scenario.healed()
    scenario.pause(3)
    verdict = yield
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def _until_there_are_others(scenario: Scenario, known: set[int]) -> None:
    wait_until(lambda: set(scenario.workers()) - known, 10, "there is a new worker")


def _until_they_have_ended(pids: Collection[int]) -> None:
    wait_until(lambda: not any(map(_lives, pids)), 15, "the workers have ended")


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def the_workers_are_replaced(scenario: Scenario) -> Nemesis:
    """F3."""
    for how in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        scenario.pause(3)
        before = set(scenario.workers())
        master = scenario.server.processes()[0]
        leaving = before if how is signal.SIGHUP else {scenario.rng.choice(sorted(before))}
        os.kill(master if how is signal.SIGHUP else min(leaving), how)
        asked = time.monotonic()
        scenario.healed()
        _until_they_have_ended(leaving)
        scenario.at_most("until drained, ms", (time.monotonic() - asked) * 1000, 4_000)
        wait_until(lambda: len(scenario.workers()) == 2, 5, "two workers again")
    scenario.pause(2)
    verdict = yield
    scenario.at_most("all back, ms", verdict.longest_away(), 5_000)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def the_only_worker_is_replaced(scenario: Scenario) -> Nemesis:
    """F27: while some clients have upgraded to WebSocket, and the others can only poll."""
    for _ in range(2):
        scenario.pause(3)
        before = set(scenario.workers())
        os.kill(scenario.server.processes()[0], signal.SIGHUP)
        asked = time.monotonic()
        scenario.healed()
        _until_they_have_ended(before)
        scenario.at_most("until drained, ms", (time.monotonic() - asked) * 1000, 4_000)
    scenario.pause(3)
    verdict = yield
    scenario.at_most("all back, ms", verdict.longest_away(), 5_000)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def upgrades_are_slow(scenario: Scenario) -> Nemesis:
    """F26: clients poll at the start of a round of Engine.IO's service task, and reach WebSocket during the round.

    The service task looks at the sessions of a worker in rounds of one ping timeout, 15 s. The first round begins one
    timeout after the first connection.
    """
    first = min(line["at"] for line in scenario.history.lines() if line["what"] == "up")
    _sleep_until(first + 12_500)
    scenario.line.hold_upgrades()
    scenario.line.cut()  # python-socketio gives up an upgrade after 5 s, so these sessions must be young
    _sleep_until(first + 16_500)
    scenario.line.release_upgrades()
    scenario.healed()
    _sleep_until(first + 33_000)  # after the end of the round
    verdict = yield
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - now()) / 1000)


def redis_dies(scenario: Scenario) -> Nemesis:
    """F4."""
    for seconds in (2, 20, 90) if scenario.full else (2, 12):
        scenario.pause(2)
        scenario.queue.kill()
        time.sleep(seconds)
        scenario.queue.start()
        back = scenario.healed()
        scenario.pause(4)
        scenario.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(scenario)


def redis_stands_still(scenario: Scenario) -> Nemesis:
    """F5."""
    for seconds in (3, 12, 60) if scenario.full else (3, 12):
        scenario.pause(2)
        scenario.queue.pause()
        time.sleep(seconds)
        scenario.queue.go_on()
        back = scenario.healed()
        scenario.pause(4)
        scenario.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(scenario)


def _redis_was_away(scenario: Scenario) -> Nemesis:
    verdict = yield
    scenario.at_most("99 of 100 answers, ms", verdict.answered_within(0.99), 300)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)
    calm = [line for line in scenario.history.lines() if line["what"] == "calm"]
    late = max((verdict.worst(line["since"], line["at"]) for line in calm), default=0)
    scenario.at_most("late a second after Redis is back, ms", late, CALM_MS)
    scenario.at_most(
        "without a connection, ms", max(verdict.longest_away(), verdict.longest_stock_away()), 0
    )


def answers_are_lost(scenario: Scenario) -> Nemesis:
    """F19."""
    for _ in range(200 if scenario.full else 60):
        scenario.forgetful.left = 1
        wait_until(lambda: scenario.forgetful.left == 0, 20, "somebody is about to be told")
    scenario.healed()
    scenario.pause(2)
    verdict = yield
    scenario.at_most("all back, ms", verdict.longest_away(), 5_000)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def redis_forgets_us(scenario: Scenario) -> Nemesis:
    """F6: it hangs up on all who listen, forgets everything, and then wants a password that new workers do not know."""
    for _ in range(5):
        scenario.pause(2)
        scenario.queue.ask("CLIENT", "KILL", "TYPE", "pubsub")
    scenario.queue.ask("FLUSHALL")
    scenario.queue.ask("CONFIG", "SET", "requirepass", "secret")
    before = scenario.workers()
    os.kill(scenario.server.processes()[0], signal.SIGHUP)
    _until_they_have_ended(before)
    scenario.pause(4)
    with redis_client.Redis(port=scenario.queue.port, password="secret") as client:
        client.config_set("requirepass", "")
    scenario.healed()
    scenario.pause(3)
    verdict = yield
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)
    scenario.at_most("all back, ms", verdict.longest_away(), 5_000)


def redis_is_out_of_reach(scenario: Scenario) -> Nemesis:
    """F7: it takes connections, and never answers."""
    scenario.pause(2)
    scenario.queue_line.fall_silent(new_too=True)
    scenario.pause(30 if scenario.full else 12)
    scenario.queue_line.recover()
    back = scenario.healed()
    scenario.pause(4)
    scenario.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(scenario)


def redis_repeats_itself(scenario: Scenario) -> Nemesis:
    """F20."""
    scenario.muddled.at_work = True
    scenario.pause(30 if scenario.full else 12)
    scenario.muddled.at_work = False
    scenario.healed()
    scenario.pause(3)
    verdict = yield
    scenario.at_least("repeated or swapped", scenario.muddled.muddles, 50)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def sqlite_is_locked(scenario: Scenario) -> Nemesis:
    """F8."""
    file = Path(scenario.server.environment["INSTANCE"]) / "confab.db"
    for seconds in (3, 10):
        scenario.pause(2)
        with closing(sqlite3.connect(file, isolation_level=None, timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")
        scenario.healed()
        scenario.pause(5)
    verdict = yield
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)
    scenario.at_most("everybody on a worker waited, ms", scenario.hub_gap(), 250)
    scenario.at_most("an answer, ms", verdict.answered_within(1.0), 20_000)


def postgres_is_away(scenario: Scenario) -> Nemesis:
    """F9: its processes stand still, then are ended, then all of it is killed and started again."""
    everybody = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    scenario.pause(2)
    pids = scenario.postgres_server.processes()[1:]
    for how in (signal.SIGSTOP, signal.SIGCONT):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        time.sleep(5 if how is signal.SIGSTOP else 2)
    scenario.postgres_server.run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {everybody}"
    )
    scenario.pause(4)
    scenario.postgres_server.kill()
    time.sleep(2)
    scenario.postgres_server.start()
    scenario.healed()
    scenario.pause(8)
    verdict = yield
    scenario.at_most("until whole, ms", verdict.whole_ms, 10_000)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)
    scenario.at_most("everybody on a worker waited, ms", scenario.hub_gap(), 250)


def the_disk_is_full(scenario: Scenario) -> Nemesis:
    """F10."""
    scenario.pause(3)
    filler = Path(scenario.server.environment["INSTANCE"]).parent / "filler"
    with filler.open("wb", buffering=0) as file:
        while os.statvfs(filler).f_bavail:
            file.write(b"x" * 4096)
    scenario.pause(4 if scenario.fault.brief else 10)
    filler.unlink()
    scenario.healed()
    scenario.pause(6)
    verdict = yield
    refusals = scenario.server.log().count("The database did not do it")
    scenario.at_least("refused for want of space", refusals, 1)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)
    scenario.at_most("until whole, ms", verdict.whole_ms, 10_000)


def everybody_is_cut_off(scenario: Scenario) -> Nemesis:
    """F14: three storms; while all come back, the others fall silent, so that no next message shows what is missing."""
    big = scenario.fault.people > 100
    for _ in range(2 if scenario.fault.brief else 3):
        scenario.pause(3)
        scenario.line.cut()
        time.sleep(0.6)
        scenario.say("hush")
        scenario.healed()
        time.sleep(8 if big else 4)
        scenario.say("talk")
    verdict = yield
    scenario.at_most("all back, ms", verdict.longest_away(), 10_000 if big else 5_000)
    scenario.at_most("until whole, ms", verdict.whole_ms, 15_000)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS if big else CALM_MS)
    scenario.at_most("everybody on a worker waited, ms", scenario.hub_gap(), 500)


def lines_fall_silent(scenario: Scenario) -> Nemesis:
    """F17: half of the people are gone, and nobody tells them or the server."""
    scenario.pause(3)
    scenario.line.fall_silent()
    silent = scenario.history.mark("silent")
    time.sleep(42)
    scenario.line.recover()
    scenario.healed()
    scenario.pause(3)
    verdict = yield
    gone = {f"kitchen {number}" for number in range(1, scenario.fault.people, 2)}
    gone |= {
        f"kitchen {kind} {number}"
        for kind in ("node", "python")
        for number in range(1, scenario.fault.stock, 2)
    }
    downs = {
        line["who"]: line["at"] - silent
        for line in scenario.history.lines()
        if line["what"] == "down"
    }
    scenario.at_most(
        "until it is noticed, ms", max((downs.get(who, 1e9) for who in gone), default=0), 40_000
    )
    others = verdict.worst(but=frozenset({*gone, "kitchen-next-door 1"}))
    scenario.at_most("late for the others, ms", others, LATE_MS)


def a_clock_is_set(scenario: Scenario) -> Nemesis:
    """F22: by an hour, forwards and backwards, on one of two hosts."""
    for seconds in (3600, -3600, 0):
        scenario.pause(3)
        (scenario.folder / "clock").write_text(str(seconds))
        scenario.pause(4)
    scenario.healed()
    scenario.pause(3)
    verdict = yield
    hours = {
        line["row"]["since"][:13] for line in scenario.history.lines() if line["what"] == "seen"
    }
    scenario.at_least("hours on the clocks", len(hours), 3)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)
    scenario.at_most("all back, ms", verdict.longest_away(), 5_000)


def a_worker_stands_still(scenario: Scenario) -> Nemesis:
    """F23."""
    served = 0
    for seconds in (10, 90) if scenario.full else (10,):
        scenario.pause(3)
        pid = scenario.rng.choice(scenario.workers())
        served += connections_of(pid, scenario.server.port)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # gunicorn has killed it meanwhile
            os.kill(pid, signal.SIGCONT)
        scenario.healed()
        scenario.pause(5)
    verdict = yield
    waited = {who for _, late, who in verdict.late if late > LATE_MS}
    scenario.at_most("people who waited, of those it served", len(waited), served)
    scenario.at_most("late, ms", verdict.worst(), 60_000)


def a_backup_is_restored(scenario: Scenario) -> Nemesis:
    """F24: while people look on, the room is again what it was some seconds ago."""
    scenario.pause(5)
    with scenario.server.database() as engine:
        head, rows = _room_as_it_is(engine)
        scenario.pause(4)
        scenario.say("hush")
        time.sleep(2)
        _restore(engine, head, rows)
    scenario.history.mark("restored")
    scenario.healed()
    scenario.say("talk")
    scenario.pause(6)
    verdict = yield
    scenario.at_most("until whole, ms", verdict.whole_ms, LATE_MS)
    scenario.at_most("late, ms", verdict.worst(), LATE_MS)


def _room_as_it_is(engine: Engine) -> tuple[int, list[dict[str, Any]]]:
    query = text(
        "SELECT messages.*, head FROM messages JOIN rooms ON rooms.id = room_id WHERE label = 'kitchen'"
    )
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return max(row.pop("head") for row in rows), rows


def _restore(engine: Engine, head: int, rows: list[dict[str, Any]]) -> None:
    columns, values = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM messages WHERE room_id = :room_id"), rows[0])
        connection.execute(text(f"INSERT INTO messages ({columns}) VALUES ({values})"), rows)
        changed = text("UPDATE rooms SET head = :head, epoch = 'restored' WHERE id = :room_id")
        connection.execute(changed, {**rows[0], "head": head})


BAD_LINE, ONLY_BAD_LINE, BAD_QUEUE = (
    frozenset({"bad line"}),
    frozenset({"only bad line"}),
    frozenset({"bad queue"}),
)
TWO_HOSTS = frozenset({"two hosts"})
SLOW_UPGRADES, POLLING_LINE = (
    frozenset({"one worker", "only bad line"}),
    frozenset({"one worker", "polling line"}),
)
FAULTS = (
    Fault("F1", "a worker is killed", a_worker_is_killed, BOTH, people=40, talkers=10),
    Fault("F2", "the master is killed, and all is started again", the_master_is_killed),
    Fault(
        "F3",
        "all workers are replaced, or one is asked to end",
        the_workers_are_replaced,
        people=20,
    ),
    Fault("F4", "Redis is killed", redis_dies, BOTH),
    Fault("F5", "Redis stands still", redis_stands_still),
    Fault("F6", "Redis hangs up, forgets, and wants a password", redis_forgets_us),
    Fault("F7", "Redis is out of reach", redis_is_out_of_reach, needs=BAD_QUEUE),
    Fault("F8", "SQLite is locked by another program", sqlite_is_locked, exact_clock=False),
    Fault(
        "F9",
        "PostgreSQL stands still, hangs up, dies",
        postgres_is_away,
        ("PostgreSQL",),
        exact_clock=False,
    ),
    Fault("F10", "the disk is full", the_disk_is_full, needs=frozenset({"small disk"})),
    Fault(
        "F14",
        "five hundred are cut off at once",
        everybody_is_cut_off,
        people=500,
        rate=2,
        needs=ONLY_BAD_LINE,
    ),
    Fault(
        "F17",
        "lines fall silent",
        lines_fall_silent,
        BOTH,
        people=40,
        needs=BAD_LINE,
        let_go_seconds=45,
    ),
    Fault("F19", "answers are lost", answers_are_lost, BOTH, people=12, talkers=12, needs=BAD_LINE),
    Fault("F20", "Redis repeats itself, out of order", redis_repeats_itself, needs=BAD_QUEUE),
    Fault(
        "F22",
        "a clock is set",
        a_clock_is_set,
        needs=frozenset({"another clock"}),
        exact_clock=False,
    ),
    Fault("F23", "a worker stands still", a_worker_stands_still, people=20),
    Fault("F24", "a backup is restored", a_backup_is_restored),
    Fault("F26", "upgrades to WebSocket are slow", upgrades_are_slow, stock=6, needs=SLOW_UPGRADES),
    Fault(
        "F27",
        "the only worker is replaced",
        the_only_worker_is_replaced,
        stock=4,
        needs=POLLING_LINE,
    ),
)
