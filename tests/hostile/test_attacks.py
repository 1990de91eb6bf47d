"""Attacks from one address: what they achieve is bounded, and others can chat meanwhile.

The long form is `make torture HOSTILE=1`.
"""

import json
import re
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from chat.models import messages, rooms
from tests.clients import Stranger
from tests.hostile import attackers
from tests.hostile.attack import IS_LONG, SECONDS, Attack
from tests.hostile.neighbours import ROOM
from tests.hostile.target import Target
from tests.servers import (
    ConfabServer,
    cpu_seconds,
    gunicorn,
    wait_until,
    written_bytes,
)
from tests.services import Redis

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600 if IS_LONG else 60)]

MEGABYTE = 1_000_000
MAX_GROWTH_MB = 5
"""Of a worker that has refused something large, or many things."""

MAX_ANSWER_BYTES = 512 * 1024

# How often something may succeed: at once, and then in a second.
MESSAGES_OF_ADDRESS = (200, 60)
FAILED_JOINS = (60, 30 / 60)
HANDSHAKES = (1_000, 50)
PAGES = (300, 30)
ROOMS = (120, 120 / 3600)
LIMITS_OF_PERSON = {
    "chat": (5, 1),
    attackers.LONG_CHAT: (4, 0.5),
    "edit": (20, 2),
    "react": (20, 2),
    "title": (5, 6 / 60),
    "history": (40, 10),
}
CHANGES_OF_MESSAGE = (1, 4)
MAX_CHANGE_KB = 64
JOINS_OF_ADDRESS = (600, 600 / 60)
SHOWN_MARKS = 32**10
"""The page shows ten characters of a mark."""

SECONDS_OF_A_DAY = 24 * 3600
JOINS_OF_PERSON = (20, 20 / 60)

MAX_LOCKOUT_SECONDS = 20
"""More than the time after which a person who has posted too fast may post again."""

MAX_CONNECTIONS = 1_000
JOIN_SECONDS = 15
MAX_CONNECTIONS_OF_PERSON = 10


def allowed(limit: tuple[float, float], seconds: float) -> float:
    """Return how often something may succeed in some seconds."""
    burst, per_second = limit
    return burst + per_second * seconds + 1


# Bodies and headers


def test_large_forms_are_refused_at_once(attack: Attack) -> None:
    attack.run(attackers.send_large_forms, SECONDS)  # a server that is new grows by itself
    counts = attack.run(attackers.send_large_forms, SECONDS)

    attack.check_refused("Forms of 9 MB", counts, 413)
    attack.check("Forms of 9 MB: memory", attack.growth_bytes / MEGABYTE, MAX_GROWTH_MB, "MB")


def test_uploads_are_refused_before_they_arrive(attack: Attack) -> None:
    written_before = written_bytes(attack.worker)

    counts = attack.run(attackers.send_uploads, SECONDS)

    attack.check_refused("Uploads of 200 MB", counts, 413)
    attack.check("Uploads of 200 MB: sent", counts["bytes"] / MEGABYTE, 40, "MB")
    written = written_bytes(attack.worker) - written_before
    attack.check("Uploads of 200 MB: written to files", written / MEGABYTE, 100, "MB")
    attack.check("Uploads of 200 MB: memory", attack.growth_bytes / MEGABYTE, MAX_GROWTH_MB, "MB")


# Hosts, pages of other sites, and the log


def test_hosts_that_are_malformed_or_foreign_are_refused(attack: Attack) -> None:
    log_before = attack.server.log()

    counts = attack.run(attackers.send_hosts, SECONDS)

    lines = attack.server.log()[len(log_before) :].count("\n")
    name = f"{counts.total()} wrong hosts"
    explained = counts["status 400"]
    attack.check(f"{name}: not refused", counts.total() - explained - counts["status 429"], 0)
    attack.check(f"{name}: answered with 400", explained, allowed(PAGES, attack.seconds))
    attack.check("Wrong hosts: log", lines, attack.seconds + 1, "lines")


def test_another_site_cannot_use_the_server(attack: Attack) -> None:
    counts = attack.run(attackers.pretend_to_be_another_site)

    attack.check(f"{counts.total()} tricks of another site: accepted", counts["accepted"], 0)


def test_log_lines_cannot_be_forged(attack: Attack) -> None:
    log_before = attack.server.log()

    counts = attack.run(attackers.forge_log_lines, SECONDS)

    written = attack.server.log()[len(log_before) :]
    forged = sum(line.startswith("2026-01-01 FORGED") for line in written.splitlines())
    name = f"{counts['requests']} requests that forge log lines"
    attack.check(f"{name}: forged", forged + written.count("\x1b"), 0)
    attack.check(f"{name}: log", len(written) / 1000, 10 * (attack.seconds + 1), "KB")


# Load over HTTP


def test_pages_are_limited(attack: Attack) -> None:
    counts = attack.run(attackers.ask_as_fast_as_possible, SECONDS, f"/{ROOM}/")

    attack.check(
        f"{counts.total():,} pages: served", counts["status 200"], allowed(PAGES, attack.seconds)
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/no/such/page"])
def test_a_flood_of_requests_does_not_delay_others(attack: Attack, path: str) -> None:
    counts = attack.run(attackers.ask_as_fast_as_possible, SECONDS, path)

    errors = counts["status 500"] + counts["status 503"]
    attack.check(f"{counts.total():,} requests for {path}: errors", errors, 0)


def test_costly_messages_are_rendered_once(attack: Attack) -> None:
    attack.prepare(attackers.fill_room, "costly", "*\u200b" * 1_999 + "a", 50)
    attack.prepare(attackers.ask_as_fast_as_possible, 0.1, "/costly/")
    cpu_before = cpu_seconds(attack.worker)

    counts = attack.run(attackers.ask_as_fast_as_possible, SECONDS, "/costly/")

    cpu_ms = 1000 * (cpu_seconds(attack.worker) - cpu_before) / counts.total()
    attack.check("Page of costly messages: CPU of the server", cpu_ms, 200, "ms a page")


def test_many_large_pages_at_once_do_not_delay_others(attack: Attack, long_room: str) -> None:
    number = 300 if IS_LONG else 50
    counts = attack.run(attackers.ask_at_once, number, f"/{long_room}/")

    attack.check(f"{number} large pages at once: errors", number - counts["status 200"], 0)


def test_many_large_answers_at_once_do_not_delay_others(attack: Attack, long_room: str) -> None:
    number = 300 if IS_LONG else 50
    counts = attack.run(attackers.read_on_many_sockets_at_once, number)

    attack.check(f"{number} large answers at once: errors", number - counts["ok"], 0)


def test_qr_codes_of_long_addresses_are_refused(attack: Attack) -> None:
    host = f"{'a' * 60}.{'b' * 60}.{'c' * 60}.{'d' * 50}.localhost"
    cpu_before = cpu_seconds(attack.worker)

    counts = attack.run(attackers.ask_as_fast_as_possible, SECONDS, f"/{'k' * 50}/qr.svg", host)

    cpu_ms = 1000 * (cpu_seconds(attack.worker) - cpu_before) / counts.total()
    attack.check("QR codes of a long host: drawn", counts["status 200"], 0)
    attack.check("QR codes of a long host: CPU of the server", cpu_ms, 20, "ms each")


def test_qr_codes_are_drawn_once(attack: Attack) -> None:
    cpu_before = cpu_seconds(attack.worker)

    counts = attack.run(attackers.ask_as_fast_as_possible, SECONDS, f"/{ROOM}/qr.svg")

    cpu_ms = 1000 * (cpu_seconds(attack.worker) - cpu_before) / counts.total()
    attack.check("QR codes of a room: CPU of the server", cpu_ms, 20, "ms each")


def test_new_rooms_are_limited(attack: Attack) -> None:
    counts = attack.run(attackers.create_rooms, SECONDS)

    attack.check(
        f"{counts.total():,} new rooms: created",
        counts["status 200"],
        allowed(ROOMS, attack.seconds),
    )


def test_scanners_and_previews_create_no_rooms(attack: Attack) -> None:
    rooms_before = count_rooms(attack.server)

    counts = attack.run(attackers.scan)

    attack.check_equal("Scanners and previews: status", counts.statuses(), "200")
    attack.check("Scanners and previews: rooms", count_rooms(attack.server) - rooms_before, 0)


def count_rooms(server: ConfabServer) -> int:
    """Return how many rooms there are in the database."""
    with server.database() as engine, engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(rooms)) or 0


def test_labels_cannot_be_found_by_trying(attack: Attack) -> None:
    counts = attack.run(attackers.guess_labels, SECONDS)

    name = f"{counts.total():,} labels tried"
    attack.check(f"{name}: answered", counts["not_found"], allowed(FAILED_JOINS, attack.seconds))
    attack.check(f"{name}: a room that exists is found", counts["found"], 0)


# Connections


def test_polling_handshakes_are_limited(attack: Attack) -> None:
    counts = attack.run(attackers.open_polling_sessions, SECONDS)

    # Sessions that join no room are closed after some seconds, and others may be opened then.
    may_be_open = MAX_CONNECTIONS * (1 + attack.seconds // JOIN_SECONDS)
    most = min(allowed(HANDSHAKES, attack.seconds), may_be_open)
    attack.check(f"{counts.total():,} polling handshakes: accepted", counts["status 200"], most)
    attack.check("Polling handshakes: memory", attack.growth_bytes / MEGABYTE, 30, "MB")


def test_sockets_that_never_join_are_limited(attack: Attack) -> None:
    number = 1_100

    counts = attack.run(attackers.open_idle_sockets, number)

    # Sockets that join no room are closed after some seconds.
    most = MAX_CONNECTIONS * (1 + attack.seconds // JOIN_SECONDS)
    attack.check(f"{number} idle sockets: accepted", counts["status 101"], most)
    attack.check("Idle sockets: memory", attack.growth_bytes / MEGABYTE, 30, "MB")


def test_large_headers_are_not_kept(attack: Attack) -> None:
    number = 400 if IS_LONG else 50

    refused = attack.run(attackers.open_sockets_with_large_headers, 1, 90, attack.worker)
    counts = attack.run(attackers.open_sockets_with_large_headers, number, 50, attack.worker)

    attack.check_equal("Sockets with 90 headers: status", refused.statuses(), "431")
    attack.check_equal(f"{number} sockets with large headers: status", counts.statuses(), "101")
    attack.check("Sockets with large headers: memory", counts["bytes"] / 1000, 10, "KB each")


def test_connections_of_one_person_are_limited(attack: Attack) -> None:
    counts = attack.run(attackers.open_sockets_of_one_person, 20)

    attack.check("21 sockets of a person", counts["accepted"], MAX_CONNECTIONS_OF_PERSON)


def test_one_session_cannot_wait_in_many_requests(attack: Attack) -> None:
    number = 2_200
    most = 2 * MAX_CONNECTIONS

    counts = attack.run(attackers.poll_one_session_often, number, most, SECONDS)

    attack.check(f"{number} polls of a session: open", counts["open"], most)


def test_one_session_cannot_be_upgraded_often(attack: Attack) -> None:
    number = 1_700
    most = number - 100

    counts = attack.run(attackers.upgrade_one_session_often, number, most, SECONDS)

    attack.check(f"{number} upgrades of a session: open", counts["open"], most)


# Events


@pytest.mark.parametrize("event", LIMITS_OF_PERSON)
def test_events_are_limited(attack: Attack, event: str) -> None:
    counts = attack.run(attackers.flood, SECONDS, event)

    name = f"{counts.total():,} times {event}"
    attack.check(
        f"{name}: accepted", counts["ok"], allowed(LIMITS_OF_PERSON[event], attack.seconds)
    )
    attack.check_equal(f"{name}: refused with", counts.codes(), "rate_limited")


def test_changes_of_reactions_are_coalesced(attack: Attack) -> None:
    people = 100 if IS_LONG else 20
    number = len(attackers.EMOJI) if IS_LONG else 4  # each needs a change of its own

    counts = attack.run(attackers.toggle_reactions, SECONDS, people, number)

    name = f"{people} people toggle {number} emoji of a message"
    most = allowed(CHANGES_OF_MESSAGE, counts["ms"] / 1000)
    attack.check(f"{name}: change events", counts["changes"], most)
    attack.check(f"{name}: largest", counts["bytes"] / 1000, MAX_CHANGE_KB, "KB")


def test_only_emoji_are_accepted_as_reactions(attack: Attack) -> None:
    counts = attack.run(attackers.react_with_other_text)

    attack.check(f"{counts.total()} reactions that are no emoji: accepted", counts["ok"], 0)


def test_the_shown_part_of_a_mark_cannot_be_matched_by_trying(attack: Attack) -> None:
    counts = attack.run(attackers.collect_marks, SECONDS)

    name = "New identities in a row"
    attack.check(f"{name}: marks", counts["marks"], allowed(JOINS_OF_ADDRESS, attack.seconds))
    chance_in_a_day = allowed(JOINS_OF_ADDRESS, SECONDS_OF_A_DAY) / SHOWN_MARKS
    attack.check(f"{name}: a mark matched in a day", 1e9 * chance_in_a_day, 1_000, "in 10^9")


def test_new_identities_do_not_raise_the_limit(attack: Attack) -> None:
    counts = attack.run(attackers.flood_with_new_identities, SECONDS)

    name = f"{counts.total():,} posts of new identities"
    attack.check(f"{name}: stored", counts["ok"], allowed(MESSAGES_OF_ADDRESS, attack.seconds))


def test_connecting_again_on_one_connection_is_limited(attack: Attack) -> None:
    counts = attack.run(attackers.reconnect_on_one_connection, SECONDS)

    name = f"{counts.total():,} joins after connecting again"
    attack.check(f"{name}: accepted", counts["ok"], allowed(JOINS_OF_PERSON, attack.seconds))


@pytest.mark.parametrize(
    "attacker",
    [
        attackers.send_malformed_packets,
        attackers.ping_without_reading,
        attackers.ask_without_reading,
    ],
)
def test_hostile_packets_use_no_memory(attack: Attack, attacker: attackers.PacketAttacker) -> None:
    attack.run(attacker, SECONDS)

    name = attacker.__name__.replace("_", " ").capitalize()
    attack.check(f"{name}: memory", attack.growth_bytes / MEGABYTE, 10, "MB")


def test_answers_are_limited_in_size(attack: Attack, long_room: str) -> None:
    counts = attack.run(attackers.catch_up, long_room)

    name = f"Joining a room of {attackers.MANY_TEXTS} messages of 16 KB"
    attack.check(name, counts["bytes"] / 1024, MAX_ANSWER_BYTES / 1024, "KiB")
    attack.check_equal(f"{name}: says that there are more", counts["more"], True)


# Between workers, and on the machine


def test_other_users_cannot_open_the_database(attack: Attack) -> None:
    folder = Path(attack.server.environment["INSTANCE"])

    files = [folder, *folder.iterdir()]

    open_to_others = [each for each in files if each.stat().st_mode & 0o077]
    attack.check(f"{len(files)} files: open to others", len(open_to_others), 0)


def test_a_deleted_message_is_erased(attack: Attack) -> None:
    with attack.server.database() as engine, Stranger(attack.server.url) as ada:
        ada.ask("join", {"label": ROOM})
        seq = ada.ask("chat", {"handle": "Ada", "message": "a secret"})["seq"]
        ada.ask("delete", {"seq": seq})
        with Stranger(attack.server.url) as mallory, engine.connect() as connection:
            mallory.ask("join", {"label": ROOM})
            again = mallory.ask("delete", {"seq": seq})
            columns = (messages.c.author, messages.c.handle, messages.c.message)
            deleted = (
                select(*columns).join(rooms).where(rooms.c.label == ROOM, messages.c.seq == seq)
            )
            row = connection.execute(deleted).one()

    attack.check_equal("A deleted message: author, name, text", tuple(row), ("", "", ""))
    attack.check_equal("A deleted message, deleted by another: ok", again["ok"], True)


def test_the_cookie_on_https_is_for_https_only(attack: Attack) -> None:
    target = Target(attack.server.url, attack.address())

    response = target.ask("GET", f"/{ROOM}/", X_Forwarded_Proto="https").decode()

    cookie = re.search(r"\r\nSet-Cookie: (__Host-confab)=.*?; (Secure);.*\r\n", response)
    attack.check_equal("Cookie on https", cookie and cookie.groups(), ("__Host-confab", "Secure"))


def test_whoever_can_publish_in_redis_can_neither_post_nor_hide_messages(
    attack: Attack, tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, LIMITS="on", REDIS_URL=redis_server.url) as server:
        server.room("garden")
        with Stranger(server.url) as ada, Stranger(server.url) as ben:
            for client in (ada, ben):
                assert client.ask("join", {"label": "garden"})["ok"]
            wait_until(redis_server.room_channels)
            [channel] = redis_server.room_channels()
            posted = ada.ask("chat", {"handle": "Ada", "message": "first"})
            assert ben.hear()[1]["message"] == "first"
            redis_server.publish(channel, forgery(posted["seq"] + 1))

            ada.ask("chat", {"handle": "Ada", "message": "second"})

            _, received = ben.hear()
            attack.check_equal("A forged message in Redis: received", received["message"], "second")


def test_whoever_publishes_recorded_messages_in_redis_again_locks_nobody_out(
    attack: Attack, tmp_path: Path, redis_server: Redis
) -> None:
    with gunicorn(tmp_path, 2, LIMITS="on", REDIS_URL=redis_server.url) as server:
        server.room("garden")
        with Stranger(server.url) as ada, Stranger(server.url) as ben:
            for client in (ada, ben):
                assert client.ask("join", {"label": "garden"})["ok"]
            wait_until(redis_server.room_channels)
            channels = redis_server.shared_channels() + redis_server.room_channels()
            with redis_server.recording(channels) as recorded:
                for number in range(5):
                    assert ada.ask("chat", {"handle": "Ada", "message": f"message {number}"})["ok"]
                wait_until(lambda: any(b'"limit_usage"' in each for _, each in recorded()))

            for channel, each in recorded() * 50:
                redis_server.publish(channel, each)
            wait_until(lambda: "received before" in server.log(), what="replays are reported")
            began = time.monotonic()
            wait_until(
                lambda: ada.ask("chat", {"handle": "Ada", "message": "the last"})["ok"],
                MAX_LOCKOUT_SECONDS,
                "Ada can post again",
            )
            waited = time.monotonic() - began

            received: list[str] = []
            while "the last" not in received:
                event, payload = ben.hear()
                if event == "chat":
                    received.append(payload["message"])
            attack.check("Repeated messages in Redis: wait", waited, MAX_LOCKOUT_SECONDS, "s")
            expected = [f"message {number}" for number in range(5)] + ["the last"]
            attack.check_equal("Repeated messages in Redis: received", received, expected)


def forgery(seq: int) -> str:
    """Return what a worker would publish for a message with this number, without a signature."""
    message = {"label": "garden", "seq": seq, "rev": seq, "handle": "Ada", "message": "forged"}
    sent_at = int(time.time() * 1e6)
    return f"{'0' * 16} {sent_at} {json.dumps({'event': 'chat', 'payload': message})}"
