"""A finger on the screen of a phone: trusted touch input, sent by the browser itself."""

from typing import Any

from playwright.sync_api import CDPSession, Error, Locator, Page, expect

PHONE: dict[str, Any] = {
    "viewport": {"width": 375, "height": 667},
    "has_touch": True,
    "is_mobile": True,
}
SMALL_PHONE: dict[str, Any] = {**PHONE, "viewport": {"width": 320, "height": 568}}

# The middle of the first line of an element, and what else lies above it there.
MIDDLE = """
(element) => {
  const { left, top, width, height } = element.getClientRects()[0]
  const [x, y] = [left + width / 2, top + height / 2]
  const hit = document.elementFromPoint(x, y)
  return [x, y, element.contains(hit) ? "" : hit?.outerHTML.slice(0, 100) ?? "nothing"]
}
"""
# Waits until the browser has handled all input it has been given.
SETTLED = (
    "() => new Promise((done) =>"
    " requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
)


class Finger:
    """One finger on the screen of a phone."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._devtools: CDPSession = page.context.new_cdp_session(page)
        self._at = (0.0, 0.0)

    def press(self, place: Locator) -> None:
        """Put the finger on something."""
        try:
            place.scroll_into_view_if_needed()
        except Error:  # the page has drawn it again meanwhile
            place.scroll_into_view_if_needed()
        x, y, covered = place.evaluate(MIDDLE)
        assert covered == "", f"{place} is covered by {covered}"
        self.press_at(x, y)

    def press_at(self, x: float, y: float) -> None:
        """Put the finger on a point of the screen."""
        self._at = (x, y)
        self._touch("touchStart", [self._at])

    def press_beside(self, distance: float) -> None:
        """Put a second finger on the screen, beside the first."""
        x, y = self._at
        self._touch("touchStart", [(x, y), (x, y + distance)])

    def move(self, down: float, steps: int = 8) -> None:
        """Move the finger down the screen, without lifting it."""
        for _ in range(steps):
            self._at = (self._at[0], self._at[1] + down / steps)
            self._touch("touchMove", [self._at])

    def lift(self) -> None:
        """Take all fingers off the screen; return when the page has handled that."""
        self._touch("touchEnd", [])
        self._page.evaluate(SETTLED)

    def tap(self, place: Locator) -> None:
        """Touch something shortly."""
        self.press(place)
        self.lift()

    def tap_at(self, x: float, y: float) -> None:
        """Touch a point of the screen shortly."""
        self.press_at(x, y)
        self.lift()

    def leave_page(self, place: Locator) -> None:
        """Touch something that leads to another page."""
        self.press(place)
        with self._page.expect_navigation():
            self._touch("touchEnd", [])

    def long_press(self, place: Locator, opens: Locator) -> None:
        """Rest on something until a menu opens, then lift the finger."""
        self.press(place)
        expect(opens).to_be_visible()
        self.lift()

    def _touch(self, kind: str, points: list[tuple[float, float]]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
