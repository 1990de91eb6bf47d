"""`flask confab ban`, `unban` and `bans`."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Confab
from tests.conftest import Client
from tests.moderation.conftest import Salon

Run = Callable[..., Any]


def test_the_operator_bans_a_person_and_the_room_is_told(
    confab_json: Run, salon: Salon, cy: Client
) -> None:
    banned = confab_json("ban", "salon", salon.ben_mark, "--hours", "5")

    [message] = salon.ada.received("chat")
    assert message["message"] == "The operator banned Ben for 5 hours"
    assert message["handle"] == "The operator"
    assert message["mark"] == ""
    assert message["details"]["target"] == salon.ben_mark
    assert message["details"]["until"] == banned["until"]
    assert cy.received() == []
    salon.wait_until_disconnected(salon.ben)
    assert (banned["handle"], banned["kind"], banned["addresses"]) == ("Ben", "ban", 0)
    assert confab_json("bans") == confab_json("bans", "salon") == [banned]


def test_a_ban_of_a_host_takes_the_role_away(confab_json: Run, salon: Salon) -> None:
    banned = confab_json("ban", "salon", salon.hana_mark)

    salon.wait_until_disconnected(salon.hana)
    assert banned["until"] is None
    assert confab_json("room", "show", "salon")["roles"] == []


def test_a_ban_with_address_is_announced_to_the_workers_which_add_the_addresses(
    confab_json: Run, salon: Salon
) -> None:
    confab_json("ban", "salon", salon.ben_mark, "--address")

    [message] = salon.ada.received("chat")
    assert message["details"]["address"] is True


def test_the_operator_ends_a_ban(confab_json: Run, confab: Confab, salon: Salon) -> None:
    confab_json("ban", "salon", salon.ben_mark)
    salon.ada.received()

    ended = confab_json("unban", "salon", salon.ben_mark)

    assert ended == {"label": "salon", "mark": salon.ben_mark, "handle": "Ben"}
    assert [each["message"] for each in salon.ada.received("chat")] == ["The operator unbanned Ben"]
    assert confab_json("bans") == []
    again = confab("unban", "salon", salon.ben_mark)
    assert again.exit_code == 1
    assert "is banned" in again.stderr
    assert salon.ada.received("chat") == []


def test_mutes_are_listed_only_on_request(confab_json: Run, confab: Confab, salon: Salon) -> None:
    assert salon.moderate("mute", target=salon.ben_mark)["ok"]

    assert confab_json("bans") == []
    assert [each["kind"] for each in confab_json("bans", "--all")] == ["mute"]
    assert "Ben" in confab("bans", "salon", "--all").stdout


@pytest.mark.parametrize("mark", ["Ben", "0123456789abcde", "0123456789abcdef0"])
def test_what_is_no_mark_is_refused(confab: Confab, salon: Salon, mark: str) -> None:
    result = confab("ban", "salon", mark)

    assert result.exit_code == 2
    assert "person find" in result.stderr
    assert salon.ada.received() == []
