"""The page in Chromium: hosts and moderators, and what they do to a room and its people.

Hana is the host; Ben and Cy are in her room.
"""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_expiry import raise_floor
from tests.browser.test_offline import BACK_MS
from tests.browser.test_people import choose, field, is_called, says
from tests.browser.test_reading import Visit, here, violations
from tests.browser.test_tabs import HIDDEN, VISIBLE
from tests.browser.touch import PHONE, Finger
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
# What can be undone for five seconds can be undone for a minute, also on a slow machine.
LONG_UNDO = """() => {
  const setTimer = window.setTimeout.bind(window)
  window.setTimeout = (work, delayMs, ...rest) => {
    return setTimer(work, delayMs === 5000 ? 60_000 : delayMs, ...rest)
  }
}"""
SHEETS = ["mute", "ban", "delete-all", "hand-over"]


def new_room(visit: Visit, **settings: Any) -> tuple[Page, str]:
    """Let Hana press *New room*; return her page and the path of the room."""
    hana = is_called(visit("/new/", **{**WIDE, **settings}), "Hana")
    says(hana, "hello")
    sent(hana, "hello")
    return hana, re.sub(r"^.*?//[^/]+", "", hana.url)


def enter(visit: Visit, path: str, name: str, **settings: Any) -> Page:
    """Let somebody enter the room and say that they are there."""
    page = is_called(visit(path, **{**WIDE, **settings}), name)
    says(page, f"{name} is here")
    sent(page, f"{name} is here")
    return page


def sent(page: Page, text: str) -> None:
    """Wait until a message is stored."""
    message = page.locator('.message[data-state="sent"]', has_text=text)
    expect(message).to_have_count(1)


def host_action(hana: Page, name: str, action: str) -> None:
    """Choose something from the menu of a person in the list of people."""
    hana.get_by_role("button", name=f"Actions for {name}").click()
    hana.locator(f'#person-menu [data-action="{action}"]').click()


def confirm(page: Page, name: str) -> None:
    """Answer the question that is open."""
    page.locator("dialog:modal").get_by_role("button", name=name, exact=True).click()


def notice(page: Page) -> Locator:
    """What the composer says about posting."""
    return page.locator(".composer__notice")


def system_message(page: Page, text: str) -> Locator:
    """The announcement of an action."""
    return page.locator('.message[data-kind="moderation"]', has_text=text)


def test_the_creator_of_a_room_is_its_host_and_has_a_badge(visit: Visit) -> None:
    hana, path = new_room(visit)
    expect(hana.locator("#welcome-host")).to_be_visible()
    ben = enter(visit, path, "Ben")

    person = ben.locator(".person", has_text="Hana")
    expect(person.locator(".badge")).to_have_text("host")
    expect(ben.locator("#m-1 .badge")).to_have_text("host")
    expect(ben.locator(".message", has_text="Ben is here").locator(".badge")).to_be_hidden()
    ben.locator("#m-1").hover()
    ben.locator("#m-1 .message__actions").click()
    expect(ben.locator('#menu [data-action="moderate"]')).to_be_hidden()
    expect(ben.locator('#menu [data-action="delete"]')).to_be_hidden()


def test_a_muted_person_keeps_their_text_until_the_host_undoes_it(visit: Visit) -> None:
    hana, path = new_room(visit)
    hana.evaluate(LONG_UNDO)
    ben = enter(visit, path, "Ben")
    host_action(hana, "Ben", "mute")
    confirm(hana, "Mute")

    expect(notice(ben)).to_contain_text("Hana has muted you until")
    expect(system_message(ben, "Hana muted Ben for 10 minutes")).to_have_count(1)
    expect(ben.locator("#announcements")).to_contain_text("Hana muted Ben for 10 minutes")
    says(ben, "but I have to say this")
    expect(field(ben)).to_have_value("but I have to say this")
    expect(ben.locator("#composer-hint")).to_contain_text("Not sent. Your text stays here.")
    hana.locator("#toast").get_by_role("button", name="Undo").click()

    expect(notice(ben)).to_be_hidden()
    field(ben).press("Control+Enter")
    sent(ben, "but I have to say this")


def test_a_muted_person_is_told_after_a_reload_that_no_longer_shows_the_announcement(
    visit: Visit, server: ConfabServer
) -> None:
    hana, path = new_room(visit)
    hana.evaluate(LONG_UNDO)
    ben = enter(visit, path, "Ben")
    host_action(hana, "Ben", "mute")
    confirm(hana, "Mute")
    expect(system_message(ben, "Hana muted Ben")).to_have_count(1)
    raise_floor(server, path.strip("/"), server.head(path.strip("/")))
    ben.reload()

    expect(notice(ben)).to_contain_text("A host has muted you until")
    expect(ben.locator(".message")).to_have_count(0)
    hana.locator("#toast").get_by_role("button", name="Undo").click()
    expect(notice(ben)).to_be_hidden()


def test_with_the_keyboard_the_focus_is_on_undo_and_then_back_at_the_person(visit: Visit) -> None:
    hana, path = new_room(visit)
    hana.evaluate(LONG_UNDO)
    ben = enter(visit, path, "Ben")
    opener = hana.get_by_role("button", name="Actions for Ben")
    opener.press("Enter")
    hana.locator('#person-menu [data-action="mute"]').press("Enter")
    question = hana.get_by_role("dialog", name="Mute Ben?")
    question.get_by_role("button", name="Mute", exact=True).press("Enter")
    expect(hana.locator("#toast").get_by_role("button", name="Undo")).to_be_focused()
    expect(notice(ben)).to_be_visible()
    hana.keyboard.press("Enter")

    expect(opener).to_be_focused()
    expect(notice(ben)).to_be_hidden()


def test_a_removed_person_is_told_and_can_be_let_in_again(visit: Visit) -> None:
    hana, path = new_room(visit)
    hana.evaluate(LONG_UNDO)
    ben = enter(visit, path, "Ben")
    host_action(hana, "Ben", "remove")

    status = ben.locator("#connection")
    told = "Hana has removed you from this room. You can come back at"
    expect(status).to_contain_text(told, timeout=BACK_MS)
    hana.locator("#toast").get_by_role("button", name="Undo").click()
    expect(system_message(hana, "Hana readmitted Ben")).to_have_count(1)
    ben.reload()
    expect(ben.locator("#room")).to_have_attribute("data-joined", "true")


def test_a_banned_person_is_told_by_whom(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    field(ben).fill("a draft")
    host_action(hana, "Ben", "ban")
    expect(hana.locator("dialog:modal")).to_contain_text("a school, a company")
    confirm(hana, "Ban")

    status = ben.locator("#connection")
    expect(status).to_contain_text("Hana has banned you from this room.", timeout=BACK_MS)
    field(ben).press("Control+Enter")
    expect(field(ben)).to_have_value("a draft")
    expect(hana.locator(".person", has_text="Ben")).to_have_count(0, timeout=20_000)


def test_a_host_deletes_messages_of_others(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    choose(hana, 2, "delete")
    expect(hana.locator("#delete")).to_contain_text("It is a message of Ben.")
    confirm(hana, "Delete")

    expect(ben.locator("#m-2 .message__text")).to_have_text("Message deleted by a host")
    ben.reload()
    expect(ben.locator("#m-2 .message__text")).to_have_text("Message deleted by a host")


def test_everything_a_person_wrote_is_deleted_unless_that_is_undone(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    choose(hana, 2, "moderate")
    hana.locator('#person-menu [data-action="delete-all"]').click()
    confirm(hana, "Delete")
    hana.locator("#toast").get_by_role("button", name="Undo").click()
    says(ben, "still here")
    sent(hana, "Ben is here")
    host_action(hana, "Ben", "delete-all")
    confirm(hana, "Delete")

    expect(system_message(ben, "Hana deleted 2 messages of Ben")).to_have_count(1, timeout=10_000)
    expect(ben.locator('.message[data-state="deleted"]')).to_have_count(2)


def test_a_deletion_that_can_be_undone_happens_when_the_page_is_left(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    host_action(hana, "Ben", "delete-all")
    confirm(hana, "Delete")
    expect(hana.locator("#toast")).to_contain_text("Deleting what Ben wrote")
    hana.goto("about:blank")

    expect(system_message(ben, "Hana deleted 1 message of Ben")).to_have_count(1, timeout=4_000)


def test_undo_disappears_when_the_deletion_happens_early(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    host_action(hana, "Ben", "delete-all")
    confirm(hana, "Delete")
    expect(hana.locator("#toast").get_by_role("button", name="Undo")).to_be_visible()
    hana.evaluate(HIDDEN)
    hana.evaluate(VISIBLE)

    expect(hana.locator("#toast")).to_be_empty(timeout=2_000)
    expect(system_message(ben, "Hana deleted 1 message of Ben")).to_have_count(1)


def test_undo_of_a_later_mute_stays_when_a_deletion_happens_early(visit: Visit) -> None:
    hana, path = new_room(visit)
    hana.evaluate(LONG_UNDO)
    ben = enter(visit, path, "Ben")
    toast = hana.locator("#toast")
    host_action(hana, "Ben", "delete-all")
    confirm(hana, "Delete")
    host_action(hana, "Ben", "mute")
    confirm(hana, "Mute")
    expect(toast).to_contain_text("You muted Ben")
    hana.evaluate(HIDDEN)
    hana.evaluate(VISIBLE)

    expect(system_message(ben, "Hana deleted 1 message of Ben")).to_have_count(1)
    toast.get_by_role("button", name="Undo").click()
    expect(notice(ben)).to_be_hidden()


def test_settings_that_are_open_follow_what_another_host_changes(
    visit: Visit, server: ConfabServer
) -> None:
    hana, path = new_room(visit)
    hana.get_by_role("button", name="Get host link").click()
    link = hana.get_by_role("textbox", name="Host link").input_value()
    hana.keyboard.press("Escape")
    ben = enter(visit, link.removeprefix(server.url), "Ben")
    cy = enter(visit, path, "Cy")
    hana_settings = open_settings(hana)
    hana.get_by_role("combobox", name="Slow mode").select_option("30 seconds")
    ben_settings = open_settings(ben)
    ben.get_by_role("checkbox", name="Lock").check()
    ben.get_by_role("combobox", name="Slow mode").select_option("5 minutes")
    confirm(ben, "Save")

    expect(system_message(cy, "Ben locked the room")).to_have_count(1)
    expect(system_message(hana, "Ben turned on slow mode")).to_have_count(1)
    expect(hana.get_by_role("checkbox", name="Lock")).to_be_checked()
    expect(hana.get_by_role("combobox", name="Slow mode")).to_have_value("30")
    confirm(hana, "Save")
    saved = hana_settings.locator(".settings__rules .settings__status")
    expect(saved).to_have_text("Saved")
    expect(ben_settings.get_by_role("combobox", name="Slow mode")).to_have_value("30")
    expect(ben_settings.get_by_role("checkbox", name="Lock")).to_be_checked()
    expect(notice(cy)).to_have_text("This room is locked: only hosts can post.")


def test_settings_behind_a_question_follow_what_another_host_changes(
    visit: Visit, server: ConfabServer
) -> None:
    hana, _ = new_room(visit)
    hana.get_by_role("button", name="Get host link").click()
    link = hana.get_by_role("textbox", name="Host link").input_value()
    hana.keyboard.press("Escape")
    ben = enter(visit, link.removeprefix(server.url), "Ben")
    open_settings(hana)
    confirm(hana, "Clear history…")
    open_settings(ben)
    ben.get_by_role("checkbox", name="Lock").check()
    confirm(ben, "Save")
    expect(system_message(hana, "Ben locked the room")).to_have_count(1)
    hana.keyboard.press("Escape")

    expect(hana.get_by_role("checkbox", name="Lock")).to_be_checked()


def open_settings(page: Page) -> Locator:
    """Open the room settings of a host."""
    page.get_by_role("button", name="Room menu").click()
    page.get_by_role("button", name="Room settings").click()
    return page.locator("#settings")


def test_settings_work_with_the_keyboard_alone(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    hana.get_by_role("button", name="Room menu").focus()
    hana.keyboard.press("Enter")
    hana.get_by_role("button", name="Room settings").focus()
    hana.keyboard.press("Enter")
    sheet = hana.locator("#settings")
    expect(sheet).to_be_visible()
    sheet.get_by_role("checkbox", name="Lock").focus()
    hana.keyboard.press("Space")
    hana.keyboard.press("Tab")
    hana.keyboard.press("ArrowDown")
    hana.keyboard.press("Enter")
    sheet.get_by_role("button", name="Save").focus()
    hana.keyboard.press("Enter")
    expect(sheet.locator(".settings__rules .settings__status")).to_have_text("Saved")
    hana.keyboard.press("Escape")
    expect(sheet).to_be_hidden()

    expect(notice(ben)).to_have_text("This room is locked: only hosts can post.")
    expect(ben.get_by_role("img", name="This room is locked: only hosts can post.")).to_be_visible()
    ben.get_by_role("button", name="Room menu").click()
    expect(ben.locator("#room-rules")).to_contain_text("This room is locked")
    expect(ben.locator("#room-menu .audience-note")).to_contain_text("Only hosts can post.")
    expect(ben.locator("#open-settings")).to_be_hidden()
    expect(ben.locator("#open-people")).to_be_hidden()
    expect(notice(hana)).to_be_hidden()


def test_the_page_says_that_a_password_is_needed_to_read(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    cy = visit(path, **WIDE)
    hana.get_by_role("button", name="Room menu").click()
    hana.get_by_role("button", name="Room settings").click()
    password = hana.locator(".settings__password")
    password.get_by_label("New password").fill("open sesame")
    password.get_by_role("button", name="Set password").click()
    expect(password.locator(".settings__status")).to_have_text("Password set")

    audience = "Anyone with the link and the password can read and post messages."
    expect(ben.locator("#room-menu .audience-note")).to_have_text(audience)
    expect(cy.locator("#newcomer")).to_contain_text(audience)


def test_a_host_bans_another_host(visit: Visit, server: ConfabServer) -> None:
    hana, _ = new_room(visit)
    hana.get_by_role("button", name="Get host link").click()
    link = hana.get_by_role("textbox", name="Host link").input_value()
    hana.keyboard.press("Escape")
    ben = enter(visit, link.removeprefix(server.url), "Ben")
    badge = hana.locator(".message", has_text="Ben is here").locator(".badge")
    expect(badge).to_have_text("host")
    hana.get_by_role("button", name="Actions for Ben").click()
    for action in ("mute", "remove", "hand-over"):
        expect(hana.locator(f'#person-menu [data-action="{action}"]')).to_be_hidden()
    hana.locator('#person-menu [data-action="ban"]').click()
    confirm(hana, "Ban")

    status = ben.locator("#connection")
    expect(status).to_contain_text("Hana has banned you from this room.", timeout=BACK_MS)
    expect(badge).to_be_hidden()


def test_a_moderator_finds_banned_people_and_lifts_the_ban(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    enter(visit, path, "Cy")
    host_action(hana, "Ben", "appoint")
    expect(system_message(ben, "Hana made Ben a moderator")).to_have_count(1)
    host_action(ben, "Cy", "ban")
    confirm(ben, "Ban")
    expect(system_message(ben, "Ben banned Cy")).to_have_count(1)
    ben.get_by_role("button", name="Room menu").click()
    ben.get_by_role("link", name="People and bans").click()
    ben.get_by_role("link", name=re.compile("^Cy ")).click()
    ben.get_by_role("button", name="Lift the ban").click()

    expect(system_message(hana, "Ben unbanned Cy")).to_have_count(1)


def test_slow_mode_shows_how_long_the_next_message_waits(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    hana.get_by_role("button", name="Room menu").click()
    hana.get_by_role("button", name="Room settings").click()
    hana.get_by_role("combobox", name="Slow mode").select_option("5 minutes")
    hana.get_by_role("combobox", name="Messages disappear").select_option("24 hours")
    confirm(hana, "Save")

    expect(notice(ben)).to_have_text("Slow mode: one message every 5 minutes.")
    expect(ben.get_by_role("img", name="Messages disappear after 24 hours")).to_be_visible()
    kept = ben.locator("#room-menu .kept-note")
    expect(kept).to_have_text("Messages disappear after 24 hours.")
    says(ben, "the first one")
    sent(ben, "the first one")
    says(ben, "one more")
    expect(ben.locator("#send-countdown")).to_contain_text("Sending in")
    hana.get_by_role("combobox", name="Slow mode").select_option("Off")
    confirm(hana, "Save")
    sent(hana, "one more")


def test_a_host_link_makes_another_browser_a_host_once(visit: Visit, server: ConfabServer) -> None:
    hana, path = new_room(visit)
    hana.get_by_role("button", name="Get host link").click()
    link = hana.get_by_role("textbox", name="Host link").input_value()
    assert "#host=" in link
    ben = enter(visit, link.removeprefix(server.url), "Ben")

    expect(system_message(hana, "is a host now")).to_have_count(1)
    assert ben.url == server.url + path
    assert "host=" not in ben.evaluate("location.href + JSON.stringify(history.state)")
    ben.get_by_role("button", name="Room menu").click()
    expect(ben.locator("#open-settings")).to_be_visible()
    cy = visit(link.removeprefix(server.url))
    expect(cy.locator("#toast")).to_contain_text("host link")
    expect(cy.locator("#open-settings")).to_be_hidden()


def test_somebody_alone_in_a_new_room_becomes_its_host(visit: Visit, room: str) -> None:
    ada = is_called(visit(f"/{room}-claimed/", **WIDE), "Ada")
    ada.get_by_role("button", name="Become host").click()

    expect(system_message(ada, "Ada is the host now")).to_have_count(1)
    expect(ada.locator("#welcome-claim")).to_be_hidden()
    expect(ada.locator("#welcome-host")).to_be_visible()


def test_become_host_works_by_touch_right_after_typing_the_name(visit: Visit, room: str) -> None:
    ada = here(visit(f"/{room}-claimed/", **PHONE))
    finger = Finger(ada)
    finger.tap(ada.get_by_role("textbox", name="Your name"))
    ada.keyboard.type("Ada")
    finger.tap(ada.get_by_role("button", name="Become host"))

    expect(ada.locator("#welcome-host")).to_be_visible()


def test_somebody_who_cancels_a_question_is_back_in_the_settings(visit: Visit) -> None:
    hana, _ = new_room(visit)
    hana.get_by_role("button", name="Room menu").click()
    hana.get_by_role("button", name="Room settings").click()
    settings = hana.locator("#settings")
    for name in ("Clear history…", "Close room…"):
        settings.get_by_role("button", name=name).press("Enter")
        expect(settings).to_be_hidden()
        hana.keyboard.press("Escape")
        expect(settings).to_be_visible()
        expect(settings.get_by_role("button", name=name)).to_be_focused()
    hana.keyboard.press("Escape")
    expect(hana.get_by_role("button", name="Room menu")).to_be_focused()


def test_a_closed_room_is_announced_and_not_entered_again(visit: Visit) -> None:
    hana, path = new_room(visit)
    ben = enter(visit, path, "Ben")
    hana.get_by_role("button", name="Room menu").click()
    hana.get_by_role("button", name="Room settings").click()
    confirm(hana, "Close room…")
    confirm(hana, "Close room")

    for page, told in ((ben, "Hana has closed this room."), (hana, "closed this room.")):
        expect(page.locator("#connection")).to_contain_text(told, timeout=BACK_MS)


def test_by_touch_the_sheets_are_at_the_bottom_with_destructive_items_last(visit: Visit) -> None:
    hana, path = new_room(visit, **PHONE)
    enter(visit, path, "Ben")
    finger = Finger(hana)
    finger.long_press(hana.locator("#m-2 .message__text"), hana.locator("#menu"))
    finger.tap(hana.locator('#menu [data-action="moderate"]'))
    menu = hana.locator("#person-menu")
    expect(menu).to_be_visible()
    items = menu.get_by_role("menuitem").all_inner_texts()
    assert items[-3:] == ["Remove for 10 minutes", "Ban…", "Delete everything they wrote…"]
    assert reaches_the_bottom(menu)
    finger.tap(hana.locator('#person-menu [data-action="mute"]'))
    expect(hana.locator("#mute")).to_be_visible()
    assert reaches_the_bottom(hana.locator("#mute"))
    finger.tap(hana.locator("#mute").get_by_role("button", name="Mute", exact=True))

    expect(system_message(hana, "Hana muted Ben for 10 minutes")).to_have_count(1)


def reaches_the_bottom(sheet: Locator) -> bool:
    """Whether a sheet ends where the screen ends."""
    bottom: float = sheet.evaluate("(each) => innerHeight - each.getBoundingClientRect().bottom")
    return abs(bottom) < 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_the_sheets(visit: Visit, theme: str) -> None:
    look: dict[str, Any] = {"color_scheme": theme, "reduced_motion": "reduce"}
    hana, path = new_room(visit, **look)
    enter(visit, path, "Ben")
    assert violations(hana) == []
    for action in SHEETS:
        host_action(hana, "Ben", action)
        expect(hana.locator("dialog:modal")).to_be_visible()
        assert violations(hana) == [], action
        hana.keyboard.press("Escape")
    hana.get_by_role("button", name="Actions for Ben").click()
    assert violations(hana) == []
    hana.keyboard.press("Escape")
    hana.get_by_role("button", name="Room menu").click()
    hana.get_by_role("button", name="Room settings").click()
    assert violations(hana) == []
    for button in ("Clear history…", "Close room…", "Create host link"):
        confirm(hana, button)
        expect(hana.locator("#settings")).to_be_hidden()
        assert violations(hana) == [], button
        hana.keyboard.press("Escape")
