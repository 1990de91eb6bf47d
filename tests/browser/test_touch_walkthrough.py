"""Every control of the room page is used by touch, on two sizes of phones."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_people import field
from tests.browser.test_reading import Visit, fill, here, post, somebody
from tests.browser.touch import PHONE, SMALL_PHONE, Finger
from tests.clients import Stranger
from tests.servers import ConfabServer

pytestmark = [pytest.mark.browser, pytest.mark.servers]

PHONES = pytest.mark.parametrize("phone", [PHONE, SMALL_PHONE], ids=["375x667", "320x568"])
MESSAGES = 120

# Names the controls of the page that have been touched, across reloads.
NOTE_TOUCHES = """
const CONTROLS = "button, a[href], input, textarea, label, [role=option]"
const LEFT_OUT = "#menu, #delete, #shortcuts, .without-script, .skip-link, label :scope"
window.nameOf = (control) => {
  const { id, dataset, control: input } = control
  const subject = input ? input.name : dataset.action ?? dataset.opens ?? ""
  return id.replace(/-\\d+$/, "") || [control.className.split(" ")[0], subject].join(" ").trim()
}
addEventListener("touchstart", ({ target, isTrusted }) => {
  const control = target.closest(CONTROLS)
  if (control && isTrusted) noteTouched(nameOf(control))
}, { capture: true })
window.controlsOfPage = () => [...document.querySelectorAll(CONTROLS)]
  .filter((each) => !each.closest(LEFT_OUT) && each.type !== "hidden")
  .filter((each) => !each.matches(".visually-hidden, label input"))
  .map(nameOf)
"""
SHARE = """
navigator.share = async (content) => { window.shared = content }
"""
# Those that a phone does not show: the room menu has the same, or they are for the keyboard.
NOT_ON_PHONES = {"button shortcuts", "header__home", "header__copy", "button"}
# Those that are shown only when something fails. Earlier messages are loaded by scrolling to them.
ON_FAILURE = {"connection__retry", "dialog__text", "earlier"}
# test_the_bar_of_unread_messages_is_used_by_touch has them.
OF_UNREAD_MESSAGES = {"unread-bar__jump", "unread-bar__dismiss"}


def tap_button(finger: Finger, page: Page, name: str) -> None:
    """Touch a button that is shown, by its name."""
    finger.tap(page.get_by_role("button", name=name, exact=True).locator("visible=true").first)


def room_with_everything(server: ConfabServer, room: str, ben: Stranger) -> None:
    """Messages with all that messages can have; the last of them is MESSAGES + 3."""
    fill(server, room, MESSAGES)
    post(ben, f"see {server.url}/elsewhere/")
    assert ben.ask("chat", {"handle": "Ben", "message": "again", "reply_to": 5})["ok"]
    post(ben, "\n".join(f"line {number}" for number in range(40)))
    assert ben.ask("react", {"seq": MESSAGES + 1, "emoji": "👍", "on": True})["ok"]


@PHONES
def test_every_control_of_a_room_works_by_touch(
    server: ConfabServer, visit: Visit, room: str, phone: dict[str, Any]
) -> None:
    touched: set[str] = set()
    with somebody(server, room) as ben:
        room_with_everything(server, room, ben)
        ada = visit(f"/{room}/", **phone)
        finger = noting_touches(ada, touched)

        write(finger, ada)
        use_messages(finger, ada)
        move_through_history(finger, ada, ben)
        use_header(finger, ada)
        use_people(finger, ada)
        use_room_menu(finger, ada)
        controls = set(ada.evaluate("controlsOfPage()"))
        forget(finger, ada)
    controls |= use_what_hosts_have(server, visit(f"/{room}-hosted/", **phone), touched)

    elsewhere = NOT_ON_PHONES | ON_FAILURE | OF_UNREAD_MESSAGES
    assert sorted(controls - touched - elsewhere) == []


@PHONES
@pytest.mark.parametrize("button", sorted(OF_UNREAD_MESSAGES))
def test_the_bar_of_unread_messages_is_used_by_touch(
    server: ConfabServer, visit: Visit, room: str, phone: dict[str, Any], button: str
) -> None:
    fill(server, room, 60)
    ada = visit(f"/{room}/", **phone)
    ada.goto(server.url)
    with somebody(server, room) as ben:
        for number in range(60):
            post(ben, f"new {number}")
    ada.goto(f"{server.url}/{room}/")
    bar = here(ada).locator("#unread-bar")
    expect(bar).to_be_visible()

    Finger(ada).tap(bar.locator(f".{button}"))

    expect(bar).to_be_hidden()
    first = ada.locator("#m-61")
    if button == "unread-bar__jump":
        expect(first).to_be_in_viewport()
    else:
        expect(first).not_to_be_in_viewport()


def noting_touches(page: Page, touched: set[str]) -> Finger:
    """Return a finger; the controls that it touches are added to a set."""
    page.expose_binding("noteTouched", lambda _, name: touched.add(name))
    page.add_init_script(NOTE_TOUCHES)
    page.add_init_script(SHARE)
    page.reload()
    return Finger(here(page))


def use_what_hosts_have(server: ConfabServer, page: Page, touched: set[str]) -> set[str]:
    """Use a new room as its host; return the controls that it has."""
    finger = noting_touches(page, touched)
    become_host(finger, page)
    with somebody(server, page.url.rstrip("/").rsplit("/", 1)[1]) as ben:
        post(ben, "hello")
        act_on_people(finger, page)
        controls = use_settings(finger, page)
        go_to_people(finger, page)
        report_room(finger, page)
        use_own_data(finger, page)
        controls |= set(page.evaluate("controlsOfPage()"))
        choose_action(finger, page, "remove")
        was_announced(page, "removed Ben")
        finger.tap(page.locator("#toast").get_by_role("button", name="Undo"))
        was_announced(page, "readmitted Ben")
    return controls


def write(finger: Finger, page: Page) -> None:
    """Give a name, complete a name, send in parts, cancel a reply, and repeat what failed."""
    finger.tap(page.get_by_role("textbox", name="Your name"))
    page.keyboard.type("Ada")
    finger.tap(field(page))
    expect(field(page)).to_be_focused()
    page.keyboard.type("hello @B")
    finger.tap(page.get_by_role("option", name="Ben"))
    expect(field(page)).to_have_value("hello @Ben ")
    tap_button(finger, page, "Send")
    expect(page.locator("#messages .message__text").last).to_have_text("hello @Ben")
    field(page).fill("/dance")
    tap_button(finger, page, "Send")
    finger.tap(page.get_by_role("button", name="Send as text"))
    expect(page.locator("#messages .message__text").last).to_have_text("/dance")


def use_messages(finger: Finger, page: Page) -> None:
    """Touch everything inside messages."""
    long = page.locator(f"#m-{MESSAGES + 3}")
    finger.tap(long.get_by_role("button", name="Show more"))
    expect(long).to_have_attribute("data-collapsed", "false")
    finger.tap(long.get_by_role("button", name="Show less"))
    expect(long).to_have_attribute("data-collapsed", "true")
    with_link = page.locator(f"#m-{MESSAGES + 1}")
    finger.tap(with_link.locator(".reaction"))
    expect(with_link.locator(".reaction")).to_have_text("👍 2")
    with page.expect_popup() as popup:
        finger.tap(with_link.locator(".link"))
    popup.value.close()
    finger.tap(with_link.locator(".message__name"))
    finger.tap(with_link.locator(".message__link"))
    expect(page).to_have_url(re.compile(rf"#m-{MESSAGES + 1}$"))
    finger.tap(with_link.locator(".message__actions"))
    finger.tap(page.get_by_role("menuitem", name="Reply"))
    expect(page.locator(".composer__mode")).to_be_visible()
    tap_button(finger, page, "Cancel")
    expect(page.locator(".composer__mode")).to_be_hidden()


def move_through_history(finger: Finger, page: Page, ben: Stranger) -> None:
    """Go to a message of long ago and back, load earlier ones, and find what is new."""
    finger.tap(page.locator(f"#m-{MESSAGES + 2} .reply"))
    expect(page.locator("#m-5")).to_be_in_viewport()
    post(ben, "while you read")
    expect(page.locator("#latest")).to_have_text("1 new")
    finger.tap(page.locator("#latest"))
    expect(page.locator(".message__text").last).to_have_text("while you read")


def use_header(finger: Finger, page: Page) -> None:
    """Rename the room twice, show both changes, and choose notifications."""
    for name in ("Dinner", "Supper"):
        finger.tap(page.get_by_role("button", name="Rename room"))
        field_of_room = page.get_by_role("textbox", name="Room name")
        finger.tap(field_of_room)
        field_of_room.fill(name)
        finger.tap(page.get_by_role("button", name="Save room name"))
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.locator(".message__text").last).to_contain_text("Supper")
    finger.tap(page.get_by_role("button", name="Show earlier changes"))
    expect(page.get_by_text("“Dinner”")).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write", "notifications"])
    finger.tap(page.locator("#bell"))
    for level in ("All messages", "Mentions and replies", "Nothing"):
        finger.tap(page.locator("label", has_text=level))
        expect(page.get_by_label(level)).to_be_checked()
    tap_button(finger, page, "Send a test notification")
    tap_button(finger, page, "Close")
    expect(page.get_by_role("dialog")).to_have_count(0)


def use_people(finger: Finger, page: Page) -> None:
    """Ignore a person, undo that, and mention the person."""
    panel, menu = page.locator("#people"), page.locator("#person-menu")
    for action in ("Ignore this person", "Stop ignoring", "Mention"):
        if panel.is_hidden():
            finger.tap(page.locator("#people-button"))
        finger.tap(panel.get_by_role("button", name="Actions for Ben"))
        finger.tap(menu.get_by_role("menuitem", name=action))
        expect(menu).to_be_hidden()
    expect(field(page)).to_have_value(re.compile("^@Ben "))
    expect(panel).to_be_hidden()
    field(page).fill("")
    finger.tap(page.locator("#people-button"))
    finger.tap(panel.get_by_role("button", name="Close"))
    finger.tap(page.locator("#people-button"))
    finger.tap(panel.locator(".person__mention:enabled").first)
    expect(panel).to_be_hidden()
    expect(field(page)).to_have_value(re.compile("^@Ben "))
    field(page).fill("")


def use_room_menu(finger: Finger, page: Page) -> None:
    """Use everything in the room menu, except what leaves the room for good."""
    tap_button(finger, page, "Room menu")
    menu = page.locator("#room-menu")
    finger.tap(menu.locator("[data-copy-link]"))
    expect(menu.locator("[data-copy-link]")).to_contain_text("Copied")
    finger.tap(menu.locator("#share"))
    page.wait_for_function("() => window.shared?.title === 'Supper'")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    colors = []
    for theme in ("Dark", "Light", "System"):
        finger.tap(menu.get_by_text(theme, exact=True))
        colors.append(page.evaluate(background))
    assert colors[0] != colors[1]
    tap_button(finger, page, "Close")
    expect(menu).to_be_hidden()
    tap_button(finger, page, "Room menu")
    finger.tap_at(5, 5)  # beside the dialog
    expect(menu).to_be_hidden()
    tap_button(finger, page, "Room menu")
    finger.leave_page(menu.get_by_role("link", name="Home page"))
    page.go_back()
    here(page)


def open_from_menu(finger: Finger, page: Page, name: str) -> Locator:
    """Open a dialog from the room menu; return it."""
    tap_button(finger, page, "Room menu")
    finger.tap(page.locator("#room-menu").get_by_role("button", name=name, exact=True))
    return page.locator("dialog:modal").last


def choose_action(finger: Finger, page: Page, action: str) -> None:
    """Choose something from the menu of Ben."""
    if page.locator("#people").is_hidden():
        finger.tap(page.locator("#people-button"))
    finger.tap(page.locator("#people").get_by_role("button", name="Actions for Ben"))
    finger.tap(page.locator(f'#person-menu [data-action="{action}"]'))


def was_announced(page: Page, text: str) -> None:
    """Wait until the room is told of an action."""
    message = page.locator('.message[data-kind="moderation"]', has_text=text)
    expect(message.last).to_be_attached()


def become_host(finger: Finger, page: Page) -> None:
    """Become the host of a new room, and get a host link."""
    finger.tap(page.locator("#become-host"))
    was_announced(page, "is the host now")
    finger.tap(page.get_by_role("button", name="Get host link"))
    link = page.locator("#host-link")
    expect(link).to_be_visible()
    finger.tap(link.get_by_role("button", name="Close"))
    page.reload()
    here(page)


def act_on_people(finger: Finger, page: Page) -> None:
    """Mute and unmute, give a role and take it, and cancel what cannot be undone."""
    choose_action(finger, page, "mute")
    finger.tap(page.locator("#mute label", has_text="1 hour"))
    finger.tap(page.locator("#mute").get_by_role("button", name="Mute"))
    was_announced(page, "muted Ben for 1 hour")
    choose_action(finger, page, "unmute")
    was_announced(page, "unmuted Ben")
    announcements = page.locator('.message[data-kind="moderation"]')
    for action in ("appoint", "dismiss", "appoint"):
        number_before = announcements.count()
        choose_action(finger, page, action)
        expect(page.locator("#person-menu")).to_be_hidden()
        expect(announcements).to_have_count(number_before + 1)
    for action in ("hand-over", "ban", "delete-all"):
        choose_action(finger, page, action)
        question = page.locator(f"#{action}")
        for option in question.locator("label").all():
            finger.tap(option)
        finger.tap(question.get_by_role("button", name="Cancel"))
        expect(question).to_be_hidden()


def use_settings(finger: Finger, page: Page) -> set[str]:
    """Use the settings of the room; return the controls that the page has meanwhile."""
    open_from_menu(finger, page, "Room settings")
    settings = page.locator("#settings")
    expect(settings).to_be_visible()
    controls = set(page.evaluate("controlsOfPage()"))
    finger.tap(settings.locator("label", has_text="Lock"))
    for label in settings.locator(".settings__rules .setting__label").all():
        finger.tap(label)
    tap_button(finger, page, "Save")
    expect(settings.locator(".settings__rules .settings__status")).to_have_text("Saved")
    finger.tap(settings.locator(".settings__password .setting__label"))
    page.keyboard.type("swordfish")
    tap_button(finger, page, "Set password")
    finger.tap(settings.get_by_role("button", name="Remove password"))
    expect(settings.locator(".settings__state")).to_have_text("This room has no password.")
    finger.tap(settings.locator(".officer__dismiss:visible"))
    expect(settings.locator(".officer")).to_have_count(1)
    for name, question in (("Clear history…", "clear-history"), ("Close room…", "close-room")):
        if settings.is_hidden():
            open_from_menu(finger, page, "Room settings")
        tap_button(finger, page, name)
        finger.tap(page.locator(f"#{question}").get_by_role("button", name="Cancel"))
        expect(page.locator(f"#{question}")).to_be_hidden()
    if settings.is_hidden():
        open_from_menu(finger, page, "Room settings")
    tap_button(finger, page, "Create host link")
    expect(page.locator("#host-link")).to_be_visible()
    finger.tap(page.locator("#host-link .dialog__text"))
    finger.tap(page.locator("#host-link").get_by_role("button", name="Close"))
    page.reload()
    here(page)
    return controls


def go_to_people(finger: Finger, page: Page) -> None:
    """Go to the page with all people, and back."""
    tap_button(finger, page, "Room menu")
    finger.leave_page(page.locator("#open-people"))
    expect(page.get_by_role("heading", level=1)).to_have_text("People and bans")
    page.go_back()
    here(page)


def report_room(finger: Finger, page: Page) -> None:
    """Report the room to its hosts and to the operator."""
    report = open_from_menu(finger, page, "Report this room")
    finger.tap(report.locator(".report__label"))
    finger.tap(report.get_by_role("textbox"))
    page.keyboard.type("spam")
    finger.tap(report.locator(".document__check"))
    finger.tap(report.get_by_role("button", name="Send report"))
    expect(page.locator("#toast")).to_contain_text("the report has been sent")


def use_own_data(finger: Finger, page: Page) -> None:
    """Cancel leaving and deleting, download, and read the privacy page."""
    for name, question in (
        ("Leave room", "leave"),
        ("Delete everything I wrote here", "erasure"),
    ):
        finger.tap(open_from_menu(finger, page, "About your data").get_by_role("button", name=name))
        finger.tap(page.locator(f"#{question}").get_by_role("button", name="Cancel"))
        expect(page.locator("dialog:modal")).to_have_count(0)
    data = open_from_menu(finger, page, "About your data")
    with page.expect_download():
        finger.tap(data.get_by_role("link", name="Download my messages"))
    finger.leave_page(data.get_by_role("link", name="What this server stores"))
    page.go_back()
    here(page)


def forget(finger: Finger, page: Page) -> None:
    """Forget this person, after having canceled that once."""
    for answer in ("Cancel", "Forget me"):
        tap_button(finger, page, "Room menu")
        finger.tap(page.get_by_role("button", name="About your data"))
        finger.tap(page.get_by_role("button", name="Forget me on this device"))
        button = page.get_by_role("dialog").get_by_role("button", name=answer, exact=True)
        if answer == "Forget me":
            finger.leave_page(button)
        else:
            finger.tap(button)
            expect(page.get_by_role("dialog")).to_have_count(0)
