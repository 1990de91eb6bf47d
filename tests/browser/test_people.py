"""The page in Chromium: people, actions on messages, and the composer."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.test_reading import (
    DEVICES,
    OBSERVE_HIGHLIGHTS,
    PHONE,
    Visit,
    fill,
    here,
    post,
    somebody,
    violations,
)
from tests.servers import ConfabServer, flask_run

pytestmark = [pytest.mark.browser, pytest.mark.servers]

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
# The list of people opens above the messages, not beside them.
NARROWER: dict[str, Any] = {"viewport": {"width": 1000, "height": 800}}
GONE_MS = 20_000  # five seconds of grace, and what a busy machine takes
# Writes down what the header's count says.
WATCH = """
() => {
  window.told = []
  const count = document.querySelector(".people-button__count")
  new MutationObserver(() => window.told.push(count.textContent))
    .observe(count, { childList: true })
}
"""
SMALL = """
() => [...document.querySelectorAll("button, input, textarea")]
  .filter((each) => each.checkVisibility() && !each.closest(".skip-link"))
  .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
  .filter(([, box]) => box.width < 44 || box.height < 44).map(([what]) => what)
"""


def field(page: Page) -> Locator:
    """Where one types."""
    return page.get_by_role("textbox", name="Message", exact=True)


def is_called(page: Page, name: str) -> Page:
    """Put a name into its field."""
    page.get_by_role("textbox", name="Your name").fill(name)
    field(page).focus()
    return page


def says(page: Page, text: str) -> None:
    """Type something and send it."""
    field(page).fill(text)
    field(page).press("Control+Enter")


def sees(page: Page, *texts: str) -> None:
    """Wait until these messages, all of them stored, are what is in the page."""
    expect(page.locator("#messages .message__text")).to_have_text(list(texts))
    expect(page.locator('#messages .message[data-state="pending"]')).to_have_count(0)


def choose(page: Page, seq: int, action: str) -> None:
    """Choose something from the menu of a message."""
    page.locator(f"#m-{seq}").hover()
    page.locator(f"#m-{seq} .message__actions").click()
    page.locator(f'#menu [data-action="{action}"]').first.click()


def reactions(page: Page, seq: int) -> list[str]:
    """How people have reacted to a message."""
    texts = page.locator(f"#m-{seq} .reaction").all_inner_texts()
    return [" ".join(text.split()) for text in texts]


# Rooms that do not exist yet


def test_a_page_that_was_fetched_ahead_creates_its_room_when_it_is_shown(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    def fetch_ahead(route: Route) -> None:
        is_page = route.request.resource_type == "document"
        headers = {"purpose": "prefetch"} if is_page else {}
        route.continue_(headers=route.request.headers | headers)

    ada = visit(f"/{room}/")
    ada.route("**/fetched-ahead/", fetch_ahead)
    ada.goto(f"{server.url}/fetched-ahead/")
    expect(ada.locator("#room")).to_have_attribute("data-missing", "")

    says(is_called(ada, "Ada"), "hello")

    sees(ada, "hello")
    sees(visit("/fetched-ahead/"), "hello")


def test_creating_the_room_of_a_page_that_was_fetched_ahead_is_tried_again(
    server: ConfabServer, chromium: Browser
) -> None:
    refused: list[Route] = []

    def refuse_first_request(route: Route) -> None:
        if route.request.resource_type == "document":
            route.continue_(headers=route.request.headers | {"purpose": "prefetch"})
        elif refused:
            route.continue_()
        else:
            refused.append(route)
            route.fulfill(status=503, headers={"Retry-After": "1"})

    context = chromium.new_context()
    page = context.new_page()
    page.route("**/fetched-in-vain/", refuse_first_request)
    page.goto(f"{server.url}/fetched-in-vain/")

    says(is_called(page, "Ada"), "hello")

    sees(page, "hello")
    assert refused
    context.close()


# Names


def test_what_is_pressed_before_all_of_the_page_is_there_is_done_when_it_is(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 2)
    page = is_called(visit(f"/{room}/", **NARROWER), "Ada")
    held: list[Route] = []
    page.route("**/js/secondary.js", lambda route: held.append(route))
    page.reload()
    says(page, "hello")
    expect(page.locator("#m-3")).to_have_attribute("data-state", "sent")
    page.locator("#m-2").focus()
    page.keyboard.press("r")
    page.get_by_role("button", name="here").click()
    expect(page.get_by_role("dialog", name="here")).to_be_hidden()
    says(page, "/nick Ada Lovelace")
    expect(field(page)).to_have_value("")

    held[0].continue_()

    expect(page.get_by_role("dialog", name="here")).to_be_visible()
    expect(page.get_by_text("Replying to")).to_be_visible()
    expect(page.get_by_role("textbox", name="Your name")).to_have_value("Ada Lovelace")


def test_a_new_name_is_told_in_the_room_and_the_mark_stays(visit: Visit, room: str) -> None:
    ada, ben = is_called(visit(f"/{room}/"), "Ada"), visit(f"/{room}/")
    says(ada, "hello")
    for page in (ada, ben):
        sees(page, "hello")
    says(ada, "/nick Ada Lovelace")
    sees(ben, "hello", "is now called Ada Lovelace")
    says(ada, "it is me")

    sees(ada, "hello", "are now called Ada Lovelace", "it is me")
    expect(ada.locator("#m-2 .message__name")).to_have_text("You")
    sees(ben, "hello", "is now called Ada Lovelace", "it is me")
    expect(ben.locator("#m-2 .message__name")).to_have_text("Ada")
    for page in (ada, ben):
        expect(page.locator("#m-3 .message__name")).to_have_text("Ada Lovelace")
    mark = ben.locator("#m-1 .message__mark").text_content()
    assert mark
    assert ben.locator("#m-3 .message__mark").text_content() == mark
    ben.reload()
    sees(here(ben), "hello", "is now called Ada Lovelace", "it is me")


@pytest.mark.parametrize(
    "other",
    ["Ada", "adá", "Ad\u0430", "A\u200dda"],
    ids=["the same", "an accent", "a Cyrillic letter", "an invisible letter"],
)
def test_two_who_look_alike_by_their_names_are_told_apart_by_their_marks(
    server: ConfabServer, visit: Visit, room: str, other: str
) -> None:
    ben, cy = (visit(f"/{room}/", **WIDE) for _ in range(2))
    with somebody(server, room) as ada, somebody(server, room) as mallory:  # they hold no names
        post(ada, "hello", "Ada")
        sees(ben, "hello")
        says(is_called(ben, "Ben"), "hello too")
        sees(cy, "hello", "hello too")
        expect(cy.locator("#m-1 .message__mark")).to_be_hidden()
        expect(cy.locator("#people")).to_contain_text("Ada")
        expect(cy.locator(".person__mark").first).to_be_hidden()

        post(mallory, "give me your keys", other)
        sees(cy, "hello", "hello too", "give me your keys")
        expect(cy.locator(".person__mark").first).to_be_visible()
    marks = [cy.locator(f"#m-{seq} .message__mark") for seq in (1, 3)]
    for mark in marks:
        expect(mark).to_be_visible()
        assert re.fullmatch("[0-9a-f]{10}", mark.inner_text().strip())
    assert marks[0].inner_text() != marks[1].inner_text()


def test_somebody_who_takes_the_name_of_a_silent_person_is_told_apart(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ada, somebody(server, room) as mallory:  # they hold no names
        post(ada, "hello", "Ada")
        with somebody(server, room) as ben:
            for _ in range(50):
                post(ben, "and so on", "Ben")
        cy = visit(f"/{room}/", **WIDE)  # has not loaded the message of Ada, who is still here
        expect(cy.locator("#m-51")).to_be_visible()
        expect(cy.locator("#m-1")).to_have_count(0)
        expect(cy.locator(".message__mark[data-shown]")).to_have_count(0)

        post(mallory, "give me your keys", "Ada")

        expect(cy.locator("#m-52 .message__mark")).to_be_visible()


def test_a_menu_says_whose_message_it_is_about(visit: Visit, room: str) -> None:
    ada, ben = is_called(visit(f"/{room}/"), "Ada"), visit(f"/{room}/")
    says(ada, "the train is late\nagain")
    sees(ben, "the train is late\nagain")
    ben.locator("#m-1").focus()
    ben.keyboard.press("Enter")
    expect(ben.get_by_role("dialog", name="Ada: the train is late")).to_be_visible()


def test_whoever_wants_the_name_of_somebody_here_is_offered_another(
    visit: Visit, room: str
) -> None:
    ada, ben = is_called(visit(f"/{room}/"), "Adá"), visit(f"/{room}/")
    says(ada, "hello")
    sees(ben, "hello")

    is_called(ben, "ada")
    expect(ben.locator("#composer-hint")).to_contain_text('The name "ada" is taken')
    ben.get_by_role("button", name='Use "ada 2"').click()

    expect(ben.get_by_role("textbox", name="Your name")).to_have_value("ada 2")
    is_called(ben, "ada")
    says(ben, "I am also called so")
    expect(ben.locator(".send-error__text")).to_contain_text('The name "ada" is taken')
    expect(ada.locator(".message")).to_have_count(1)
    ben.locator('[data-action="use-name"]').click()
    sees(ada, "hello", "I am also called so")
    expect(ada.locator(".message__name").last).to_have_text("ada 2")
    expect(ben.locator(".send-error")).to_have_count(0)


# Who is here


def test_people_are_listed_once_however_many_tabs_they_have_and_leave_the_list(
    visit: Visit, room: str
) -> None:
    ada, ben = is_called(visit(f"/{room}/", **WIDE), "Ada"), is_called(visit(f"/{room}/"), "Ben")
    says(ben, "hello")
    sees(ada, "hello")
    second = ben.context.new_page()
    second.goto(ada.url)
    here(second)
    expect(ada.get_by_role("button", name="2 people here")).to_be_visible()

    panel = ada.get_by_role("dialog", name="2 people here")
    expect(panel.locator(".person__name")).to_have_text(["Ben", "No name yet"])
    expect(panel.locator(".person__note")).to_have_text(["", "you"])
    panel.get_by_role("button", name="Ben").first.click()
    expect(field(ada)).to_have_value("@Ben ")
    expect(field(ada)).to_be_focused()
    ben.context.close()

    expect(ada.get_by_role("dialog", name="1 person here")).to_be_visible(timeout=GONE_MS)
    expect(ada.locator("#people .person__note")).to_have_text(["you"])


def test_a_reload_is_told_to_nobody(visit: Visit, room: str) -> None:
    ada, ben = visit(f"/{room}/"), visit(f"/{room}/")
    expect(ada.get_by_role("button", name="2 people here")).to_be_visible()
    ada.evaluate(WATCH)

    ben.reload()
    here(ben)
    expect(ben.get_by_role("button", name="2 people here")).to_be_visible()
    ada.wait_for_timeout(6000)  # longer than the grace

    assert set(ada.evaluate("told")) <= {"2"}


def test_who_writes_is_seen_until_they_have_said_it_or_stopped_and_nothing_moves(
    visit: Visit, room: str
) -> None:
    ada, ben = visit(f"/{room}/"), is_called(visit(f"/{room}/"), "Ben")
    line = ada.locator("#typing")
    before = field(ada).bounding_box()

    field(ben).press_sequentially("/me w")
    field(ben).fill("")
    field(ben).press_sequentially("hel")
    expect(line).to_have_text("Ben is typing")
    assert field(ada).bounding_box() == before
    expect(ben.locator("#typing")).to_have_text("")
    field(ben).press_sequentially("lo")
    field(ben).press("Enter")
    sees(ada, "hello")
    expect(line).to_have_text("", timeout=1000)
    ben.wait_for_timeout(3100)  # what is told again sooner is not passed on
    field(ben).press_sequentially("and")
    expect(line).to_have_text("Ben is typing")
    expect(line).to_have_text("", timeout=GONE_MS)


# Edit, delete, reply, react


def test_the_last_message_is_edited_in_place_and_the_draft_comes_back(
    visit: Visit, room: str
) -> None:
    ada, ben = is_called(visit(f"/{room}/"), "Ada"), visit(f"/{room}/")
    says(ada, "helo")
    for page in (ada, ben):
        sees(page, "helo")

    field(ada).press("ArrowUp")
    expect(field(ada)).to_have_value("helo")
    expect(ada.locator(".composer__mode")).to_contain_text("Editing")
    field(ada).fill("hello")
    field(ada).press("Enter")

    for page in (ada, ben):
        sees(page, "hello")
        expect(page.locator("#m-1 .message__note")).to_have_text("edited")
    field(ada).fill("a draft")
    choose(ada, 1, "edit")
    field(ada).fill("hello again")
    field(ada).press("Escape")
    expect(field(ada)).to_have_value("a draft")
    sees(ben, "hello")
    choose(ada, 1, "edit")
    expect(field(ada)).to_have_value("hello again")
    field(ada).press("Enter")
    sees(ben, "hello again")
    expect(field(ada)).to_have_value("a draft")


def test_an_edit_of_what_is_deleted_meanwhile_comes_back_to_the_composer(
    visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    says(ada, "helo")
    sees(ada, "helo")
    other = ada.context.new_page()
    other.goto(ada.url)
    field(ada).press("ArrowUp")
    field(ada).fill("many words")

    choose(here(other), 1, "delete")
    other.get_by_role("button", name="Delete", exact=True).click()
    sees(ada, "Message deleted")
    field(ada).press("Enter")

    expect(field(ada)).to_have_value("many words")
    expect(ada.locator("#composer-hint")).to_contain_text("deleted")
    expect(ada.locator(".composer__mode")).to_be_hidden()
    sees(ada, "Message deleted")
    expect(field(other)).to_have_value("")


def test_deleting_is_asked_for_and_erases_the_text_for_everybody(visit: Visit, room: str) -> None:
    ada, ben = is_called(visit(f"/{room}/"), "Ada"), is_called(visit(f"/{room}/"), "Ben")
    says(ada, "a secret")
    sees(ben, "a secret")
    choose(ben, 1, "reply")
    says(ben, "oh")
    expect(ada.locator("#m-2 .reply")).to_have_text("Ada a secret")

    choose(ada, 1, "delete")
    ada.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    sees(ben, "a secret", "oh")
    field(ada).press("ArrowUp")
    field(ada).fill("")
    field(ada).press("Enter")
    ada.get_by_role("button", name="Delete", exact=True).click()

    for page in (ada, ben):
        sees(page, "Message deleted", "oh")
        expect(page.locator("#m-2 .reply")).to_have_text("Message deleted")
        expect(page.locator("#m-1 .message__name")).to_be_empty()
        expect(page.locator("#m-1")).to_have_attribute("data-side", "other")
        assert "a secret" not in page.locator("#messages").inner_text()


def test_a_reply_shows_what_it_replies_to_and_leads_there(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 120)
    ada = is_called(visit(f"/{room}/", **WIDE), "Ada")
    choose(ada, 118, "reply")
    expect(ada.locator(".composer__mode")).to_contain_text("Replying to Ben: number 118")
    field(ada).press("Escape")
    expect(ada.locator(".composer__mode")).to_be_hidden()
    choose(ada, 118, "reply")
    says(ada, "I see")
    expect(ada.locator("#m-121")).to_contain_text("I see")
    with somebody(server, room) as ben:
        assert ben.ask("chat", {"handle": "Ben", "message": "long ago", "reply_to": 5})["ok"]

    expect(ada.locator("#m-121 .reply")).to_contain_text("Ben number 118")
    far = ada.locator("#m-122 .reply")
    expect(far).to_contain_text("Ben number 5 ")
    ada.evaluate(OBSERVE_HIGHLIGHTS)
    far.click()
    expect(ada.locator("#m-5")).to_be_in_viewport()
    ada.wait_for_function("() => highlighted.includes('m-5')")
    expect(visit(f"/{room}/").locator("#m-122 .reply")).to_contain_text("Ben number 5 ")


def test_reactions_are_counted_shared_and_taken_back(visit: Visit, room: str) -> None:
    ada, ben = is_called(visit(f"/{room}/"), "Ada"), is_called(visit(f"/{room}/"), "Ben")
    says(ada, "good news")
    sees(ben, "good news")
    says(ben, "what?")
    sees(ada, "good news", "what?")

    choose(ben, 1, "react")
    expect(ada.locator("#m-1 .reaction")).to_have_text("👍 1")
    ada.locator("#m-1 .reaction").click()
    expect(ben.locator("#m-1 .reaction")).to_have_text("👍 2")
    ben.locator("#m-1 .message__actions").click()
    expect(ben.locator(".menu__reactors")).to_have_text("👍 You, Ada")
    ben.keyboard.press("Escape")
    expect(ada.locator("#m-1 .reaction")).to_have_attribute("aria-pressed", "true")
    choose(ben, 1, "all-emoji")
    ben.locator('#menu [data-emoji="🚀"]').click()
    expect(ada.locator("#m-1 .reaction")).to_have_text(["👍 2", "🚀 1"])
    ada.reload()
    assert reactions(here(ada), 1) == ["👍 2", "🚀 1"]
    ada.locator("#m-1 .reaction").first.click()
    ben.locator("#m-1 .reaction").first.click()
    for page in (ada, ben):
        expect(page.locator("#m-1 .reaction")).to_have_text(["🚀 1"])


def test_changes_made_while_the_server_is_away_show_at_once_and_are_stored_later(
    chromium: Browser, tmp_path: Path
) -> None:
    with flask_run(tmp_path / "server") as server:
        context = chromium.new_context()
        address = f"{server.url}/kitchen/"
        ada = context.new_page()
        ada.goto(address)
        is_called(here(ada), "Ada")
        says(ada, "helo")
        sees(ada, "helo")

        server.kill()
        expect(ada.locator("#connection")).to_contain_text("Reconnecting", timeout=GONE_MS)
        field(ada).press("ArrowUp")
        field(ada).fill("hello")
        field(ada).press("Enter")
        choose(ada, 1, "react")
        expect(ada.locator("#m-1 .message__text")).to_have_text("hello")
        expect(ada.locator("#m-1")).to_have_attribute("data-state", "pending")
        assert reactions(ada, 1) == ["👍 1"]
        ada.goto("about:blank")
        server.start()
        ada.goto(address)

        sees(here(ada), "hello")
        expect(ada.locator("#m-1 .reaction")).to_have_text(["👍 1"])
        ben = chromium.new_context().new_page()
        ben.goto(address)
        sees(here(ben), "hello")
        expect(ben.locator("#m-1 .reaction")).to_have_text(["👍 1"])
        for each in (ada, ben):
            each.context.close()


def test_the_keyboard_does_all_that_the_menu_does(visit: Visit, room: str) -> None:
    ada = is_called(visit(f"/{room}/", **NARROWER), "Ada")
    says(ada, "one")
    sees(ada, "one")
    message = ada.locator("#m-1")
    ada.keyboard.press("F6")
    ada.keyboard.press("F6")
    ada.keyboard.press("ArrowUp")
    expect(message).to_be_focused()

    ada.keyboard.press("Enter")
    menu = ada.get_by_role("dialog", name="Ada: ")
    expect(menu).to_be_visible()
    ada.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(message).to_be_focused()
    ada.keyboard.press("+")
    expect(ada.locator("#m-1 .reaction")).to_have_text("👍 1")
    message.focus()
    ada.keyboard.press("r")
    expect(ada.locator(".composer__mode")).to_contain_text("Replying to Ada: one")
    expect(field(ada)).to_be_focused()
    ada.keyboard.press("Escape")
    message.focus()
    ada.keyboard.press("e")
    expect(field(ada)).to_have_value("one")
    ada.keyboard.press("Escape")
    message.focus()
    ada.keyboard.press("Delete")
    expect(ada.get_by_role("dialog", name="Delete this message?")).to_be_visible()
    ada.keyboard.press("Escape")
    sees(ada, "one")
    ada.locator("#log").focus()
    ada.keyboard.type("so")
    expect(field(ada)).to_have_value("so")


def test_whoever_is_ignored_is_not_read_until_that_is_undone(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/", **WIDE), "Ada")
    with somebody(server, room) as ben:
        post(ben, "buy this")
        expect(ada.locator("#m-1")).to_be_visible()
        choose(ada, 1, "ignore")
        expect(ada.locator("#m-1")).to_be_hidden()
        post(ben, "and this")
        expect(ada.locator("#m-2")).to_be_attached()
        expect(ada.locator("#m-2")).to_be_hidden()
        assert ada.locator("#announcements").inner_text().count("this") <= 1
        ada.reload()
        expect(here(ada).locator("#m-1")).to_be_hidden()

        person = ada.locator("#people .person", has_text="ignored")
        person.get_by_role("button", name="Actions for Ben").click()
        ada.get_by_role("menuitem", name="Stop ignoring").click()
        expect(ada.locator("#m-2")).to_be_visible()


# The composer


def test_a_draft_is_kept_in_its_room_until_it_is_sent(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    field(ada).press_sequentially("half a thou")
    field(ada).press("Escape")
    expect(field(ada)).to_have_value("half a thou")

    ada.reload()
    expect(field(here(ada))).to_have_value("half a thou")
    ada.goto(f"{server.url}/{server.room('elsewhere')}/")
    expect(field(here(ada))).to_have_value("")
    ada.goto(f"{server.url}/{room}/")
    says(here(ada), "a whole one")
    sees(ada, "a whole one")
    ada.reload()
    expect(field(here(ada))).to_have_value("")
    choose(ada, 1, "reply")
    field(ada).fill("because")
    ada.reload()
    expect(here(ada).locator(".composer__mode")).to_contain_text("Replying to Ada")
    says(ada, "because")
    expect(ada.locator("#m-2 .reply")).to_contain_text("a whole one")


def test_names_are_offered_behind_an_at(server: ConfabServer, visit: Visit, room: str) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "Ben")
    with somebody(server, room) as zoe:
        post(zoe, "hello", "Zoë Brontë")
    ada = is_called(visit(f"/{room}/"), "Ada")
    names = ada.get_by_role("listbox", name="Names").get_by_role("option")

    field(ada).press_sequentially("hi @")
    expect(names).to_have_count(2)
    field(ada).press_sequentially("BRO")
    expect(names).to_have_text(["Zoë Brontë"])
    field(ada).press("Tab")
    expect(field(ada)).to_have_value("hi @Zoë Brontë ")
    field(ada).press_sequentially("and @")
    field(ada).press("ArrowDown")
    chosen = names.nth(1).inner_text()
    field(ada).press("Enter")
    expect(field(ada)).to_have_value(f"hi @Zoë Brontë and @{chosen} ")
    field(ada).press_sequentially("@b")
    field(ada).press("Escape")
    expect(names).to_have_count(0)
    expect(field(ada)).to_have_value(f"hi @Zoë Brontë and @{chosen} @b")


def typing_with_ta_and_tam(
    server: ConfabServer, visit: Visit, room: str, **settings: Any
) -> tuple[Page, Locator]:
    """Ada's page in a room with Ta and Tam, and the names that are offered there."""
    # The last speaker is offered first, also when both have left the list of people.
    for name in ("Tam", "Ta"):
        with somebody(server, room) as other:
            post(other, "hello", name)
    ada = is_called(visit(f"/{room}/", **settings), "Ada")
    return ada, ada.get_by_role("listbox", name="Names").get_by_role("option")


@pytest.mark.parametrize("key", ["Tab", "Enter"])
def test_a_message_that_ends_with_a_chosen_name_is_sent_with_enter(
    server: ConfabServer, visit: Visit, room: str, key: str
) -> None:
    ada, names = typing_with_ta_and_tam(server, visit, room)

    field(ada).press_sequentially("thanks @t")
    expect(names).to_have_text(["Ta", "Tam"])
    field(ada).press(key)
    expect(field(ada)).to_have_value("thanks @Ta ")
    expect(names).to_have_count(0)
    field(ada).press("Enter")

    sees(ada, "hello", "hello", "thanks @Ta")
    expect(field(ada)).to_have_value("")


@pytest.mark.parametrize(
    "typed",
    ["@Ta", "@Ta ", "@Tam", "and @Ta and @Ta"],
    ids=["a name", "a space behind", "a longer name", "two names"],
)
def test_enter_sends_when_the_whole_name_is_typed(
    server: ConfabServer, visit: Visit, room: str, typed: str
) -> None:
    ada, _ = typing_with_ta_and_tam(server, visit, room)

    field(ada).press_sequentially(f"thanks {typed}")
    field(ada).press("Enter")

    sees(ada, "hello", "hello", f"thanks {typed.strip()}")


def test_a_longer_name_is_still_chosen_with_an_arrow(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada, names = typing_with_ta_and_tam(server, visit, room)

    field(ada).press_sequentially("@Ta")
    expect(names.nth(0)).to_have_attribute("aria-selected", "true")
    field(ada).press("ArrowDown")
    field(ada).press("Enter")

    expect(field(ada)).to_have_value("@Tam ")
    field(ada).press("Enter")
    sees(ada, "hello", "hello", "@Tam")


def test_a_name_of_several_words_is_chosen_and_typed_as_a_whole(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    for name in ("Zoë Brontë", "Adam Zoë Brontë"):
        with somebody(server, room) as other:
            post(other, "hello", name)
    ada = is_called(visit(f"/{room}/"), "Ada")
    names = ada.get_by_role("listbox", name="Names").get_by_role("option")

    field(ada).press_sequentially("@zoë b")
    expect(names).to_have_count(2)
    field(ada).press("ArrowDown")
    field(ada).press("Tab")
    chosen = field(ada).input_value()
    field(ada).press("Enter")
    sees(ada, "hello", "hello", chosen.strip())
    field(ada).press_sequentially("bye @Zoë Brontë")
    field(ada).press("Enter")

    sees(ada, "hello", "hello", chosen.strip(), "bye @Zoë Brontë")


def test_names_stay_closed_after_one_is_chosen_or_escape_until_there_is_a_new_at(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada, names = typing_with_ta_and_tam(server, visit, room)

    field(ada).press_sequentially("@t")
    field(ada).press("Tab")
    for key in ("Space", "Backspace", "Backspace", "Space", "t", "Backspace"):
        field(ada).press(key)
        expect(names).to_have_count(0)
    field(ada).press_sequentially("@t")
    expect(names).to_have_count(2)
    field(ada).press("Escape")
    field(ada).press_sequentially("a")
    expect(names).to_have_count(0)
    field(ada).press_sequentially(" @")
    expect(names).to_have_count(2)
    field(ada).press("Escape")
    field(ada).press("Control+A")
    field(ada).press_sequentially("@ta")
    expect(names).to_have_count(2)
    field(ada).press("Escape")
    field(ada).press("Enter")

    sees(ada, "hello", "hello", "@ta")


def test_a_name_in_the_middle_of_a_message_is_chosen_and_the_message_sent(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada, names = typing_with_ta_and_tam(server, visit, room)

    field(ada).fill("thanks , see you")
    field(ada).press("Home")
    for _ in "thanks ":
        field(ada).press("ArrowRight")
    field(ada).press_sequentially("@Ta")
    expect(names).to_have_count(2)
    field(ada).press("Tab")
    expect(field(ada)).to_have_value("thanks @Ta , see you")
    field(ada).press_sequentially("@t")
    expect(names).to_have_count(2)
    field(ada).press("Home")  # away from the name: nothing of it is left to choose
    field(ada).press("Enter")

    sees(ada, "hello", "hello", "thanks @Ta @t, see you")
    expect(names).to_have_count(0)


def test_control_enter_and_the_button_send_while_names_are_offered(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada, names = typing_with_ta_and_tam(server, visit, room)

    field(ada).press_sequentially("one @t")
    expect(names).to_have_count(2)
    field(ada).press("Control+Enter")
    sees(ada, "hello", "hello", "one @t")
    expect(names).to_have_count(0)
    field(ada).press_sequentially("two @t")
    expect(names).to_have_count(2)
    ada.get_by_role("button", name="Send").click()
    sees(ada, "hello", "hello", "one @t", "two @t")
    expect(names).to_have_count(0)
    field(ada).press("Tab")

    expect(field(ada)).to_have_value("")


def test_a_name_is_chosen_with_the_mouse_and_the_message_sent_with_enter(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada, names = typing_with_ta_and_tam(server, visit, room)

    field(ada).press_sequentially("thanks @t")
    names.nth(1).click()
    expect(field(ada)).to_have_value("thanks @Tam ")
    expect(names).to_have_count(0)
    expect(field(ada)).to_be_focused()
    field(ada).press("Enter")

    sees(ada, "hello", "hello", "thanks @Tam")


def test_what_begins_with_a_slash_is_a_command_or_is_not_sent(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    says(ada, "/me waves\nand smiles")
    expect(ada.locator("#m-1 em")).to_have_text(["waves", "and smiles"])
    says(ada, "/dance")
    expect(ada.locator("#composer-hint")).to_contain_text("no command /dance")
    expect(field(ada)).to_have_value("/dance")
    ada.get_by_role("button", name="Send as text").click()
    says(ada, "//help")
    says(ada, "/usr/bin is a folder")
    expect(ada.locator("#messages .message__text").last).to_have_text("/usr/bin is a folder")
    assert ada.locator("#messages .message__text").all_inner_texts()[1:] == [
        "/dance",
        "/help",
        "/usr/bin is a folder",
    ]

    says(ada, "/help")
    expect(ada.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    ada.keyboard.press("Escape")
    says(ada, "/who")
    expect(ada.get_by_role("dialog", name="1 person here")).to_be_visible()
    ada.get_by_role("button", name="Close").click()
    says(ada, "/leave")
    expect(ada).to_have_url(f"{server.url}/")


def test_a_long_name_given_by_command_keeps_whole_characters_and_can_be_used(
    visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    says(ada, "/nick a" + "\U0001f600" * 70)
    expect(ada.get_by_role("textbox", name="Your name")).to_have_value("a" + "\U0001f600" * 63)
    says(ada, "hello")

    expect(ada.locator('.message[data-state="sent"]')).to_have_count(1)


def test_what_is_too_long_is_explained_and_can_be_sent_in_parts(visit: Visit, room: str) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    field(ada).fill("word " * 700)
    expect(ada.locator("#composer-count")).to_have_text("")
    field(ada).fill("word " * 790)
    expect(ada.locator("#composer-count")).to_have_text("50 left")

    field(ada).fill("")
    ada.evaluate("() => document.execCommand('insertText', false, 'word '.repeat(900))")
    expect(ada.locator("#composer-count")).to_have_text("500 too many")
    field(ada).press("Enter")
    expect(ada.locator("#composer-hint")).to_contain_text("500 characters too long")
    expect(ada.locator(".message")).to_have_count(0)
    ada.get_by_role("button", name="Send as 2 messages").click()

    expect(ada.locator('.message[data-state="sent"]')).to_have_count(2)
    expect(field(ada)).to_have_value("")


# For everybody


@DEVICES
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_what_opens(
    server: ConfabServer, visit: Visit, room: str, device: dict[str, Any], theme: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello")
        assert ben.ask("chat", {"handle": "Ben", "message": "and again", "reply_to": 1})["ok"]
        assert ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
        assert ben.ask("rename", {"handle": "Benjamin"})["ok"]
    ada = is_called(
        visit(f"/{room}/", color_scheme=theme, reduced_motion="reduce", **device), "Ada"
    )
    says(ada, "mine")
    expect(ada.locator("#m-5")).to_have_attribute("data-state", "sent")
    ada.locator("#m-5").focus()
    ada.keyboard.press("+")
    expect(ada.locator("#m-5 .reaction")).to_have_attribute("aria-pressed", "true")
    assert violations(ada) == []
    ada.locator("#m-5").focus()
    ada.keyboard.press("Enter")
    assert violations(ada) == []
    ada.locator('#menu [data-action="all-emoji"]').click()
    assert violations(ada) == []
    ada.keyboard.press("Escape")
    ada.keyboard.press("Delete")
    assert violations(ada) == []
    ada.keyboard.press("Escape")
    ada.keyboard.press("e")
    field(ada).fill("/dance @B")
    field(ada).press("End")
    field(ada).press_sequentially("e")
    expect(ada.get_by_role("option")).to_have_count(1)
    assert violations(ada) == []
    ada.keyboard.press("Escape")
    ada.keyboard.press("Escape")
    says(ada, "/dance")
    assert violations(ada) == []
    if device is PHONE:
        ada.locator("#people-button").click()
    expect(ada.locator("#people")).to_be_visible()
    assert violations(ada) == []


def test_under_a_thumb_what_is_new_is_large_enough_and_nothing_runs_off(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "w" * 64)
        assert ben.ask("chat", {"handle": "w" * 64, "message": "y" * 300, "reply_to": 1})["ok"]
        for emoji in "👍🎉😮🙏🔥💯🚀🎂":
            assert ben.ask("react", {"seq": 2, "emoji": emoji, "on": True})["ok"]
        ada = is_called(
            visit(f"/{room}/", **{**PHONE, "viewport": {"width": 320, "height": 568}}), "Ada"
        )
        expect(ada.locator("#m-2 .reaction")).to_have_count(8)
        ada.locator("#m-2").focus()
        ada.keyboard.press("r")
        field(ada).fill("/dance")
        field(ada).press("Control+Enter")
        assert ada.evaluate(SMALL) == []
        assert ada.evaluate("document.scrollingElement.scrollWidth") == 320
        assert ada.locator("#log").evaluate("(log) => log.scrollWidth - log.clientWidth") == 0
        ada.locator("#people-button").click()
        expect(ada.locator("#people .person")).to_have_count(2)
        assert ada.evaluate(SMALL) == []
        assert (
            ada.locator("#people").evaluate("(panel) => panel.scrollWidth - panel.clientWidth") == 0
        )
