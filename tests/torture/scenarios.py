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

from tests.servers import until
from tests.torture.history import now
from tests.torture.stage import CALM_MS, LATE_MS, Evening, Fault, Nemesis, connections_of

BOTH = ("SQLite", "PostgreSQL")


def a_worker_is_killed(evening: Evening) -> Nemesis:
    """F1."""
    for _ in range(2 if evening.fault.brief else 5):
        evening.pause(3)
        before = set(evening.workers())
        os.kill(evening.dice.choice(sorted(before)), signal.SIGKILL)
        killed = time.monotonic()
        evening.healed()
        _until_there_are_others(evening, before)
        evening.at_most("until the new worker, ms", (time.monotonic() - killed) * 1000, 5_000)
    evening.pause(3)
    verdict = yield
    evening.at_most("19 of 20 back, ms", verdict.longest_away(0.95), 2_000)
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def the_master_is_killed(evening: Evening) -> Nemesis:
    """F2."""
    evening.pause(3)
    orphans = evening.workers()
    master = evening.server.processes()[0]
    os.kill(master, signal.SIGKILL)
    killed = time.monotonic()
    _until_they_have_ended(orphans)
    evening.at_most("until no worker is left, ms", (time.monotonic() - killed) * 1000, 5_000)
    evening.server.kill()  # nothing is left of it; this only takes note
    evening.server.start()
    evening.healed()
    evening.pause(3)
    verdict = yield
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def _until_there_are_others(evening: Evening, known: set[int]) -> None:
    until(lambda: set(evening.workers()) - known, 10, "there is a new worker")


def _until_they_have_ended(pids: Collection[int]) -> None:
    until(lambda: not any(map(_lives, pids)), 15, "the workers have ended")


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def the_workers_are_replaced(evening: Evening) -> Nemesis:
    """F3."""
    for how in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        evening.pause(3)
        before = set(evening.workers())
        master = evening.server.processes()[0]
        leaving = before if how is signal.SIGHUP else {evening.dice.choice(sorted(before))}
        os.kill(master if how is signal.SIGHUP else min(leaving), how)
        asked = time.monotonic()
        evening.healed()
        _until_they_have_ended(leaving)
        evening.at_most("until drained, ms", (time.monotonic() - asked) * 1000, 4_000)
        until(lambda: len(evening.workers()) == 2, 5, "two workers again")
    evening.pause(2)
    verdict = yield
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def the_only_worker_is_replaced(evening: Evening) -> Nemesis:
    """F27: while some clients have upgraded to WebSocket, and the others can only poll."""
    for _ in range(2):
        evening.pause(3)
        before = set(evening.workers())
        os.kill(evening.server.processes()[0], signal.SIGHUP)
        asked = time.monotonic()
        evening.healed()
        _until_they_have_ended(before)
        evening.at_most("until drained, ms", (time.monotonic() - asked) * 1000, 4_000)
    evening.pause(3)
    verdict = yield
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def upgrades_are_slow(evening: Evening) -> Nemesis:
    """F26: clients poll at the start of a round of Engine.IO's service task, and reach WebSocket during the round.

    The service task looks at the sessions of a worker in rounds of one ping timeout, 15 s. The first round begins one
    timeout after the first connection.
    """
    first = min(line["at"] for line in evening.history.lines() if line["what"] == "up")
    _sleep_until(first + 12_500)
    evening.line.hold_upgrades()
    evening.line.cut()  # python-socketio gives up an upgrade after 5 s, so these sessions must be young
    _sleep_until(first + 16_500)
    evening.line.release_upgrades()
    evening.healed()
    _sleep_until(first + 33_000)  # after the end of the round
    verdict = yield
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - now()) / 1000)


def redis_dies(evening: Evening) -> Nemesis:
    """F4."""
    for seconds in (2, 20, 90) if evening.full else (2, 12):
        evening.pause(2)
        evening.queue.kill()
        time.sleep(seconds)
        evening.queue.start()
        back = evening.healed()
        evening.pause(4)
        evening.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(evening)


def redis_stands_still(evening: Evening) -> Nemesis:
    """F5."""
    for seconds in (3, 12, 60) if evening.full else (3, 12):
        evening.pause(2)
        evening.queue.pause()
        time.sleep(seconds)
        evening.queue.go_on()
        back = evening.healed()
        evening.pause(4)
        evening.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(evening)


def _redis_was_away(evening: Evening) -> Nemesis:
    verdict = yield
    evening.at_most("99 of 100 answers, ms", verdict.answered_within(0.99), 300)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)
    calm = [line for line in evening.history.lines() if line["what"] == "calm"]
    late = max((verdict.worst(line["since"], line["at"]) for line in calm), default=0)
    evening.at_most("late a second after Redis is back, ms", late, CALM_MS)
    evening.at_most(
        "without a connection, ms", max(verdict.longest_away(), verdict.longest_stock_away()), 0
    )


def answers_are_lost(evening: Evening) -> Nemesis:
    """F19."""
    for _ in range(200 if evening.full else 60):
        evening.forgetful.left = 1
        until(lambda: evening.forgetful.left == 0, 20, "somebody is about to be told")
    evening.healed()
    evening.pause(2)
    verdict = yield
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def redis_forgets_us(evening: Evening) -> Nemesis:
    """F6: it hangs up on all who listen, forgets everything, and then wants a password that new workers do not know."""
    for _ in range(5):
        evening.pause(2)
        evening.queue.ask("CLIENT", "KILL", "TYPE", "pubsub")
    evening.queue.ask("FLUSHALL")
    evening.queue.ask("CONFIG", "SET", "requirepass", "secret")
    before = evening.workers()
    os.kill(evening.server.processes()[0], signal.SIGHUP)
    _until_they_have_ended(before)
    evening.pause(4)
    with redis_client.Redis(port=evening.queue.port, password="secret") as client:
        client.config_set("requirepass", "")
    evening.healed()
    evening.pause(3)
    verdict = yield
    evening.at_most("late, ms", verdict.worst(), LATE_MS)
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)


def redis_is_out_of_reach(evening: Evening) -> Nemesis:
    """F7: it takes connections, and never answers."""
    evening.pause(2)
    evening.queue_line.fall_silent(new_too=True)
    evening.pause(30 if evening.full else 12)
    evening.queue_line.recover()
    back = evening.healed()
    evening.pause(4)
    evening.history.mark("calm", since=back + 1_000)
    yield from _redis_was_away(evening)


def redis_repeats_itself(evening: Evening) -> Nemesis:
    """F20."""
    evening.muddled.at_work = True
    evening.pause(30 if evening.full else 12)
    evening.muddled.at_work = False
    evening.healed()
    evening.pause(3)
    verdict = yield
    evening.at_least("repeated or swapped", evening.muddled.muddles, 50)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


def sqlite_is_locked(evening: Evening) -> Nemesis:
    """F8."""
    file = Path(evening.server.environment["INSTANCE"]) / "confab.db"
    for seconds in (3, 10):
        evening.pause(2)
        with closing(sqlite3.connect(file, isolation_level=None, timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")
        evening.healed()
        evening.pause(5)
    verdict = yield
    evening.at_most("late, ms", verdict.worst(), LATE_MS)
    evening.at_most("everybody on a worker waited, ms", evening.hub_gap(), 250)
    evening.at_most("an answer, ms", verdict.answered_within(1.0), 20_000)


def postgres_is_away(evening: Evening) -> Nemesis:
    """F9: its processes stand still, then are ended, then all of it is killed and started again."""
    everybody = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    evening.pause(2)
    pids = evening.elephant.processes()[1:]
    for how in (signal.SIGSTOP, signal.SIGCONT):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        time.sleep(5 if how is signal.SIGSTOP else 2)
    evening.elephant.run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {everybody}"
    )
    evening.pause(4)
    evening.elephant.kill()
    time.sleep(2)
    evening.elephant.start()
    evening.healed()
    evening.pause(8)
    verdict = yield
    evening.at_most("until whole, ms", verdict.whole_ms, 10_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)
    evening.at_most("everybody on a worker waited, ms", evening.hub_gap(), 250)


def the_disk_is_full(evening: Evening) -> Nemesis:
    """F10."""
    evening.pause(3)
    filler = Path(evening.server.environment["INSTANCE"]).parent / "filler"
    with filler.open("wb", buffering=0) as file:
        while os.statvfs(filler).f_bavail:
            file.write(b"x" * 4096)
    evening.pause(4 if evening.fault.brief else 10)
    filler.unlink()
    evening.healed()
    evening.pause(6)
    verdict = yield
    refusals = evening.server.log().count("The database did not do it")
    evening.at_least("refused for want of space", refusals, 1)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)
    evening.at_most("until whole, ms", verdict.whole_ms, 10_000)


def everybody_is_cut_off(evening: Evening) -> Nemesis:
    """F14: three storms; while all come back, the others fall silent, so that no next message shows what is missing."""
    big = evening.fault.people > 100
    for _ in range(2 if evening.fault.brief else 3):
        evening.pause(3)
        evening.line.cut()
        time.sleep(0.6)
        evening.say("hush")
        evening.healed()
        time.sleep(8 if big else 4)
        evening.say("talk")
    verdict = yield
    evening.at_most("all back, ms", verdict.longest_away(), 10_000 if big else 5_000)
    evening.at_most("until whole, ms", verdict.whole_ms, 15_000)
    evening.at_most("late, ms", verdict.worst(), LATE_MS if big else CALM_MS)
    evening.at_most("everybody on a worker waited, ms", evening.hub_gap(), 500)


def lines_fall_silent(evening: Evening) -> Nemesis:
    """F17: half of the people are gone, and nobody tells them or the server."""
    evening.pause(3)
    evening.line.fall_silent()
    silent = evening.history.mark("silent")
    time.sleep(42)
    evening.line.recover()
    evening.healed()
    evening.pause(3)
    verdict = yield
    gone = {f"kitchen {number}" for number in range(1, evening.fault.people, 2)}
    gone |= {
        f"kitchen {kind} {number}"
        for kind in ("node", "python")
        for number in range(1, evening.fault.stock, 2)
    }
    downs = {
        line["who"]: line["at"] - silent
        for line in evening.history.lines()
        if line["what"] == "down"
    }
    evening.at_most(
        "until it is noticed, ms", max((downs.get(who, 1e9) for who in gone), default=0), 40_000
    )
    others = verdict.worst(but=frozenset({*gone, "kitchen-next-door 1"}))
    evening.at_most("late for the others, ms", others, LATE_MS)


def a_clock_is_set(evening: Evening) -> Nemesis:
    """F22: by an hour, forwards and backwards, on one of two hosts."""
    for seconds in (3600, -3600, 0):
        evening.pause(3)
        (evening.folder / "clock").write_text(str(seconds))
        evening.pause(4)
    evening.healed()
    evening.pause(3)
    verdict = yield
    hours = {
        line["row"]["since"][:13] for line in evening.history.lines() if line["what"] == "seen"
    }
    evening.at_least("hours on the clocks", len(hours), 3)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)
    evening.at_most("all back, ms", verdict.longest_away(), 5_000)


def a_worker_stands_still(evening: Evening) -> Nemesis:
    """F23."""
    served = 0
    for seconds in (10, 90) if evening.full else (10,):
        evening.pause(3)
        pid = evening.dice.choice(evening.workers())
        served += connections_of(pid, evening.server.port)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # gunicorn has killed it meanwhile
            os.kill(pid, signal.SIGCONT)
        evening.healed()
        evening.pause(5)
    verdict = yield
    waited = {who for _, late, who in verdict.late if late > LATE_MS}
    evening.at_most("people who waited, of those it served", len(waited), served)
    evening.at_most("late, ms", verdict.worst(), 60_000)


def a_backup_is_restored(evening: Evening) -> Nemesis:
    """F24: while people look on, the room is again what it was some seconds ago."""
    evening.pause(5)
    with evening.server.database() as engine:
        head, rows = _room_as_it_is(engine)
        evening.pause(4)
        evening.say("hush")
        time.sleep(2)
        _restore(engine, head, rows)
    evening.history.mark("restored")
    evening.healed()
    evening.say("talk")
    evening.pause(6)
    verdict = yield
    evening.at_most("until whole, ms", verdict.whole_ms, LATE_MS)
    evening.at_most("late, ms", verdict.worst(), LATE_MS)


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
