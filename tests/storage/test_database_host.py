"""A database host that vanishes without closing its connections is noticed within ten seconds."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from chat.storage.database import db
from config import Config
from tests.services import Postgres
from tests.storage.schema import schema_tools

pytestmark = pytest.mark.servers

NOTICED_SECONDS = 10


def test_connections_to_postgresql_notice_that_its_host_has_vanished(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    (tmp_path / "instance").mkdir()
    config = Config(instance=tmp_path / "instance", database_url=postgres_server.database())
    with schema_tools(config), db.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        with socket.socket(fileno=os.dup(driver.fileno())) as tcp:

            def option(number: int) -> int:
                return tcp.getsockopt(socket.IPPROTO_TCP, number)

            assert tcp.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            probes_seconds = option(socket.TCP_KEEPCNT) * option(socket.TCP_KEEPINTVL)
            assert option(socket.TCP_KEEPIDLE) + probes_seconds <= NOTICED_SECONDS
            assert 0 < option(socket.TCP_USER_TIMEOUT) <= NOTICED_SECONDS * 1000
