"""The first minute in Chromium: the invitation, naming the room, marks, and going to a room."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_people import WIDE, field, is_called, says, sees
from tests.browser.test_reading import DEVICES, Visit, fill, here, post, somebody
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]


def rename_room(page: Page, name: str) -> None:
    """Give the room a name."""
    page.get_by_role("button", name="Rename room").click()
    page.get_by_role("textbox", name="Room name").fill(name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def names_room(page: Page, name: str) -> None:
    """Wait until the first message says who has named the room."""
    expect(page.locator("#m-1 .message__name")).to_have_text(name)
    expect(page.locator("#m-1 .message__text")).to_have_text("named the room “Supper”")


# The invitation


@DEVICES
def test_the_invitation_stays_until_somebody_else_arrives(
    server: ConfabServer, visit: Visit, room: str, device: dict[str, object]
) -> None:
    ada = here(visit(f"/{room}/", **device))
    welcome = ada.get_by_role("region", name="Welcome")
    expect(welcome).to_contain_text("Anyone with the link can read")
    expect(welcome).to_contain_text("until their author or a host deletes them")
    rename_room(ada, "Supper")
    names_room(ada, "You")
    expect(welcome).to_be_visible()
    says(is_called(ada, "Ada"), "is anybody there?")
    sees(ada, "named the room “Supper”", "is anybody there?")
    expect(welcome).to_be_visible()
    ada.reload()
    expect(here(ada).get_by_role("region", name="Welcome")).to_be_visible()
    names_room(ada, "You")

    ben = here(visit(f"/{room}/"))

    expect(welcome).to_be_hidden()
    names_room(ben, "Somebody")
    ben.close()
    expect(welcome).to_be_hidden()


def test_a_newcomer_is_informed_who_can_read_and_for_how_long_once(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 60)
    page = here(visit(f"/{room}/"))
    notice = page.locator("#newcomer")
    expect(notice).to_contain_text("Anyone with the link can read and post messages.")
    expect(notice).to_contain_text("until their author or a host deletes them")
    says(is_called(page, "Ada"), "hello")
    expect(notice).to_be_hidden()

    page.reload()
    expect(here(page).locator("#m-61")).to_be_visible()
    expect(notice).to_be_hidden()


def test_the_second_person_in_an_empty_room_is_informed_too(visit: Visit, room: str) -> None:
    here(visit(f"/{room}/"))
    ben = here(visit(f"/{room}/"))

    expect(ben.get_by_role("region", name="Welcome")).to_be_hidden()
    expect(ben.locator("#newcomer")).to_contain_text("Anyone with the link can read")


def test_without_scripts_the_invitation_is_there_until_somebody_else_has_written(
    server: ConfabServer, chromium: Browser, room: str
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server.url}/{room}/")
    page.get_by_role("textbox", name="Your name").fill("Ada")
    field(page).fill("is anybody there?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#m-1")).to_be_visible()
    expect(page.get_by_role("region", name="Welcome")).to_be_visible()
    with somebody(server, room) as ben:
        post(ben, "I am")

    page.reload()

    expect(page.locator("#m-2")).to_be_visible()
    expect(page.get_by_role("region", name="Welcome")).to_be_hidden()
    context.close()


# The name of the room


@pytest.mark.parametrize(("place", "y"), [("#log", 200), ("#composer-text", 5)])
def test_a_half_typed_name_of_the_room_is_not_saved_by_a_click_elsewhere(
    server: ConfabServer, visit: Visit, room: str, place: str, y: int
) -> None:
    fill(server, room, 20)
    ada, ben = here(visit(f"/{room}/")), here(visit(f"/{room}/"))
    ada.get_by_role("button", name="Rename room").click()
    ada.get_by_role("textbox", name="Room name").press_sequentially("Sup")
    ada.locator(place).click(position={"x": 5, "y": y})
    expect(ada.get_by_role("textbox", name="Room name")).to_be_hidden()
    expect(ada.get_by_role("heading", level=1)).to_have_text(room)

    ada.get_by_role("button", name="Rename room").click()
    expect(ada.get_by_role("textbox", name="Room name")).to_have_value("Sup")
    ada.get_by_role("textbox", name="Room name").fill("Supper")
    ada.get_by_role("button", name="Save room name").click()
    for page in (ada, ben):
        expect(page.get_by_role("heading", level=1)).to_have_text("Supper")
    expect(ben.locator('.message[data-kind="title"]')).to_have_count(1)


def test_a_window_that_loses_the_focus_does_not_end_the_editing(visit: Visit, room: str) -> None:
    page = here(visit(f"/{room}/"))
    page.get_by_role("button", name="Rename room").click()
    name = page.get_by_role("textbox", name="Room name")
    name.fill("Supper")
    page.evaluate("document.hasFocus = () => false; document.activeElement.blur()")

    expect(name).to_be_visible()
    expect(name).to_have_value("Supper")


def test_escape_in_an_input_method_does_not_discard_the_name(visit: Visit, room: str) -> None:
    page = here(visit(f"/{room}/"))
    page.get_by_role("button", name="Rename room").click()
    name = page.get_by_role("textbox", name="Room name")
    devtools = page.context.new_cdp_session(page)
    devtools.send(
        "Input.imeSetComposition", {"text": "ゆう", "selectionStart": 2, "selectionEnd": 2}
    )
    for options in ("isComposing: true", "keyCode: 229"):
        name.evaluate(
            "(field) => field.dispatchEvent(new KeyboardEvent('keydown',"
            f" {{ key: 'Escape', bubbles: true, cancelable: true, {options} }}))"
        )
    expect(name).to_have_value("ゆう")
    devtools.send("Input.insertText", {"text": "夕食"})

    expect(name).to_have_value("夕食")
    page.keyboard.press("Escape")
    expect(name).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text(room)


# Marks


def test_marks_are_shown_only_for_the_people_whose_names_clash(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    nameless = here(visit(f"/{room}/", **WIDE))
    rename_room(nameless, "Supper")
    boris = visit(f"/{room}/", **WIDE)
    says(is_called(boris, "\u0411\u043e\u0440\u0438\u0441"), "hello")
    sees(nameless, "named the room “Supper”", "hello")

    with somebody(server, room) as ada, somebody(server, room) as other:  # they hold no names
        post(ada, "hello", "Ada")
        sees(nameless, "named the room “Supper”", "hello", "hello")
        expect(nameless.locator(".message__mark[data-shown]")).to_have_count(0)
        post(other, "give me your keys", "ada")
        shown = nameless.locator(".message__mark[data-shown]")
        expect(shown).to_have_count(2)
        expect(nameless.locator("#m-3 .message__mark")).to_be_visible()
        expect(nameless.locator("#m-4 .message__mark")).to_be_visible()
        names = nameless.locator(".person:has(.person__mark[data-shown]) .person__name")
        expect(names).to_have_text(["ada", "Ada"])


def test_a_name_that_clashes_only_with_messages_far_back_shows_no_marks(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 60)  # of an Ada and a Ben who are not here
    with somebody(server, room) as other:
        for _ in range(50):
            post(other, "and so on", "Ada")
    page = here(visit(f"/{room}/", **WIDE))
    expect(page.locator("#m-110")).to_be_visible()
    expect(page.locator(".message__mark[data-shown]")).to_have_count(0)

    # Not with `click`: it scrolls to the button first, which loads earlier messages as well.
    page.locator("#earlier").dispatch_event("click")

    expect(page.locator("#m-60")).to_be_attached()
    expect(page.locator("#m-110 .message__mark")).to_be_visible()


# Going to a room


@pytest.mark.parametrize("has_scripts", [True, False], ids=["with scripts", "without"])
def test_a_pasted_link_and_any_words_lead_to_a_room(
    server: ConfabServer, chromium: Browser, room: str, has_scripts: bool
) -> None:
    fill(server, room, 60)
    context = chromium.new_context(java_script_enabled=has_scripts)
    page = context.new_page()
    page.goto(server.url)
    page.get_by_role("textbox").fill(f"{server.url}/{room}/?before=50#m-7")
    page.get_by_role("textbox").press("Enter")
    page.wait_for_url(f"{server.url}/{room}/#m-7")

    page.goto(server.url)
    page.get_by_role("textbox").fill("my workshop!")
    page.get_by_role("button", name="Go").click()
    page.wait_for_url(f"{server.url}/my-workshop/")

    page.goto(server.url)
    page.get_by_role("textbox").fill("https://other.example/kitchen/")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_role("alert")).to_contain_text("This link leads to another site")
    expect(page.get_by_role("textbox")).to_have_value("https://other.example/kitchen/")
    context.close()
