"""Who is a host: by creating a room, alone in a young room, by a link, or by appointment."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from chat.models import Room, rooms
from chat.moderation.rules import SanctionKind, utc_now
from chat.moderation.tables import host_links
from chat.storage.audit import read_log
from chat.storage.database import write_transaction
from chat.storage.host_links import MAX_UNUSED_LINKS, Creator, create_host_link
from chat.storage.moderation_commands import Impose, Target
from tests.conftest import create_room, in_room, submit_elsewhere
from tests.moderation.conftest import Salon


def test_the_person_who_creates_a_room_is_its_host(salon: Salon) -> None:
    browser = salon.app.test_client()
    label = browser.get("/new/").location.strip("/")

    joined = salon.open_client(browser).join(label)

    assert joined["rules"]["roles"] == {joined["you"]["mark"]: "host"}


def test_a_host_link_makes_the_browser_that_opens_it_a_host(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]

    assert salon.moderate("use_host_link", who=salon.ada, secret=secret)["ok"]

    assert salon.messages()[-1]["message"] == "Ada is a host now"
    assert salon.moderate("lock", who=salon.ada)["ok"]


def test_a_host_link_works_once(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]
    salon.moderate("use_host_link", who=salon.ada, secret=secret)

    answer = salon.moderate("use_host_link", who=salon.ben, secret=secret)

    assert answer["code"] == "host_link_refused"
    assert answer["message"] == "This host link has already been used."


def test_a_host_who_opens_the_link_does_not_use_it_up(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]

    assert salon.moderate("use_host_link", secret=secret)["ok"]

    assert salon.moderate("use_host_link", who=salon.ada, secret=secret)["ok"]


def test_a_host_link_of_another_room_is_refused(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]
    other = in_room(salon.open_client(), create_room(salon.app, "cellar"))

    answer = salon.moderate("use_host_link", who=other, secret=secret)

    assert answer["message"] == "This host link doesn't belong to this room."


def test_an_expired_host_link_is_refused(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]
    with salon.app.app_context(), write_transaction() as connection:
        connection.execute(update(host_links).values(expires_at=utc_now() - timedelta(days=1)))

    answer = salon.moderate("use_host_link", who=salon.ada, secret=secret)

    assert answer["message"] == "This host link has expired. Ask a host for a new one."


def test_a_host_link_lifts_a_mute(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]
    salon.moderate("mute", target=salon.ada_mark)

    assert salon.moderate("use_host_link", who=salon.ada, secret=secret)["ok"]

    assert salon.ada.post("hello")["ok"]


def test_handing_over_makes_another_person_the_host(salon: Salon) -> None:
    assert salon.moderate("hand_over", target=salon.ada_mark)["ok"]

    assert salon.messages()[-1]["details"]["rules"]["roles"] == {salon.ada_mark: "host"}
    assert salon.moderate("lock")["code"] == "forbidden"
    assert salon.moderate("lock", who=salon.ada)["ok"]


def test_a_dismissed_moderator_has_no_role(salon: Salon) -> None:
    salon.moderate("appoint", target=salon.ada_mark)

    assert salon.moderate("dismiss", target=salon.ada_mark)["ok"]

    answer = salon.moderate("mute", who=salon.ada, target=salon.ben_mark)
    assert answer["code"] == "forbidden"


def test_somebody_who_is_not_alone_does_not_become_host(salon: Salon) -> None:
    label = create_room(salon.app, "parlour")
    first = in_room(salon.open_client(), label)
    in_room(salon.open_client(), label)

    assert salon.moderate("become_host", who=first)["code"] == "forbidden"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (SanctionKind.BAN, "banned"),
        (SanctionKind.REMOVAL, "removed"),
        (SanctionKind.MUTE, "muted"),
    ],
)
def test_nobody_under_a_sanction_becomes_host(salon: Salon, kind: SanctionKind, code: str) -> None:
    label = create_room(salon.app, "parlour")
    first = salon.open_client()
    target = Target(first.join(label)["you"]["mark"], "Somebody")
    # This worker has not heard of it yet.
    submit_elsewhere(salon.app, label, lambda room: Impose(room, "", "", True, target, kind))

    assert salon.moderate("become_host", who=first)["code"] == code


def test_nobody_becomes_host_of_an_old_room(salon: Salon) -> None:
    label = create_room(salon.app, "parlour")
    with salon.app.app_context(), write_transaction() as connection:
        connection.execute(update(rooms).values(created_at=utc_now() - timedelta(minutes=11)))
    first = in_room(salon.open_client(), label)

    assert salon.moderate("become_host", who=first)["code"] == "forbidden"


@pytest.mark.parametrize("action", ["dismiss", "ban"])
def test_host_links_of_somebody_who_is_no_host_any_more_are_refused(
    salon: Salon, action: str
) -> None:
    own = salon.moderate("host_link")["secret"]
    salon.moderate("use_host_link", who=salon.ada, secret=own)
    kept = salon.moderate("host_link")["secret"]
    secret = salon.moderate("host_link", who=salon.ada)["secret"]

    assert salon.moderate(action, target=salon.ada_mark)["ok"]

    refused = salon.moderate("use_host_link", who=salon.ben, secret=secret)
    assert refused["code"] == "host_link_refused"
    assert salon.moderate("use_host_link", who=salon.ben, secret=kept)["ok"]


def test_host_links_end_when_the_room_is_handed_over(salon: Salon) -> None:
    secret = salon.moderate("host_link")["secret"]
    salon.moderate("hand_over", target=salon.ada_mark)

    answer = salon.moderate("use_host_link", secret=secret)

    assert answer["code"] == "host_link_refused"


def test_a_room_has_a_bounded_number_of_unused_host_links(salon: Salon) -> None:
    room_label = salon.label
    with salon.app.app_context():
        room = Room.find(room_label)
        host = Creator(salon.hana_mark, "Hana")
        secrets = [create_host_link(room, host) for _ in range(MAX_UNUSED_LINKS)]
        entries = read_log(room, MAX_UNUSED_LINKS)

    assert salon.moderate("host_link")["code"] == "forbidden"
    assert {each.sentence for each in entries} == {"Hana created a host link"}
    salon.moderate("use_host_link", who=salon.ada, secret=secrets[0])
    assert salon.moderate("host_link")["ok"]
