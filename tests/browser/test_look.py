"""The layout of the pages in Chromium: sizes, states and colors, measured in the page."""

import re
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.test_people import choose, field, is_called, says, sees
from tests.browser.test_reading import PHONE, Visit, fill, here, post, somebody, violations
from tests.servers import ConfabServer, flask_run

pytestmark = [pytest.mark.browser, pytest.mark.servers]

WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
NARROWER: dict[str, Any] = {"viewport": {"width": 1090, "height": 800}}
SMALL_HEIGHTS = pytest.mark.parametrize(
    ("width", "height"),
    [(844, 200), (640, 170), (320, 200), (320, 256)],
    ids=["844x200", "640x170", "320x200", "320x256"],
)
MIN_COLOR_DISTANCE = 0.04  # in OKLab; a just noticeable difference is about 0.02
MIN_COLOR_DISTANCE_OF_FEW = 0.1
AA_CONTRAST = 4.5

# Whether an element can be seen: it has a size, is inside the screen, and nothing lies above it.
IS_SEEN = """
(element) => {
  const { left, top, width, height } = element.getBoundingClientRect()
  const [x, y] = [left + width / 2, top + height / 2]
  const above = document.elementFromPoint(x, y)
  return width > 4 && height > 4 && above !== null && (element.contains(above) ||
    above.contains(element))
}
"""
# The messages of which the whole text can be seen.
WHOLE_TEXTS = """
(log) => {
  const { top, bottom } = log.getBoundingClientRect()
  return [...log.querySelectorAll(".message__text")].filter((text) => {
    const box = text.getBoundingClientRect()
    return box.height > 0 && box.top >= top - 1 && box.bottom <= bottom + 1
  }).length
}
"""
# The color of a CSS property, in OKLab and as the luminance that WCAG defines.
COLOR = """
(element, property) => {
  const context = document.createElement("canvas").getContext("2d")
  context.fillStyle = getComputedStyle(element)[property]
  context.fillRect(0, 0, 1, 1)
  const linear = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
    const part = value / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  const [red, green, blue] = linear
  const long = Math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
  const medium = Math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
  const short = Math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
  return {
    luminance: 0.2126 * red + 0.7152 * green + 0.0722 * blue,
    lab: [
      0.2104542553 * long + 0.793617785 * medium - 0.0040720468 * short,
      1.9779984951 * long - 2.428592205 * medium + 0.4505937099 * short,
      0.0259040371 * long + 0.7827717662 * medium - 0.808675766 * short,
    ],
  }
}
"""
LONG_LINE = "let answer = " + " + ".join(f"number_{number}" for number in range(60))


def style(element: Locator, name: str) -> str:
    """Return the computed value of a CSS property."""
    value = element.evaluate("(element, name) => getComputedStyle(element)[name]", name)
    return str(value)


def box(element: Locator) -> dict[str, float]:
    """Return the position and size of an element, with its right and bottom edges."""
    found = element.evaluate("(element) => element.getBoundingClientRect().toJSON()")
    return {name: float(value) for name, value in found.items()}


def is_seen(element: Locator) -> bool:
    """Return whether an element can be seen at its center."""
    return bool(element.evaluate(IS_SEEN))


def named(visit: Visit, path: str, name: str = "Ada", **settings: Any) -> Page:
    """Open a page in a browser that remembers a name."""
    page = visit(path, **settings)
    page.evaluate("(name) => localStorage.setItem('confab:name', JSON.stringify(name))", name)
    page.reload()
    return here(page)


# Item 4: little height


@SMALL_HEIGHTS
def test_with_a_long_draft_messages_and_send_stay_in_sight_on_a_low_screen(
    server: ConfabServer, visit: Visit, room: str, width: int, height: int
) -> None:
    with somebody(server, room) as ben:
        for number in range(12):
            post(ben, f"number {number}")
    ada = named(visit, f"/{room}/", viewport={"width": width, "height": height})

    field(ada).fill("\n".join(f"line {number}" for number in range(30)))

    for control in (field(ada), ada.get_by_role("button", name="Send")):
        expect(control).to_be_in_viewport(ratio=1)
    assert box(field(ada))["height"] <= height * 0.45
    assert ada.locator("#log").evaluate(WHOLE_TEXTS) >= 1
    assert ada.evaluate("document.scrollingElement.scrollWidth") == width


@SMALL_HEIGHTS
def test_people_and_menus_are_used_on_a_low_screen(
    server: ConfabServer, visit: Visit, room: str, width: int, height: int
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello")
        ada = named(visit, f"/{room}/", viewport={"width": width, "height": height})
        for name in ("Room menu", "Notifications"):
            ada.get_by_role("button", name=name, exact=True).click()
            ada.locator("dialog:modal").get_by_role("button", name="Close").click()
        ada.locator("#people-button").click()
        expect(ada.locator("#people")).to_contain_text("Ben")
        ada.keyboard.press("Escape")
        choose(ada, 1, "reply")
        expect(ada.locator(".composer__mode")).to_contain_text("Replying to Ben")
        assert violations(ada) == []


def test_the_field_for_the_name_stays_beside_the_text_on_a_low_screen(
    visit: Visit, room: str
) -> None:
    ada = visit(f"/{room}/", viewport={"width": 320, "height": 200})

    for control in (
        ada.get_by_role("textbox", name="Your name"),
        field(ada),
        ada.get_by_role("button", name="Send"),
    ):
        expect(control).to_be_in_viewport(ratio=1)
    assert box(ada.locator(".composer"))["height"] <= 70


# Item 5: edits and times of messages that continue a group


@pytest.mark.parametrize("device", [WIDE, PHONE], ids=["desktop", "phone"])
def test_an_edit_and_the_time_of_a_message_that_continues_a_group_are_visible(
    server: ConfabServer, visit: Visit, room: str, device: dict[str, Any]
) -> None:
    with somebody(server, room) as ben:
        for text in ("one", "two", "three"):
            post(ben, text)
        assert ben.ask("edit", {"seq": 2, "message": "second"})["ok"]
        ada = visit(f"/{room}/", **device)
        expect(ada.locator("#m-2")).to_have_attribute("data-grouped", "")

        assert is_seen(ada.locator("#m-2 .message__note"))
        for seq in (1, 2, 3):
            assert is_seen(ada.locator(f"#m-{seq} .message__time"))
        assert ben.ask("edit", {"seq": 3, "message": "third"})["ok"]
        expect(ada.locator("#m-3 .message__note")).to_have_text("edited")
        assert is_seen(ada.locator("#m-3 .message__note"))


def test_the_edit_of_an_own_message_that_continues_a_group_is_visible(
    visit: Visit, room: str
) -> None:
    ada = is_called(visit(f"/{room}/"), "Ada")
    for text in ("one", "two"):
        says(ada, text)
    sees(ada, "one", "two")

    field(ada).press("ArrowUp")
    field(ada).fill("second")
    field(ada).press("Enter")

    expect(ada.locator("#m-2 .message__note")).to_have_text("edited")
    assert is_seen(ada.locator("#m-2 .message__note"))
    assert is_seen(ada.locator("#m-2 .message__time"))


@pytest.mark.parametrize(
    "text",
    ["w " * 40, "\u05e9\u05dc\u05d5\u05dd " * 20, "```\ncode\n```", "> quoted", "🎉"],
    ids=["a long text", "from right to left", "code", "a quotation", "an emoji"],
)
def test_the_time_covers_nothing_of_the_text(
    server: ConfabServer, visit: Visit, room: str, text: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, text.strip())
        assert ben.ask("edit", {"seq": 1, "message": f"{text.strip()}\n\n{text.strip()}"})["ok"]
    ada = visit(f"/{room}/", **PHONE)

    overlaps = ada.locator("#m-1").evaluate(
        """(message) => {
          const range = document.createRange()
          range.selectNodeContents(message.querySelector(".message__text"))
          const time = message.querySelector(".message__meta").getBoundingClientRect()
          return [...range.getClientRects()].filter((line) => line.width > 0 &&
            line.right > time.left + 1 && line.left < time.right - 1 &&
            line.bottom > time.top + 3 && line.top < time.bottom - 3).length
        }"""
    )
    assert overlaps == 0


# Item 13: the composer


def test_with_a_name_the_text_has_almost_the_whole_width_of_a_phone(
    visit: Visit, room: str
) -> None:
    ada = named(visit, f"/{room}/", **PHONE)
    field(ada).fill("two\nlines")

    name = ada.get_by_role("textbox", name="Your name")
    assert box(field(ada))["width"] >= 250
    assert box(name)["width"] == 44
    assert box(field(ada))["left"] - box(name)["right"] <= 8
    assert style(name, "color") == "rgba(0, 0, 0, 0)"
    expect(ada.locator(".composer__avatar")).to_be_visible()
    assert is_seen(name)


def test_the_small_name_opens_a_field_that_shows_all_of_it(visit: Visit, room: str) -> None:
    for settings in (PHONE, WIDE):
        ada = named(visit, f"/{room}/", "Ada Lovelace", **settings)
        name = ada.get_by_role("textbox", name="Your name")
        before = box(field(ada))["bottom"]

        name.click()

        expect(name).to_be_focused()
        assert box(name)["width"] >= 150
        assert name.evaluate("(field) => field.scrollWidth <= field.clientWidth")
        assert style(name, "color") != "rgba(0, 0, 0, 0)"
        assert box(field(ada))["bottom"] == before  # what will be pressed next does not move
        name.fill("Grace")
        field(ada).click()
        assert box(name)["width"] == 44
        initial = ada.locator(".composer__avatar").evaluate(
            "(avatar) => getComputedStyle(avatar, '::before').content"
        )
        assert initial.startswith('"G"')


def test_without_a_name_its_field_is_in_the_pill(visit: Visit, room: str) -> None:
    for settings in (PHONE, WIDE):
        ada = visit(f"/{room}/", **settings)
        name, pill = ada.get_by_role("textbox", name="Your name"), ada.locator(".composer__pill")

        assert is_seen(name)
        assert box(name)["width"] >= 150
        assert box(pill)["top"] <= box(name)["top"] <= box(name)["bottom"] <= box(pill)["bottom"]
        expect(ada.locator(".composer__avatar")).to_be_hidden()


# Item 17: wide screens and code


def test_people_are_beside_the_messages_from_1100_pixels(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "Ben")
        ada = visit(f"/{room}/", **WIDE)
        panel = ada.locator("#people")
        expect(panel).to_contain_text("Ben")
        assert not panel.evaluate("(panel) => panel.matches(':modal')")
        assert box(panel)["left"] >= box(ada.locator("#log"))["right"]
        assert box(panel)["left"] >= box(ada.locator(".composer__pill"))["right"]

        expect(visit(f"/{room}/", **NARROWER).locator("#people")).to_be_hidden()
        ada.set_viewport_size({"width": 1000, "height": 800})
        expect(panel).to_be_hidden()
        ada.set_viewport_size({"width": 1920, "height": 1080})
        expect(panel).to_be_visible()
        assert box(ada.locator(".composer__pill"))["width"] >= 1000


def test_the_list_of_people_stays_hidden_until_it_is_wanted(visit: Visit, room: str) -> None:
    ada = visit(f"/{room}/", **WIDE)
    expect(ada.locator("#people")).to_be_visible()

    ada.locator("#people-button").click()
    expect(ada.locator("#people")).to_be_hidden()
    assert box(ada.locator("#log"))["width"] == 1280
    ada.reload()
    expect(here(ada).locator("#people")).to_be_hidden()
    ada.locator("#people-button").click()
    expect(ada.locator("#people")).to_be_visible()
    ada.locator("#people").get_by_role("button", name="Close").click()
    expect(ada.locator("#people")).to_be_hidden()
    says(is_called(ada, "Ada"), "/who")
    expect(ada.locator("#people")).to_be_visible()


def test_code_is_wider_than_prose_and_can_be_wrapped_and_copied(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "words " * 200)
        post(ben, f"```\n{LONG_LINE}\n```")
    ada = visit(f"/{room}/", **WIDE)
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    fence = ada.locator("#m-2 .fence")
    prose, code = (box(ada.locator(f"#m-{seq} .message__body"))["width"] for seq in (1, 2))
    assert code > prose + 50
    is_wide = "(fence) => fence.scrollWidth > fence.clientWidth"
    assert fence.evaluate(is_wide)
    assert "gradient" in style(fence, "backgroundImage")
    assert "local" in style(fence, "backgroundAttachment")

    ada.get_by_role("button", name="Wrap lines").click()
    assert not fence.evaluate(is_wide)
    ada.get_by_role("button", name="Wrap lines").click()
    assert fence.evaluate(is_wide)
    ada.get_by_role("button", name="Copy code").click()
    expect(ada.locator("#toast")).to_have_text("Code copied")
    assert ada.evaluate("navigator.clipboard.readText()") == LONG_LINE
    assert violations(ada) == []


# Item 18: pills, titles and folding


def test_the_pills_cover_no_text(server: ConfabServer, visit: Visit, room: str) -> None:
    fill(server, room, 60)
    ada = visit(f"/{room}/", **PHONE)
    ada.wait_for_timeout(1200)  # a second of looking is reading
    ada.locator("#log").evaluate("(log) => { log.scrollTop = -900 }")
    with somebody(server, room) as ben:
        post(ben, "new")
    latest = ada.locator("#latest")
    expect(latest).to_have_text("1 new")
    log = box(ada.locator("#log"))
    visible_top = box(latest)["top"] + 7  # the rest can be touched, and is transparent
    assert visible_top >= log["bottom"]
    assert box(latest)["bottom"] - 7 <= box(ada.locator(".composer__pill"))["top"]


def test_notices_cover_no_text_and_do_not_move_what_is_read(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 60)
    ada = visit(f"/{room}/", **PHONE)
    before = box(ada.locator("#m-60"))

    ada.evaluate("location.hash = '#m-99'")
    expect(ada.locator("#toast")).to_contain_text("could not be found")
    ada.locator("#log").evaluate("(log) => { log.scrollTop = 0 }")
    ada.locator("#connection").evaluate(
        """(notice) => {
          notice.dataset.state = "offline"
          notice.querySelector(".connection__text").textContent = "You're offline. ".repeat(9)
        }"""
    )

    for notice in (ada.locator("#toast"), ada.locator("#connection")):
        assert box(notice)["height"] >= 44
        assert box(notice)["top"] >= box(ada.locator(".header"))["bottom"]
        assert box(notice)["bottom"] <= box(ada.locator(".notices"))["bottom"]
    # Messages end below all notices, as below the header.
    notices = ada.locator(".notices")
    assert style(notices, "backgroundColor") == style(ada.locator("html"), "backgroundColor")
    assert box(notices)["width"] == box(ada.locator("#log"))["width"]
    assert box(ada.locator("#m-60")) == before


def test_names_that_are_offered_lie_above_the_pill(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 60)
    with somebody(server, room) as zoe:
        post(zoe, "hello", "Zoë")
        ada = named(visit, f"/{room}/", **PHONE)
        ada.locator("#log").evaluate("(log) => { log.scrollTop = -2000 }")
        expect(ada.locator("#latest")).to_be_visible()

        field(ada).press_sequentially("@")
        options = ada.get_by_role("option")
        expect(options.first).to_be_visible()

        assert all(is_seen(option) for option in options.all())


def test_a_long_room_name_ends_with_an_ellipsis_and_a_short_one_does_not_wrap(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        for name, is_cut in ("The weekly meeting about everything " * 2, True), ("A walk", False):
            assert ben.ask("title", {"name": name.strip(), "handle": "Ben"})["ok"]
            for width in (320, 375, 1280):
                ada = visit(f"/{room}/", viewport={"width": width, "height": 800})
                heading = ada.get_by_role("heading", level=1)
                expect(heading).to_have_text(name.strip())
                overflows = heading.evaluate("(title) => title.scrollWidth > title.clientWidth")
                if width < 1000 or not is_cut:
                    assert overflows == is_cut
                assert style(heading, "textOverflow") == "ellipsis"
                assert box(heading)["height"] <= 44
                assert ada.evaluate("document.scrollingElement.scrollWidth") == width
                ada.context.close()


def test_what_has_happened_in_a_row_takes_one_line_until_it_is_unfolded(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "Ben")
        for name in ("Benny", "Benjamin", "Ben"):
            assert ben.ask("rename", {"handle": name})["ok"]
        post(ben, "that is me")

    ada = visit(f"/{room}/")
    shown = [ada.locator(f"#m-{seq}").is_visible() for seq in range(1, 6)]
    assert shown == [True, False, False, True, True]
    assert box(ada.locator("#m-4"))["height"] <= 32

    ada.get_by_role("button", name="Show earlier changes").click()
    for seq in range(1, 6):
        expect(ada.locator(f"#m-{seq}")).to_be_visible()
    expect(ada.get_by_role("button", name="Show earlier changes")).to_have_count(0)


def test_without_scripts_everything_that_has_happened_is_shown(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "Ben")
        for name in ("Benny", "Benjamin", "Ben"):
            assert ben.ask("rename", {"handle": name})["ok"]

    ada = visit_without_scripts(visit, room)

    for seq in range(1, 5):
        expect(ada.locator(f"#m-{seq}")).to_be_visible()


def visit_without_scripts(visit: Visit, room: str) -> Page:
    """Open a room in a browser without scripts."""
    page = visit(f"/{room}/")
    browser = page.context.browser
    assert browser is not None
    other = browser.new_context(java_script_enabled=False).new_page()
    other.goto(page.url)
    return other


def test_deleted_messages_take_one_line(server: ConfabServer, visit: Visit, room: str) -> None:
    with somebody(server, room) as ben:
        for text in ("one", "two", "three", "four"):
            post(ben, text)
        ada = visit(f"/{room}/")
        for seq in (1, 2, 3):
            assert ben.ask("delete", {"seq": seq})["ok"]
        expect(ada.locator("#m-3")).to_have_attribute("data-state", "deleted")

        assert [ada.locator(f"#m-{seq}").is_visible() for seq in range(1, 5)] == [
            False,
            False,
            True,
            True,
        ]
        assert box(ada.locator("#m-3"))["height"] <= 32
        ada.evaluate("location.hash = '#m-1'")  # a link to one that is folded
        expect(ada.locator("#m-1")).to_be_in_viewport()


# Item 19: forced colors


def test_with_forced_colors_what_is_chosen_and_what_can_be_pressed_is_visible(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "Ben")
        assert ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
        assert ben.ask("react", {"seq": 1, "emoji": "🎉", "on": True})["ok"]
        ada = named(visit, f"/{room}/", forced_colors="active", **WIDE)
        says(ada, "mine")
        mine = ada.locator('.message[data-side="own"]')
        expect(mine).to_have_attribute("data-state", "sent")
        ada.locator("#m-1 .reaction").first.click()
        expect(ada.locator("#m-1 .reaction").first).to_have_attribute("aria-pressed", "true")

        own, other = (ada.locator("#m-1 .reaction__pill").nth(number) for number in (0, 1))
        assert style(own, "backgroundColor") != style(other, "backgroundColor")
        for message in (ada.locator("#m-1"), mine):
            assert style(message.locator(".message__body"), "borderTopWidth") == "1px"
        assert style(mine.locator(".message__body"), "borderInlineEndWidth") != "1px"
        field(ada).press_sequentially("@")
        option = ada.get_by_role("option").first
        expect(option).to_have_attribute("aria-selected", "true")
        assert style(option, "backgroundColor") != style(
            ada.locator("#completion"), "backgroundColor"
        )
        field(ada).press("Escape")
        assert violations(ada) == []
        ada.get_by_role("button", name="Room menu").click()
        system, dark = (ada.locator(".theme__option span").nth(number) for number in (0, 2))
        assert style(system, "backgroundColor") != style(dark, "backgroundColor")
        for button in ada.locator("dialog:modal .button").all():
            assert float(style(button, "borderTopWidth").removesuffix("px")) >= 1
        assert violations(ada) == []


# Item 21: colors of people, and what can be done with them


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_twenty_people_are_told_apart_by_their_colors(
    server: ConfabServer, visit: Visit, room: str, theme: str
) -> None:
    with ExitStack() as people:
        for number in range(20):
            person = people.enter_context(somebody(server, room))
            post(person, f"I am number {number}", f"{chr(65 + number)}.")
    ada = visit(f"/{room}/", color_scheme=theme, **WIDE)
    avatars = ada.locator(".message__avatar")
    expect(avatars).to_have_count(20)
    grounds = [avatar.evaluate(COLOR, "backgroundColor") for avatar in avatars.all()]
    letters = [avatar.evaluate(COLOR, "color") for avatar in avatars.all()]

    def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
        pairs = zip(one["lab"], other["lab"], strict=True)
        return float(sum((left - right) ** 2 for left, right in pairs) ** 0.5)

    assert min(distance(*pair) for pair in combinations(grounds, 2)) >= MIN_COLOR_DISTANCE
    assert min(distance(*pair) for pair in combinations(grounds[:6], 2)) >= (
        MIN_COLOR_DISTANCE_OF_FEW
    )
    for ground, letter in zip(grounds, letters, strict=True):
        low, high = sorted([ground["luminance"], letter["luminance"]])
        assert (high + 0.05) / (low + 0.05) >= AA_CONTRAST


def test_the_faces_of_those_who_reacted_are_in_the_reaction_and_their_names_in_the_menu(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with ExitStack() as people:
        names = ["Ben", "Cy", "Dora", "Eve"]
        others = [people.enter_context(somebody(server, room)) for _ in names]
        for person, name in zip(others, names, strict=True):
            post(person, f"I am {name}", name)
        for person in others[:2]:
            assert person.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
        ada = named(visit, f"/{room}/", **PHONE)
        reaction = ada.locator("#m-1 .reaction")
        faces = reaction.locator(".avatar")
        initials = "(all) => all.map((face) => face.dataset.initial)"
        assert faces.evaluate_all(initials) == ["B", "C"]
        assert style(faces.nth(0), "backgroundColor") == style(
            ada.locator("#m-1 .message__avatar"), "backgroundColor"
        )
        assert box(reaction.locator(".reaction__count"))["width"] <= 1
        for person in others[2:]:
            assert person.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]

        expect(reaction).to_have_text("👍 4")
        assert faces.evaluate_all(initials) == ["B", "C", "D"]
        assert is_seen(reaction.locator(".reaction__count"))
        ada.locator("#m-1").focus()
        ada.keyboard.press("Enter")
        expect(ada.locator(".menu__reactors")).to_have_text("👍 Ben, Cy, Dora, Eve")
        assert is_seen(ada.locator(".menu__reactor").first)


def test_ignoring_is_in_the_menu_of_a_person_and_not_in_the_list(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "Ben")
        ada = named(visit, f"/{room}/", **WIDE)
        panel, menu = ada.locator("#people"), ada.locator("#person-menu")
        expect(panel).to_contain_text("Ben")
        expect(panel).not_to_contain_text("gnore")

        panel.get_by_role("button", name="Actions for Ben").click()
        expect(menu.get_by_role("menuitem")).to_have_text(["Mention", "Ignore this person"])
        assert violations(ada) == []
        menu.get_by_role("menuitem", name="Mention").click()
        expect(field(ada)).to_have_value("@Ben ")
        panel.get_by_role("button", name="Actions for Ben").click()
        menu.get_by_role("menuitem", name="Ignore this person").click()
        expect(ada.locator("#m-1")).to_be_hidden()
        panel.get_by_role("button", name="Actions for Ben").click()
        menu.get_by_role("menuitem", name="Stop ignoring").click()
        expect(ada.locator("#m-1")).to_be_visible()


# Item 22: hierarchy


def test_send_is_highlighted_only_when_there_is_something_to_send(visit: Visit, room: str) -> None:
    ada = named(visit, f"/{room}/", **PHONE)
    send = ada.get_by_role("button", name="Send")
    quiet = style(send, "backgroundColor")

    field(ada).fill("  \n ")
    assert style(send, "backgroundColor") == quiet
    field(ada).fill("hello")
    assert style(send, "backgroundColor") != quiet
    field(ada).press("Control+Enter")
    sees(ada, "hello")
    assert style(send, "backgroundColor") == quiet


def test_delete_is_last_and_red_and_asks_with_the_message(visit: Visit, room: str) -> None:
    ada = named(visit, f"/{room}/", **WIDE)
    says(ada, "a secret\n<b>of two lines</b>")
    expect(ada.locator("#m-1")).to_have_attribute("data-state", "sent")
    ada.locator("#m-1 .message__actions").click()
    entries = ada.locator("#menu .menu__action:visible")
    expect(entries.last).to_have_text("Delete")
    assert style(entries.last, "color") != style(entries.first, "color")
    red = entries.last.evaluate(COLOR, "color")["lab"]
    assert red[1] > 0.1

    entries.last.click()
    expect(ada.locator("#delete .dialog__message")).to_have_text("a secret\n<b>of two lines</b>")
    button = ada.locator("#delete").get_by_role("button", name="Delete")
    assert button.evaluate(COLOR, "backgroundColor")["lab"][1] > 0.1


def test_the_message_that_is_edited_or_replied_to_is_marked(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben:
        post(ben, "hello", "Ben")
    ada = named(visit, f"/{room}/", **WIDE)
    says(ada, "mine")
    expect(ada.locator("#m-2")).to_have_attribute("data-state", "sent")
    shadow = ada.locator("#m-1 .message__body")
    assert style(shadow, "boxShadow") == "none"

    choose(ada, 1, "reply")
    assert style(shadow, "boxShadow") != "none"
    ada.reload()
    assert style(here(ada).locator("#m-1 .message__body"), "boxShadow") != "none"
    field(ada).press("Escape")
    assert style(shadow, "boxShadow") == "none"
    choose(ada, 2, "edit")
    assert style(ada.locator("#m-2 .message__body"), "boxShadow") != "none"


def test_every_icon_of_the_header_has_a_title_and_no_two_look_alike_on_a_phone(
    visit: Visit, room: str
) -> None:
    ada = named(visit, f"/{room}/", **PHONE)
    buttons = ada.locator(".header button:visible, .header a:visible").all()
    for button in buttons:
        assert button.get_attribute("title") or button.inner_text().strip()
    icons = ada.locator(".header .icon-button:visible > .icon")
    assert icons.count() <= 3
    says(ada, "hello")
    expect(ada.locator(".people-button .face").first).to_be_visible()


def test_over_plain_http_the_advice_about_notifications_is_to_use_https(
    chromium: Browser, tmp_path: Path
) -> None:
    with flask_run(tmp_path, ALLOWED_HOSTS="*") as server:
        page = chromium.new_page()
        page.goto(f"{server.url.replace('127.0.0.1', 'confab.test')}/kitchen/")
        here(page).get_by_role("button", name="Notifications").click()

        status = page.locator("#notifications .dialog__status")
        expect(status).to_contain_text("https")
        expect(status).not_to_contain_text("settings")
        page.close()


# Item 24: print


def test_print_has_all_loaded_messages_and_neither_controls_nor_marks(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    with somebody(server, room) as ben, somebody(server, room) as other:
        post(ben, "hello", "Ben")
        post(other, "hello", "Ben")
        post(ben, "\n".join(f"line {number}" for number in range(40)))
        for name in ("Benny", "Benjamin"):
            assert ben.ask("rename", {"handle": name})["ok"]
        post(ben, f"```\n{LONG_LINE}\n```", "Benjamin")
        assert ben.ask("react", {"seq": 1, "emoji": "👍", "on": True})["ok"]
        ada = named(visit, f"/{room}/", **WIDE)
        says(ada, "mine")
        mine = ada.locator('.message[data-side="own"]:not([data-kind])')
        expect(mine).to_have_attribute("data-state", "sent")
        assert ada.locator(".message__mark:visible").count() > 0

        ada.emulate_media(media="print")

        for message in ada.locator(".message").all():
            expect(message).to_be_visible()
        shown = ada.locator(
            ":is(button:not(.reaction), input, textarea, dialog, .message__mark):visible"
        )
        expect(shown).to_have_count(0)
        assert ada.locator("#m-3 .message__text").evaluate(
            "(text) => text.scrollHeight <= text.clientHeight + 1"
        )
        fence = ada.locator("#m-6 .fence")
        assert fence.evaluate("(fence) => fence.scrollWidth <= fence.clientWidth")
        assert box(mine.locator(".message__name"))["width"] > 4
        assert ada.evaluate("document.scrollingElement.scrollWidth") <= 1280
        assert len(ada.pdf()) > 1000


def test_a_printed_room_of_several_pages_begins_with_its_name_and_is_dark_on_light(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    fill(server, room, 45)
    ada = visit(f"/{room}/", color_scheme="dark", **WIDE)
    ada.emulate_media(media="print", color_scheme="dark")

    heading = ada.get_by_role("heading", level=1)
    assert heading.evaluate(COLOR, "color")["luminance"] < 0.05
    assert box(heading)["top"] < 60
    assert style(ada.locator("html"), "backgroundColor") == "rgb(255, 255, 255)"
    assert len(re.findall(rb"/Type\s*/Page\b", ada.pdf())) >= 2


# The home page


def test_the_home_page_lists_rooms_with_their_visits_and_what_is_unread(
    server: ConfabServer, visit: Visit, room: str
) -> None:
    ada = named(visit, f"/{room}/", **PHONE)
    ada.wait_for_timeout(1200)  # a second of looking is reading
    ada.evaluate("document.hasFocus = () => false")
    with somebody(server, room) as ben:
        for number in range(3):
            post(ben, f"number {number}")
    expect(ada).to_have_title(re.compile(r"^\(3\)"))
    home = ada.context.new_page()
    home.goto(server.url)

    item = home.locator(".recent-room")
    expect(item.locator(".recent-room__name")).to_have_text(room)
    expect(item.locator(".recent-room__visit")).to_have_text("Just now")
    expect(item.locator(".recent-room__unread")).to_have_text("3")
    assert box(item)["height"] >= 56
    new_room = home.get_by_role("button", name="New room")
    assert box(new_room)["height"] >= 56
    assert box(new_room)["bottom"] < box(item)["top"]


def test_the_list_of_rooms_moves_nothing_when_it_appears(visit: Visit, room: str) -> None:
    ada = named(visit, f"/{room}/", **PHONE)
    ada.add_init_script(
        "window.shifts = []; new PerformanceObserver((all) => {"
        " for (const one of all.getEntries()) shifts.push(one.value) })"
        ".observe({ type: 'layout-shift', buffered: true })"
    )
    ada.get_by_role("button", name="Room menu").click()
    ada.get_by_role("link", name="Home page").click()

    expect(ada.locator(".recent-room")).to_have_count(1)
    assert ada.evaluate("shifts") == []
