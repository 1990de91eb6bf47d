"""WebSocket connections under gunicorn: order, upgrades, slow consumers, and how they end."""

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from chat.engine import compat
from chat.engine.connection import MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES
from chat.engine.tcp import MAX_STALL_SECONDS
from tests.clients import (
    CLOSE,
    PING,
    UPGRADE,
    WEBSOCKET,
    Closed,
    Node,
    Polling,
    Stranger,
    WebSocket,
)
from tests.conftest import Log, Patch
from tests.servers import (
    ROOT,
    ConfabServer,
    gunicorn,
    open_connections,
    resident_bytes,
    wait_until,
    waited_for_cpu,
)

SLOWER = "Everything works, but slower"
"""Begins the warning that the fast WebSocket path is off."""

ROOM_NUMBERS = count(1)

SLOW_CONSUMER_TEST_SECONDS = float(os.environ.get("SLOW_CONSUMER_SECONDS", "0"))
"""For at least so long, clients that do not read connect again and again; 60 in the full test."""

SLOW_CONSUMERS = 20
MAX_DISCONNECT_SECONDS = MAX_STALL_SECONDS + 5
MAX_P99_SECONDS = 0.2
MAX_GROWTH_BYTES = 40_000_000
SMALL_RECEIVE_BUFFER_BYTES = 4096
MESSAGES_BEYOND_THE_KERNEL_BUFFERS = 100
"""So many messages of 4,000 characters do not fit into what the kernels buffer for a client that
does not read, and fill neither limit of the send queue.
"""

# A close frame with its code, and a frame with an opcode that is not defined.
CLOSE_FRAME = (b"\x03\xe8", 8)
INVALID_FRAME = (b"\xff", 11)

WAYS_TO_LEAVE: list[tuple[str] | tuple[bytes, int] | None] = [
    None,  # closing the TCP connection
    ("41",),  # a Socket.IO disconnect
    ("1",),  # an Engine.IO close
    CLOSE_FRAME,
    INVALID_FRAME,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfabServer]:
    with gunicorn(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def kitchen(server: ConfabServer) -> str:
    """The label of a new room."""
    return server.room(f"kitchen-{next(ROOM_NUMBERS)}")


def join(server: ConfabServer, label: str) -> Stranger:
    """Return a client that has joined a room."""
    client = Stranger(server.url)
    assert client.ask("join", {"label": label})["ok"]
    return client


def post(client: Stranger, message: str) -> int:
    """Send a message without waiting for the answer; return the number of the call."""
    return client.emit("chat", json.dumps({"handle": "Ada", "message": message}))


def assert_messages_are_delivered(server: ConfabServer) -> None:
    """Ada posts over WebSocket, and Ben receives it after an upgrade from polling."""
    label = server.room(f"kitchen-{next(ROOM_NUMBERS)}")
    with Node() as node:
        ada = node.person(server.url, WEBSOCKET)
        ben = node.person(server.url, UPGRADE)
        ada.join(label)
        ben.join(label)
        ada.post("Hello")
        assert ben.hear(1)[0]["message"] == "Hello"


def limit_receive_buffer(client: Stranger) -> None:
    """Make a client a slow consumer: the kernel buffers little of what it does not read."""
    client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_RECEIVE_BUFFER_BYTES)


# The choice of the fast WebSocket path


@pytest.mark.servers
def test_the_engine_supports_the_installed_libraries(server: ConfabServer) -> None:
    assert_messages_are_delivered(server)

    assert SLOWER not in server.log()


@pytest.mark.servers
def test_the_engine_can_be_switched_off(tmp_path: Path) -> None:
    with gunicorn(tmp_path, ENGINE="off") as server:
        assert_messages_are_delivered(server)

        assert SLOWER not in server.log()


@pytest.mark.servers
def test_a_changed_library_is_reported_and_messages_are_still_delivered(tmp_path: Path) -> None:
    with_changed_library = tmp_path / "changed.py"
    with_changed_library.write_text(f"""
__file__ = {str(ROOT / "gunicorn.conf.py")!r}
exec(open(__file__).read())
original_post_fork = post_fork

def post_fork(server, worker):
    from engineio.socket import Socket
    schedule = Socket.schedule_ping
    Socket.schedule_ping = lambda socket: schedule(socket)
    original_post_fork(server, worker)
""")
    with gunicorn(tmp_path / "server") as server:
        server.stop()
        server.words += ["-c", str(with_changed_library)]
        server.start()

        assert_messages_are_delivered(server)

        warnings = [line for line in server.log().splitlines() if SLOWER in line]
        assert len(warnings) == 1
        assert warnings[0].endswith("have changed: engineio.socket:Socket.schedule_ping.")


def test_a_function_that_is_missing_counts_as_changed(monkeypatch: Patch, caplog: Log) -> None:
    missing = {"json:dumps.nothing": "00000000", "no.such.module:name": "00000000"}
    monkeypatch.setattr(compat, "async_mode", lambda: "eventlet")
    monkeypatch.setattr(compat, "FINGERPRINTS", missing)

    with caplog.at_level(logging.WARNING):
        compat.install(None)

    assert "json:dumps.nothing, no.such.module:name" in caplog.text


# Order


@pytest.mark.servers
def test_a_slow_consumer_receives_everything_in_order(server: ConfabServer, kitchen: str) -> None:
    with Stranger(server.url) as slow, join(server, kitchen) as ada:
        limit_receive_buffer(slow)
        slow.ask("join", {"label": kitchen})
        for number in range(150):  # 600 KB: more than the kernel buffers
            post(ada, f"{number} ".ljust(4_000, "b"))
            if number % 10 == 0:
                slow.send(b"%d" % number, PING)
                slow.emit("since", '{"after": 0, "limit": 1}')
        assert ada.answer(151)["ok"]

        received = [int(slow.hear()[1]["message"].split()[0]) for _ in range(150)]

        assert received == list(range(150))
        wait_until(lambda: slow.answer(16)["ok"], what="all of its own calls are answered")
        assert sorted(slow.answers) == list(range(1, 17))


@pytest.mark.servers
def test_a_message_is_broadcast_before_its_answer(server: ConfabServer, kitchen: str) -> None:
    with join(server, kitchen) as ada:
        for number in range(50):
            ada.answer(post(ada, str(number)))

            assert ada.hear()[1]["message"] == str(number)
            assert not ada._heard


@pytest.mark.servers
def test_concurrent_messages_reach_all_clients_in_one_order(
    server: ConfabServer, kitchen: str
) -> None:
    def post_and_receive(client: Stranger) -> list[int]:
        for number in range(20):
            post(client, str(number))
        return [client.hear()[1]["rev"] for _ in range(200)]

    with ExitStack() as stack, ThreadPoolExecutor(10) as pool:
        clients = [stack.enter_context(join(server, kitchen)) for _ in range(10)]

        received = list(pool.map(post_and_receive, clients))

    assert received == [list(range(1, 201))] * 10


# Upgrades from polling


@pytest.mark.servers
def test_no_message_is_lost_during_an_upgrade(server: ConfabServer, kitchen: str) -> None:
    has_upgraded = threading.Event()
    numbers = count(1)

    def post_until_upgraded() -> None:
        with join(server, kitchen) as ada:
            while not has_upgraded.is_set():
                ada.answer(post(ada, str(next(numbers))))

    with Node() as node, ThreadPoolExecutor(1) as pool:
        posting = pool.submit(post_until_upgraded)
        clients = [node.person(server.url, UPGRADE) for _ in range(5)]
        heads = [client.join(kitchen)["head"] for client in clients]
        for client in clients:
            client.wait_until("upgrade")
        has_upgraded.set()
        posting.result()
        last = next(numbers) - 1

        for client, head in zip(clients, heads, strict=True):
            received = [message["rev"] for message in client.hear(last - head)]
            assert received == list(range(head + 1, last + 1))


@pytest.mark.servers
@pytest.mark.parametrize("probe", ["5", "2", "42[]", "3probe", "2probe"])
def test_a_malformed_upgrade_is_closed_and_polling_goes_on(
    server: ConfabServer, kitchen: str, probe: str
) -> None:
    ada = Polling(server.url)
    with WebSocket(server.url, f"{ada.path.replace('polling', 'websocket')}") as connection:
        connection.send(probe)
        connection.send("nonsense")
        with pytest.raises(Closed):
            receive_until_closed(connection)

    with join(server, kitchen) as ben:
        join_packet = f'421["join",{{"label":"{kitchen}"}}]'
        chat_packet = '422["chat",{"handle":"Ada","message":"Still here"}]'
        ada.request("POST", f"{join_packet}\x1e{chat_packet}")
        assert ben.hear()[1]["message"] == "Still here"


@pytest.mark.servers
def test_pongs_do_not_extend_the_time_of_an_upgrade(tmp_path: Path) -> None:
    closed = threading.Event()

    def send_pongs(mallory: WebSocket) -> None:
        while not closed.wait(0.1):
            mallory.send("3")

    with gunicorn(tmp_path, 1, "tests.short_pings:app") as server, ThreadPoolExecutor(1) as pool:
        path = Polling(server.url).path.replace("polling", "websocket")
        with WebSocket(server.url, path) as mallory:
            mallory.send("2probe")
            pool.submit(send_pongs, mallory)
            try:
                with pytest.raises(Closed):
                    receive_until_closed(mallory)
            finally:
                closed.set()


def receive_until_closed(connection: WebSocket) -> None:
    """Wait until the server closes a connection. Raises Closed."""
    while True:
        connection.receive()


# Slow consumers


@pytest.mark.servers
@pytest.mark.timeout(60 + SLOW_CONSUMER_TEST_SECONDS)
def test_clients_that_do_not_read_are_disconnected_and_delay_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gunicorn(tmp_path) as server, ExitStack() as stack:
        server.room("kitchen")
        (worker,) = server.processes()[1:]
        ada = stack.enter_context(join(server, "kitchen"))
        ben = stack.enter_context(join(server, "kitchen"))
        memory_before = resident_bytes(worker)
        max_growth = 0
        latencies: list[float] = []  # without what the worker waited for a CPU
        disconnect_times: list[float] = []

        began = time.monotonic()
        while not disconnect_times or time.monotonic() - began < SLOW_CONSUMER_TEST_SECONDS:
            for _ in range(SLOW_CONSUMERS):
                limit_receive_buffer(stack.enter_context(join(server, "kitchen")))
            connected = time.monotonic()
            connections_before = open_connections(worker, server.port)
            while open_connections(worker, server.port) > connections_before - SLOW_CONSUMERS:
                assert time.monotonic() - connected < MAX_DISCONNECT_SECONDS
                sent = time.monotonic() - waited_for_cpu(worker)
                post(ada, "b" * 4_000)
                ben.hear()
                latencies.append(time.monotonic() - waited_for_cpu(worker) - sent)
                ada.hear()
                max_growth = max(max_growth, resident_bytes(worker) - memory_before)
                time.sleep(0.02)
            disconnect_times.append(time.monotonic() - connected)

    p99 = sorted(latencies)[int(len(latencies) * 0.99)]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(disconnect_times)} times {SLOW_CONSUMERS} clients that did not read were "
            f"disconnected within {max(disconnect_times):.1f} s; 99% of {len(latencies)} messages "
            f"were received within {p99 * 1000:.0f} ms; the worker used at most "
            f"{max_growth / 1e6:.1f} MB more memory.\n"
        )
    assert p99 <= MAX_P99_SECONDS
    assert max_growth <= MAX_GROWTH_BYTES


@pytest.mark.servers
@pytest.mark.timeout(120)
def test_a_client_that_stops_reading_is_disconnected_although_its_queue_is_not_full(
    server: ConfabServer, kitchen: str
) -> None:
    (worker,) = server.processes()[1:]
    with join(server, kitchen) as ada, join(server, kitchen) as ben:
        connections_before = open_connections(worker, server.port)
        with join(server, kitchen) as cy:
            limit_receive_buffer(cy)
            began = time.monotonic()
            for _ in range(MESSAGES_BEYOND_THE_KERNEL_BUFFERS):
                post(ada, "b" * 4_000)
                ben.hear()
                ada.hear()
            wait_until(
                lambda: open_connections(worker, server.port) <= connections_before,
                what="the stalled client is disconnected",
                seconds=MAX_DISCONNECT_SECONDS,
            )
            seconds = time.monotonic() - began

    assert seconds >= MAX_STALL_SECONDS
    assert MESSAGES_BEYOND_THE_KERNEL_BUFFERS < MAX_QUEUED_FRAMES
    assert MESSAGES_BEYOND_THE_KERNEL_BUFFERS * 4_500 < MAX_QUEUED_BYTES


# The end of a connection


@pytest.mark.servers
@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1000),
        (b"\x03\xe8", 1000),
        (b"\x0b\xb8Bye", 3000),
        (b"\x03", 1002),
        (b"\x03\xec", 1002),
        (b"\x03\xe8\xff", 1007),
    ],
    ids=["nothing", "1000", "3000", "one byte", "invalid code", "invalid reason"],
)
def test_a_close_frame_is_answered_with_a_close_frame(
    server: ConfabServer, payload: bytes, code: int
) -> None:
    with Stranger(server.url) as ada:
        ada.send(payload, CLOSE)

        with pytest.raises(Closed) as closed:
            ada.hear()

    assert closed.value.code == code


@pytest.mark.servers
@pytest.mark.parametrize(("payload", "kind"), [CLOSE_FRAME, INVALID_FRAME])
def test_events_before_the_last_frame_are_answered(
    server: ConfabServer, kitchen: str, payload: bytes, kind: int
) -> None:
    with join(server, kitchen) as ada:
        calls = [post(ada, str(number)) for number in range(10)]
        ada.send(payload, kind)

        assert all(ada.answer(call)["ok"] for call in calls)


@pytest.mark.servers
def test_closed_connections_leave_no_files_and_no_presence(
    server: ConfabServer, kitchen: str
) -> None:
    (worker,) = server.processes()[1:]

    def join_and_leave(last_frame: tuple[str] | tuple[bytes, int] | None) -> None:
        with join(server, kitchen) as client:
            if last_frame is not None:
                client.send(*last_frame)

    for last_frame in WAYS_TO_LEAVE * 2:
        join_and_leave(last_frame)
    connections_before = open_connections(worker, server.port)
    for last_frame in WAYS_TO_LEAVE * 10:
        join_and_leave(last_frame)

    wait_until(
        lambda: open_connections(worker, server.port) <= connections_before,
        what="the connections are closed",
    )
    with join(server, kitchen) as ada:
        wait_until(
            lambda: len(ada.ask("join", {"label": kitchen})["people"]) == 1,
            15,
            "only Ada is present",
        )
