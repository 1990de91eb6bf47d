"""The fault scenarios: which faults are injected while clients send, and which limits hold."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
from collections.abc import Collection
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis as redis_client
from sqlalchemy import Engine, text

from tests.servers import ConfabServer, wait_until
from tests.torture.connections import count_connections_of
from tests.torture.harness import (
    MAX_CALM_DELAY_MS,
    MAX_DELAY_MS,
    FaultInjection,
    Need,
    Scenario,
    ScenarioRun,
)
from tests.torture.history import Record, now_ms, of_type, read_room
from tests.torture.releases import EARLIER_SCHEMA, put_earlier_release, put_this_release
from tests.torture.sanctions import expelled_clients

SQLITE_AND_POSTGRESQL = ("SQLite", "PostgreSQL")

MAX_OUTAGE_MS = 5_000
"""How long a client may be disconnected after a fault that its server survives or recovers from."""

MAX_RECOVERY_MS = 10_000
MAX_WORKER_START_MS = 5_000
MAX_DRAIN_MS = 4_000
MAX_ENFORCEMENT_MS = 4_000
"""How long somebody whom a host has removed or banned may still receive what others post."""

MAX_BLOCK_MS = 250
"""How long the event loop of a worker may be blocked."""

IN_FLIGHT_MS = 500
"""How long after a connection fell silent a client may still handle what it had received."""

SILENT_MS = 15_000
"""How long a client whose connection fell silent is cut off at least."""

NEW_WORKER_SECONDS = 10
WORKER_EXIT_SECONDS = 15
REDIS_RECOVERY_MS = 1_000
"""When delays must be short again, after Redis is back."""

DATABASE_REFUSED_LOG = ("The database refused", "The database did not do it")
"""What a worker logs when the database refuses a change: since and before the rewritten storage."""

SELECT_KITCHEN = text(
    "SELECT messages.*, head FROM messages JOIN rooms ON rooms.id = room_id WHERE label = 'kitchen'"
)
OTHER_CLIENTS = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
TERMINATE_CLIENTS = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHER_CLIENTS}"


# Workers


def kill_workers(run: ScenarioRun) -> FaultInjection:
    """F1: kill one worker, several times."""
    for _ in range(2 if run.scenario.short else 5):
        run.pause(3)
        before = set(run.workers())
        os.kill(run.rng.choice(sorted(before)), signal.SIGKILL)
        killed_at = now_ms()
        run.record_healed()
        _wait_for_a_new_worker(run, before)
        run.at_most("start of the new worker, ms", now_ms() - killed_at, MAX_WORKER_START_MS)
    run.pause(3)
    verdict = yield
    run.at_most("95 % of the clients reconnected, ms", verdict.longest_outage_ms(0.95), 2_000)
    run.at_most("all clients reconnected, ms", verdict.longest_outage_ms(), MAX_OUTAGE_MS)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def kill_master(run: ScenarioRun) -> FaultInjection:
    """F2: kill gunicorn's master, wait until its workers have ended, and start it again."""
    run.pause(3)
    orphans = run.workers()
    os.kill(run.server.processes()[0], signal.SIGKILL)
    killed_at = now_ms()
    _wait_for_exit(orphans)
    run.at_most("exit of the orphaned workers, ms", now_ms() - killed_at, 5_000)
    run.server.kill()  # it has ended already; this resets the state of `Program`
    run.server.start()
    run.record_healed()
    run.pause(3)
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def restart_workers(run: ScenarioRun) -> FaultInjection:
    """F3: restart all workers gracefully, then stop one, then restart all again."""
    _restart_all(run)
    _stop_one(run)
    _restart_all(run)
    run.pause(2)
    verdict = yield
    run.at_most("all clients reconnected, ms", verdict.longest_outage_ms(), MAX_OUTAGE_MS)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def _restart_all(run: ScenarioRun) -> None:
    run.pause(3)
    leaving = set(run.workers())
    master = run.server.processes()[0]
    _drain_workers(run, master, signal.SIGHUP, leaving)
    _wait_for_all_workers(run)


def _stop_one(run: ScenarioRun) -> None:
    run.pause(3)
    worker = run.rng.choice(sorted(run.workers()))
    _drain_workers(run, worker, signal.SIGTERM, {worker})
    _wait_for_all_workers(run)


def _drain_workers(
    run: ScenarioRun, pid: int, stop_signal: signal.Signals, leaving: set[int]
) -> None:
    """Send a signal and wait until these workers have ended; check how long that takes."""
    os.kill(pid, stop_signal)
    signalled_at = now_ms()
    run.record_healed()
    _wait_for_exit(leaving)
    run.at_most("workers drained, ms", now_ms() - signalled_at, MAX_DRAIN_MS)


def _wait_for_all_workers(run: ScenarioRun) -> None:
    number = run.scenario.workers_per_host
    wait_until(lambda: len(run.workers()) == number, 5, f"{number} workers are running")


def restart_only_worker(run: ScenarioRun) -> FaultInjection:
    """F27: restart a single worker; some clients use WebSocket, the others can only poll."""
    for _ in range(2):
        run.pause(3)
        master = run.server.processes()[0]
        _drain_workers(run, master, signal.SIGHUP, set(run.workers()))
    run.pause(3)
    verdict = yield
    run.at_most("all clients reconnected, ms", verdict.longest_outage_ms(), MAX_OUTAGE_MS)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def pause_worker(run: ScenarioRun) -> FaultInjection:
    """F23: stop a worker for longer than it takes its clients to notice."""
    connections = 0
    for seconds in (10, 90) if run.full else (10,):
        run.pause(3)
        pid = run.rng.choice(run.workers())
        connections += count_connections_of(pid, run.server.port)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # gunicorn has killed it meanwhile
            os.kill(pid, signal.SIGCONT)
        run.record_healed()
        run.pause(5)
    verdict = yield
    delayed = {delay.client for delay in verdict.delays if delay.ms > MAX_DELAY_MS}
    run.at_most("delayed clients, of those on the paused worker", len(delayed), connections)
    run.at_most("delay, ms", verdict.worst_delay_ms(), 60_000)


def _wait_for_a_new_worker(run: ScenarioRun, known: set[int]) -> None:
    wait_until(
        lambda: set(run.workers()) - known, NEW_WORKER_SECONDS, "a new worker has been started"
    )


def _wait_for_exit(pids: Collection[int]) -> None:
    wait_until(
        lambda: not any(_is_running(pid) for pid in pids),
        WORKER_EXIT_SECONDS,
        "the workers have ended",
    )


def _is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    state = status.rpartition(")")[2].split()[0]
    return state != "Z"


# Redis


def kill_redis(run: ScenarioRun) -> FaultInjection:
    """F4."""
    for seconds in (2, 20, 90) if run.full else (2, 12):
        run.pause(2)
        run.redis.kill()
        time.sleep(seconds)
        run.redis.start()
        _record_redis_recovery(run)
    yield from _check_redis_outage(run)


def pause_redis(run: ScenarioRun) -> FaultInjection:
    """F5: stop the process of Redis; its connections stay open."""
    for seconds in (3, 12, 60) if run.full else (3, 12):
        run.pause(2)
        run.redis.pause()
        time.sleep(seconds)
        run.redis.go_on()
        _record_redis_recovery(run)
    yield from _check_redis_outage(run)


def reset_redis(run: ScenarioRun) -> FaultInjection:
    """F6: Redis drops subscriptions, loses its data and requires a password.

    Workers that start while the password is required do not know it.
    """
    for _ in range(5):
        run.pause(2)
        run.redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
    run.redis.ask("FLUSHALL")
    run.redis.ask("CONFIG", "SET", "requirepass", "secret")
    before = run.workers()
    os.kill(run.server.processes()[0], signal.SIGHUP)
    _wait_for_exit(before)
    run.pause(4)
    with redis_client.Redis(port=run.redis.port, password="secret") as client:
        client.config_set("requirepass", "")
    run.record_healed()
    run.pause(3)
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)
    run.at_most("all clients reconnected, ms", verdict.longest_outage_ms(), MAX_OUTAGE_MS)


def silence_redis(run: ScenarioRun) -> FaultInjection:
    """F7: Redis accepts connections and never answers."""
    run.pause(2)
    run.redis_proxy.silence(new_too=True)
    run.pause(30 if run.full else 12)
    run.redis_proxy.recover()
    _record_redis_recovery(run)
    yield from _check_redis_outage(run)


def shuffle_redis_messages(run: ScenarioRun) -> FaultInjection:
    """F20: Redis delivers some messages twice, and some out of order."""
    run.shuffler.enabled = True
    run.pause(30 if run.full else 12)
    run.shuffler.enabled = False
    run.record_healed()
    run.pause(3)
    verdict = yield
    run.at_least("repeated or reordered messages", run.shuffler.shuffled, 50)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def _record_redis_recovery(run: ScenarioRun) -> None:
    """Record that Redis is back, and a period after it in which delays must be short."""
    healed_at = run.record_healed()
    run.pause(4)
    run.history.record("calm", since=healed_at + REDIS_RECOVERY_MS)


def _check_redis_outage(run: ScenarioRun) -> FaultInjection:
    verdict = yield
    run.at_most("99 % of the acknowledgements, ms", verdict.acknowledgement_time_ms(0.99), 300)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)
    calm_delay_ms = 0.0
    for record in of_type(run.history.records(), "calm"):
        delay_ms = verdict.worst_delay_ms(record["since"], record["at"])
        calm_delay_ms = max(calm_delay_ms, delay_ms)
    run.at_most("delay a second after Redis is back, ms", calm_delay_ms, MAX_CALM_DELAY_MS)
    outage_ms = max(verdict.longest_outage_ms(), verdict.longest_stock_outage_ms())
    run.at_most("disconnected, ms", outage_ms, 0)


# Databases


def lock_sqlite(run: ScenarioRun) -> FaultInjection:
    """F8: another process holds the write lock of SQLite."""
    file = Path(run.server.environment["INSTANCE"]) / "confab.db"
    for seconds in (3, 10):
        run.pause(2)
        with closing(sqlite3.connect(file, isolation_level=None, timeout=5)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        run.record_healed()
        run.pause(5)
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)
    run.at_most("event loop blocked, ms", run.longest_block_ms(), MAX_BLOCK_MS)
    run.at_most("acknowledgement, ms", verdict.acknowledgement_time_ms(1.0), 20_000)


def interrupt_postgres(run: ScenarioRun) -> FaultInjection:
    """F9: pause the processes of PostgreSQL, disconnect its clients, then kill and restart it."""
    run.pause(2)
    pids = run.postgres.processes()[1:]
    _signal_all(pids, signal.SIGSTOP)
    time.sleep(5)
    _signal_all(pids, signal.SIGCONT)
    time.sleep(2)
    run.postgres.run(TERMINATE_CLIENTS)
    run.pause(4)
    run.postgres.kill()
    time.sleep(2)
    run.postgres.start()
    run.record_healed()
    run.pause(8)
    verdict = yield
    run.at_most("recovery, ms", verdict.recovery_ms, MAX_RECOVERY_MS)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)
    run.at_most("event loop blocked, ms", run.longest_block_ms(), MAX_BLOCK_MS)


def _signal_all(pids: list[int], to_send: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, to_send)


def fill_disk(run: ScenarioRun) -> FaultInjection:
    """F10."""
    run.pause(3)
    filler = Path(run.server.environment["INSTANCE"]).parent / "filler"
    with filler.open("wb", buffering=0) as file:
        while os.statvfs(filler).f_bavail:
            file.write(b"x" * 4096)
    run.pause(4 if run.scenario.short else 10)
    filler.unlink()
    run.record_healed()
    run.pause(6)
    verdict = yield
    log = run.server.log()
    refusals = sum(log.count(line) for line in DATABASE_REFUSED_LOG)
    run.at_least("refusals by the database", refusals, 1)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)
    run.at_most("recovery, ms", verdict.recovery_ms, MAX_RECOVERY_MS)


def restore_backup(run: ScenarioRun) -> FaultInjection:
    """F24: the room gets the messages it had some seconds ago, while clients are connected."""
    run.pause(5)
    with run.server.database() as engine:
        head, rows = _read_kitchen(engine)
        run.pause(4)
        run.order_all("hold")
        time.sleep(2)
        _restore_kitchen(engine, head, rows)
    run.history.record("restored")
    run.record_healed()
    run.order_all("send")
    run.pause(6)
    verdict = yield
    run.at_most("recovery, ms", verdict.recovery_ms, MAX_DELAY_MS)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def _read_kitchen(engine: Engine) -> tuple[int, list[dict[str, Any]]]:
    """Return the head and the messages of the room."""
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(SELECT_KITCHEN).mappings()]
    head = max(row.pop("head") for row in rows)
    return head, rows


def _restore_kitchen(engine: Engine, head: int, rows: list[dict[str, Any]]) -> None:
    columns = ", ".join(rows[0])
    values = ", ".join(f":{name}" for name in rows[0])
    room = {"room_id": rows[0]["room_id"], "head": head}
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM messages WHERE room_id = :room_id"), room)
        connection.execute(text(f"INSERT INTO messages ({columns}) VALUES ({values})"), rows)
        connection.execute(
            text("UPDATE rooms SET head = :head, epoch = 'restored' WHERE id = :room_id"), room
        )


# Connections


def disconnect_all(run: ScenarioRun) -> FaultInjection:
    """F14: reset all connections, three times.

    Nothing is posted while the clients reconnect, so that no later message reveals a gap.
    """
    clients = run.scenario.page_clients + run.scenario.node_clients
    is_large = clients > 100
    for _ in range(2 if run.scenario.short else 3):
        run.pause(3)
        run.proxy.reset_all()
        time.sleep(0.6)
        run.order_all("hold")
        run.record_healed()
        time.sleep(8 if is_large else 4)
        run.order_all("send")
    verdict = yield
    max_outage_ms = 10_000 if is_large else MAX_OUTAGE_MS
    max_delay_ms = MAX_DELAY_MS if is_large else MAX_CALM_DELAY_MS
    run.at_most("all clients reconnected, ms", verdict.longest_outage_ms(), max_outage_ms)
    if is_large:
        stock_outage_ms = verdict.longest_stock_outage_ms()
        run.at_most("all stock clients reconnected, ms", stock_outage_ms, max_outage_ms)
    run.at_most("recovery, ms", verdict.recovery_ms, 15_000)
    run.at_most("delay, ms", verdict.worst_delay_ms(), max_delay_ms)
    run.at_most("event loop blocked, ms", run.longest_block_ms(), 500)


def silence_connections(run: ScenarioRun) -> FaultInjection:
    """F17: the connections of half of the clients are dead, and neither side is notified."""
    run.pause(3)
    run.proxy.silence()
    silenced_at = run.history.record("silent")
    time.sleep(42)
    run.proxy.recover()
    run.record_healed()
    run.pause(3)
    verdict = yield
    on_proxy = _clients_on_proxy(run.scenario)
    silenced = on_proxy - _clients_that_received(run, silenced_at)
    noticed_at = {
        record["client"]: record["at"] for record in of_type(run.history.records(), "disconnect")
    }
    longest_ms = max(noticed_at.get(client, float("inf")) - silenced_at for client in silenced)
    run.at_most("dead connection noticed, ms", longest_ms, 40_000)
    run.at_least("clients with dead connections", len(silenced), len(on_proxy) // 2)
    except_clients = on_proxy | {"kitchen-next-door page 1"}
    other_delay_ms = verdict.worst_delay_ms(except_clients=except_clients)
    run.at_most("delay of the other clients, ms", other_delay_ms, MAX_DELAY_MS)


def _clients_on_proxy(scenario: Scenario) -> frozenset[str]:
    """Return the clients that use the proxy, when it is for half of them."""
    numbers_by_kind = {
        "page": scenario.page_clients,
        "node": scenario.node_clients,
        "python": scenario.python_clients,
    }
    return frozenset(
        f"kitchen {kind} {number}"
        for kind, count in numbers_by_kind.items()
        for number in range(1, count, 2)
    )


def _clients_that_received(run: ScenarioRun, silenced_at: float) -> set[str]:
    """Return the clients that received something although connections were silent.

    A client that polls may have had none at that moment, and then opened a new one, which works.
    """
    return {
        record["client"]
        for record in of_type(run.history.records(), "receive")
        if silenced_at + IN_FLIGHT_MS < record["at"] < silenced_at + SILENT_MS
    }


def lose_acknowledgements(run: ScenarioRun) -> FaultInjection:
    """F19: reset connections after a message was stored and before it is acknowledged."""
    for _ in range(200 if run.full else 60):
        run.acknowledgement_loss.remaining = 1
        wait_until(
            lambda: run.acknowledgement_loss.remaining == 0, 20, "an acknowledgement is lost"
        )
    run.record_healed()
    run.pause(2)
    verdict = yield
    run.at_most("all clients reconnected, ms", verdict.longest_outage_ms(), MAX_OUTAGE_MS)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def delay_upgrades(run: ScenarioRun) -> FaultInjection:
    """F26: clients poll when a round of Engine.IO's service task begins, and upgrade during it.

    The service task visits the sessions of a worker in rounds of one ping timeout, 15 s. The first
    round begins one timeout after the first connection.
    """
    records = run.history.records()
    first_connected_at = min(record["at"] for record in of_type(records, "connect"))
    _sleep_until(first_connected_at + 12_500)
    run.proxy.hold_upgrades()
    # The sessions must be young: python-socketio gives up an upgrade after 5 s.
    run.proxy.reset_all()
    _sleep_until(first_connected_at + 16_500)
    run.proxy.release_upgrades()
    run.record_healed()
    _sleep_until(first_connected_at + 33_000)  # after the end of the round
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def _sleep_until(at_ms: float) -> None:
    time.sleep(max(0.0, at_ms - now_ms()) / 1000)


# Clocks


def change_clock(run: ScenarioRun) -> FaultInjection:
    """F22: change the clock of one of two hosts by an hour, forwards and backwards."""
    for seconds in (3600, -3600, 0):
        run.pause(3)
        (run.folder / "clock").write_text(str(seconds))
        run.pause(4)
    run.record_healed()
    run.pause(3)
    verdict = yield
    shown = of_type(run.history.records(), "show")
    hours = {record["row"]["changed_at"][: len("2026-11-22T12")] for record in shown}
    run.at_least("different hours in the times of messages", len(hours), 3)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)
    run.at_most("all clients reconnected, ms", verdict.longest_outage_ms(), MAX_OUTAGE_MS)


# Rate limits


def exceed_rate_limits(run: ScenarioRun) -> FaultInjection:
    """F28: four clients try to post three messages a second each; a worker is killed meanwhile."""
    run.pause(8)
    os.kill(run.rng.choice(sorted(run.workers())), signal.SIGKILL)
    run.record_healed()
    run.pause(8)
    verdict = yield
    limited = of_type(run.history.records(), "limited")
    run.at_least("messages that had to wait", len({record["id"] for record in limited}), 10)
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def update_releases(run: ScenarioRun) -> FaultInjection:
    """F29: update two hosts, take them back to the earlier release, and update them again."""
    _update_hosts(run)
    for server in run.servers:
        server.stop()
    _downgrade_schema(run)
    for server in run.servers:
        put_earlier_release(server.where)
        server.start()
    run.record_healed()
    _update_hosts(run)
    run.pause(4)
    verdict = yield
    run.at_most("delay, ms", verdict.worst_delay_ms(), MAX_DELAY_MS)


def _update_hosts(run: ScenarioRun) -> None:
    """Update one host after the other with HUP.

    The first update migrates the database, and the other host goes on with the earlier release.
    """
    for server in run.servers:
        run.pause(4)
        assert not _is_this_release(server)
        put_this_release(server.where, run.tree)
        leaving = set(server.processes()[1:])
        os.kill(server.processes()[0], signal.SIGHUP)
        _wait_for_exit(leaving)
        wait_until(partial(_is_this_release, server), 10, "this release serves")
        run.record_healed()


def _is_this_release(server: ConfabServer) -> bool:
    """Return whether a server has the page `/version`, which the earlier release has not."""
    try:
        server.page("/version")
    except urllib.error.HTTPError:
        return False
    return True


def _downgrade_schema(run: ScenarioRun) -> None:
    """Take the database back to the schema of the earlier release, with this one's command."""
    options = ["confab", "schema", "--downgrade", EARLIER_SCHEMA, "--yes"]
    subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *options],
        cwd=run.server.where,
        env=run.server.environment,
        check=True,
        capture_output=True,
    )


# Hosts


def moderate_room(run: ScenarioRun) -> FaultInjection:
    """F21: a host acts while people talk, Redis is down and a worker is killed.

    The clients with odd numbers are connected to another worker than the host.
    """
    host = run.host
    run.pause(2)
    run.redis.kill()
    for number in (2, 3, 10, 11):
        host.act("mute", target=run.mark_of(f"kitchen page {number}"))
    for number in (4, 5, 12):
        host.act("ban", target=run.mark_of(f"kitchen page {number}"))
    for number in (6, 7, 13):
        host.act("remove", target=run.mark_of(f"kitchen page {number}"))
    run.pause(6)
    host.act("lock")
    run.pause(5)
    host.act("unlock")
    run.pause(2)
    host.act("ban", target=run.mark_of("kitchen page 8"))
    host.act("clear")
    run.pause(5)
    run.redis.start()
    _delete_messages(run)
    host.act("mute", target=run.mark_of("kitchen page 14"))
    before = set(run.workers())
    os.kill(run.rng.choice(sorted(before)), signal.SIGKILL)
    host.act("ban", target=run.mark_of("kitchen page 9"))
    _wait_for_a_new_worker(run, before)
    host.act("mute", target=run.mark_of("kitchen page 15"))
    run.pause(5)
    host.act("clear")
    for number in (2, 3):
        host.act("unmute", target=run.mark_of(f"kitchen page {number}"))
    for number in (6, 7):
        host.act("readmit", target=run.mark_of(f"kitchen page {number}"))
        run.reload(f"kitchen page {number}")
    run.record_healed()
    run.pause(4)
    verdict = yield
    expelled = expelled_clients(run.history.records(), run.stored[run.label])
    run.at_least("removed and banned clients", len(expelled), 8)
    run.at_most("enforced, ms", max(verdict.expulsions_ms, default=0), MAX_ENFORCEMENT_MS)
    delay_ms = verdict.worst_delay_ms(except_clients=frozenset(expelled))
    run.at_most("delay of the others, ms", delay_ms, MAX_DELAY_MS)


def _delete_messages(run: ScenarioRun) -> None:
    """Delete one message of somebody, and everything that somebody else wrote."""
    with run.server.database() as engine:
        rows = read_room(engine, run.label).rows
    mark_by_seq = {
        record["row"]["seq"]: record["row"]["mark"]
        for record in of_type(run.history.records(), "show")
    }
    posts = [row.seq for row in rows if row.kind is None and mark_by_seq.get(row.seq)]
    run.host.delete(posts[0])
    run.host.act("delete_all", target=mark_by_seq[posts[1]], seconds=3600)


def close_room(run: ScenarioRun) -> None:
    """End of F21: the host closes the room while people talk; nothing is stored after that."""
    run.order_all("send")
    run.pause(2)
    answer = run.host.act("close")
    closed_at = run.history.record("closed")
    run.pause(8)
    run.at_most("numbers after the end of the room", run.stored_head() - answer["rev"], 0)
    run.history.flush()
    records = [each for each in run.history.records() if each["at"] > closed_at]
    received = [
        each for each in of_type(records, "receive") if each["client"].startswith("kitchen ")
    ]
    last_at = max((each["at"] for each in received), default=closed_at)
    run.at_most("received after the end of the room, ms", last_at - closed_at, MAX_ENFORCEMENT_MS)
    told = _refused_with(records, "closed")
    run.at_least("clients told that the room is closed", len(told), run.scenario.page_clients // 2)


def _refused_with(records: list[Record], code: str) -> set[str]:
    return {each["client"] for each in of_type(records, "refused") if each["code"] == code}


SCENARIOS = (
    Scenario(
        "F1",
        "a worker is killed",
        kill_workers,
        SQLITE_AND_POSTGRESQL,
        page_clients=40,
    ),
    Scenario("F2", "the gunicorn master is killed and restarted", kill_master),
    Scenario("F3", "all workers are restarted gracefully", restart_workers),
    Scenario("F4", "Redis is killed", kill_redis, SQLITE_AND_POSTGRESQL),
    Scenario("F5", "Redis is paused", pause_redis),
    Scenario(
        "F6", "Redis drops subscriptions, loses its data and requires a password", reset_redis
    ),
    Scenario("F7", "Redis is unreachable", silence_redis, needs=frozenset({Need.REDIS_PROXY})),
    Scenario("F8", "SQLite is locked by another process", lock_sqlite, exact_clock=False),
    Scenario(
        "F9",
        "the database is paused, drops its clients and is killed",
        interrupt_postgres,
        ("PostgreSQL",),
        exact_clock=False,
    ),
    Scenario("F10", "the disk is full", fill_disk, needs=frozenset({Need.SMALL_DISK})),
    Scenario(
        "F14",
        "500 clients are disconnected at once",
        disconnect_all,
        page_clients=500,
        rate=2,
        needs=frozenset({Need.PROXY_FOR_ALL}),
    ),
    Scenario(
        "F17",
        "connections fall silent",
        silence_connections,
        SQLITE_AND_POSTGRESQL,
        page_clients=40,
        needs=frozenset({Need.PROXY_FOR_HALF}),
        disconnect_seconds=45,
    ),
    Scenario(
        "F19",
        "acknowledgements are lost",
        lose_acknowledgements,
        SQLITE_AND_POSTGRESQL,
        needs=frozenset({Need.PROXY_FOR_HALF}),
    ),
    Scenario(
        "F20",
        "Redis repeats and reorders messages",
        shuffle_redis_messages,
        needs=frozenset({Need.REDIS_PROXY}),
    ),
    Scenario(
        "F21",
        "a host moderates while Redis is down and a worker is killed",
        moderate_room,
        SQLITE_AND_POSTGRESQL,
        needs=frozenset({Need.HOST, Need.TWO_HOSTS}),
        end=close_room,
    ),
    Scenario(
        "F22",
        "the clock of a server is changed",
        change_clock,
        needs=frozenset({Need.SHIFTED_CLOCK}),
        exact_clock=False,
    ),
    Scenario("F23", "a worker is paused", pause_worker),
    Scenario("F24", "a backup is restored", restore_backup),
    Scenario(
        "F26",
        "upgrades to WebSocket are slow",
        delay_upgrades,
        node_clients=6,
        python_clients=6,
        needs=frozenset({Need.ONE_WORKER, Need.PROXY_FOR_ALL}),
    ),
    Scenario(
        "F27",
        "the only worker is restarted gracefully",
        restart_only_worker,
        node_clients=4,
        python_clients=4,
        needs=frozenset({Need.ONE_WORKER, Need.POLLING_PROXY_FOR_HALF}),
    ),
    Scenario(
        "F28",
        "clients send more than the rate limits allow",
        exceed_rate_limits,
        page_clients=10,
        senders=4,
    ),
    Scenario(
        "F29",
        "hosts are updated from an earlier release, and taken back to it",
        update_releases,
        SQLITE_AND_POSTGRESQL,
        needs=frozenset({Need.EARLIER_RELEASE}),
    ),
)
