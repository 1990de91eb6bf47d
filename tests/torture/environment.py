"""Starts and stops what a scenario needs: servers, Redis, proxies, small disk, shifted clock."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import ROOT, ConfabServer
from tests.services import Postgres, redis
from tests.torture.harness import PROXY_NEEDS, TWO_HOSTS_NEEDS, Need, Outcome, ScenarioRun
from tests.torture.proxy import AcknowledgementLoss, MessageShuffler, Proxy
from tests.torture.releases import put_earlier_release

SMALL_DISK_SIZE = "16m"
CLOCK_FOLDER = Path(__file__).with_name("clock")


@contextmanager
def prepared(
    folder: Path, outcome: Outcome, full: bool, postgres: Postgres | None, tree: Path = ROOT
) -> Iterator[ScenarioRun]:
    """Start the servers and services of a scenario, and stop them afterwards.

    `full` selects the long variant; `tree` is the program to test.
    """
    run = ScenarioRun(folder, outcome, full, tree)
    needs = run.scenario.needs
    with run.cleanup as cleanup:
        run.redis = cleanup.enter_context(redis(folder / "redis"))
        settings = {
            "REDIS_URL": _redis_url(run),
            "INSTANCE": str(folder / "instance"),
            "LIMITS": "on",
        }
        if outcome.database == "PostgreSQL":
            assert postgres is not None
            run.postgres = postgres
            settings["DATABASE_URL"] = postgres.database()
        if Need.SMALL_DISK in needs:
            disk = cleanup.enter_context(small_disk(folder / "small"))
            settings["INSTANCE"] = str(disk / "instance")
        _start_server(run, folder / "one", settings)
        if needs & TWO_HOSTS_NEEDS:
            clock = shifted_clock(folder / "clock") if Need.SHIFTED_CLOCK in needs else {}
            _start_server(run, folder / "two", settings | clock)
        if needs & PROXY_NEEDS:
            run.acknowledgement_loss = AcknowledgementLoss(run.rng)
            run.proxy = cleanup.enter_context(Proxy(run.server.port, run.acknowledgement_loss))
            run.proxy.refuses_upgrades = Need.POLLING_PROXY_FOR_HALF in needs
        yield run


def _redis_url(run: ScenarioRun) -> str:
    """Return the address of Redis, or of a proxy in front of it."""
    if Need.REDIS_PROXY not in run.scenario.needs:
        return run.redis.url
    run.shuffler = MessageShuffler(run.rng)
    run.redis_proxy = run.cleanup.enter_context(Proxy(run.redis.port, run.shuffler))
    return f"redis://127.0.0.1:{run.redis_proxy.port}/0"


def _start_server(run: ScenarioRun, folder: Path, settings: dict[str, str]) -> None:
    app = "tests.short_pings:app" if Need.SHORT_PINGS in run.scenario.needs else "app:app"
    workers = str(run.scenario.workers_per_host)
    command = [sys.executable, "-m", "gunicorn", "-k", "eventlet", "-w", workers, app, "-b"]
    server = ConfabServer(folder, lambda port: [*command, f"127.0.0.1:{port}"], **settings)
    server.where = run.tree
    if Need.EARLIER_RELEASE in run.scenario.needs:
        server.where = folder / "program"
        put_earlier_release(server.where)
    run.cleanup.callback(server.stop)
    server.start()
    run.servers.append(server)


def shifted_clock(file: Path) -> dict[str, str]:
    """Return the settings of a server whose clock is shifted by the seconds in the file.

    See clock/sitecustomize.py.
    """
    file.write_text("0")
    return {"PYTHONPATH": str(CLOCK_FOLDER), "CLOCK": str(file)}


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system in memory. Needs root."""
    assert os.geteuid() == 0, "mounting a small file system needs root: run with sudo or in CI"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_SIZE}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
