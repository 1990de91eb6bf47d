"""The page of a room as the server draws it: badges, what hosts have done, and the rules."""

import re

from chat.storage.moderation_commands import CLAIM_SECONDS
from tests.moderation.conftest import Salon
from tests.pages import texts_on

HIDDEN = r'<p class="welcome__host[^"]*" id="{}" hidden>'


def page_of(salon: Salon, label: str) -> str:
    """The page of a room, as somebody new sees it."""
    text: str = salon.app.test_client().get(f"/{label}/").text
    return text


def test_names_of_hosts_and_moderators_have_a_badge(salon: Salon) -> None:
    assert salon.moderate("appoint", target=salon.ada_mark)["ok"]
    page = page_of(salon, salon.label).partition("<template")[0]

    badges = re.findall(r'message__name">(\w*)</bdi> <span class="badge">(\w*)</span>', page)
    assert ("Hana", "host") in badges
    assert ("Ada", "moderator") in badges
    assert ("Ben", "") in badges


def test_what_a_host_did_is_one_sentence_without_another_subject(salon: Salon) -> None:
    assert salon.moderate("mute", target=salon.ben_mark, seconds=3600)["ok"]
    page = page_of(salon, salon.label)

    assert texts_on(page)[-1] == "Hana muted Ben for 1 hour"
    message = page[page.rindex('data-kind="moderation"', 0, page.index("<template")) :]
    assert 'message__name"></bdi>' in message.partition("message__text")[0]


def test_a_message_deleted_by_a_host_says_so_and_one_by_its_author_does_not(salon: Salon) -> None:
    messages = {each["handle"]: each["seq"] for each in salon.messages() if "kind" not in each}
    assert salon.hana.ask("delete", {"seq": messages["Ben"]})["ok"]
    assert salon.ada.ask("delete", {"seq": messages["Ada"]})["ok"]
    texts = texts_on(page_of(salon, salon.label))

    assert texts.count("Message deleted by a host") == 1
    assert texts.count("Message deleted") == 1


def test_the_header_shows_the_rules_that_are_set(salon: Salon) -> None:
    assert salon.moderate("lock")["ok"]
    page = page_of(salon, salon.label)

    assert re.search(r'data-state="locked" aria-label="Locked">', page)
    assert re.search(r'data-state="password" aria-label="Password" hidden>', page)


def test_only_a_young_room_without_host_can_be_claimed(salon: Salon) -> None:
    unclaimed = page_of(salon, "attic")
    seconds = re.search(r'data-claim-seconds="(\d+)"', unclaimed)
    assert seconds
    assert CLAIM_SECONDS - 60 < int(seconds[1]) <= CLAIM_SECONDS
    assert not re.search(HIDDEN.format("welcome-claim"), unclaimed)
    assert re.search(HIDDEN.format("welcome-host"), unclaimed)

    claimed = page_of(salon, salon.label)
    assert 'data-claim-seconds="0"' in claimed
    assert re.search(HIDDEN.format("welcome-claim"), claimed)


def test_marks_are_shown_only_for_names_that_look_alike(salon: Salon) -> None:
    _, mark = salon.enter("BEN")
    page = page_of(salon, salon.label).partition("<template")[0]

    shown = re.findall(r'class="message__mark" data-shown[^>]*>(\w+)<', page)
    assert shown == [salon.ben_mark[:10], mark[:10]]
    hidden = re.findall(r'class="message__mark" title[^>]*>(\w+)<', page)
    assert {salon.hana_mark[:10], salon.ada_mark[:10]} <= set(hidden)


def test_two_messages_of_the_same_person_show_no_mark(salon: Salon) -> None:
    assert salon.ada.post("again", handle="ada")["ok"]

    assert 'class="message__mark" data-shown' not in page_of(salon, salon.label)


def test_the_page_says_how_long_messages_are_kept(salon: Salon) -> None:
    kept = "Messages are kept until their author or a host deletes them."
    assert kept in page_of(salon, salon.label)

    assert salon.moderate("expiry", seconds=86_400)["ok"]

    page = page_of(salon, salon.label)
    assert kept not in page
    assert page.count("Messages disappear after 24 hours.") == page.count('class="kept-note"')
