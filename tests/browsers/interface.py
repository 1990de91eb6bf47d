"""What the walkthrough uses of a browser. Each browser engine implements the abstract methods.

Input is trusted: the browser creates the events, as for a real mouse, keyboard or finger.
"""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.servers import ROOT

PATIENCE_SECONDS = 15.0
POLL_SECONDS = 0.05
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

# The visible elements that match a target. axe-core computes roles and accessible names.
FIND_ALL = """
({ css, role, name }) => {
  const isMatch = (element) => {
    if (!element.checkVisibility({ visibilityProperty: true })) return false
    if (role === "") return true
    if (axe.commons.aria.getRole(element) !== role) return false
    const accessibleName = axe.commons.text.accessibleText(element).trim()
    return name === "" || new RegExp(`^(?:${name})$`, "u").test(accessibleName)
  }
  const candidates = [...document.querySelectorAll(css)]
  if (role === "") return candidates.filter(isMatch)
  axe.setup(document.documentElement)
  try {
    return candidates.filter(isMatch)
  } finally {
    axe.teardown()
  }
}
"""
IS_AXE_LOADED = "() => typeof axe === 'object'"
COUNT = f"(target) => ({FIND_ALL})(target).length"
# The middle of the first line of an element; or why nothing can be done with it yet.
LOCATE = f"""
async (target) => {{
  const [element] = ({FIND_ALL})(target)
  if (!element) return {{ problem: "is not on the page" }}
  element.scrollIntoView({{ block: "nearest", inline: "nearest", behavior: "instant" }})
  const nextFrame = () => new Promise((done) => {{
    requestAnimationFrame(done)
    setTimeout(done, 100) // there are no frames while a page is hidden
  }})
  const measure = () => {{
    const {{ left, top, width, height }} = element.getClientRects()[0] ?? new DOMRect()
    return {{ x: left + width / 2, y: top + height / 2 }}
  }}
  const before = measure()
  await nextFrame()
  await nextFrame()
  const {{ x, y }} = measure()
  if (before.x !== x || before.y !== y) return {{ problem: "is moving" }}
  const top = document.elementFromPoint(x, y)
  if (!top) return {{ problem: "is outside the window" }}
  const isReached = element.contains(top) || top.contains(element) && top.closest("label")
  if (!isReached) return {{ problem: `is covered by ${{top.outerHTML.slice(0, 100)}}` }}
  return {{ x, y }}
}}
"""


class BrowserError(Exception):
    """A browser refuses or cannot do what it was asked to do."""


@dataclass(frozen=True)
class Target:
    """An element of the page: the first visible one that matches a CSS selector, a role and a name.

    `name` is a regular expression for the whole accessible name. Empty ones match everything.
    """

    css: str = "*"
    role: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Return a description for messages of failures."""
        parts = [self.role, f'"{self.name}"' if self.name else "", self.css.replace("*", "")]
        return " ".join(part for part in parts if part)


def by_css(selector: str) -> Target:
    """Return the element that a CSS selector selects."""
    return Target(css=selector)


def by_role(role: str, name: str = "", within: str = "") -> Target:
    """Return the element with a role and an accessible name, inside the one that is selected."""
    return Target(css=f"{within} *".strip(), role=role, name=name)


class Browser(ABC):
    """A browser with a temporary profile. Everything concerns the tab that was opened last."""

    name: str
    has_touch_screen = True

    @abstractmethod
    def __init__(self, folder: Path) -> None:
        """Prepare a browser that keeps everything in a folder."""

    # What each engine implements

    @abstractmethod
    def start(self) -> None:
        """Start the browser."""

    @abstractmethod
    def open(self, url: str) -> None:
        """Load a page; return when it has been loaded."""

    @abstractmethod
    def evaluate(self, function: str, *arguments: Any) -> Any:
        """Call a JavaScript function; return its result, or what its promise resolves with."""

    @abstractmethod
    def open_tab(self) -> None:
        """Open another tab, which everything concerns from then on."""

    @abstractmethod
    def close_tab(self) -> None:
        """Close this tab; return to the one before."""

    @abstractmethod
    def move_mouse(self, x: float, y: float) -> None:
        """Move the mouse to a point in the window."""

    @abstractmethod
    def click_at(self, x: float, y: float) -> None:
        """Press and release the first mouse button at a point in the window."""

    @abstractmethod
    def touch_at(self, x: float, y: float, seconds: float) -> None:
        """Put a finger on a point of the window, and lift it after a time."""

    @abstractmethod
    def press(self, keys: str) -> None:
        """Press a key, or several at once, such as Control+Enter."""

    @abstractmethod
    def type(self, text: str) -> None:
        """Press the keys of a text."""

    @abstractmethod
    def resize(self, width: int, height: int) -> None:
        """Give the page another size, in CSS pixels."""

    @abstractmethod
    def screenshot(self, path: Path) -> None:
        """Save a picture of the visible part of the page, as PNG."""

    @abstractmethod
    def take_errors(self) -> list[str]:
        """Return the errors and warnings that pages have logged since the last call."""

    @abstractmethod
    def close(self) -> None:
        """End the browser, even if it could not be started completely."""

    # What all share

    def reload(self) -> None:
        """Load the page again."""
        self.open(str(self.evaluate("() => location.href")))

    def wait_for(
        self,
        function: str,
        *arguments: Any,
        seconds: float = PATIENCE_SECONDS,
        what: str = "",
    ) -> Any:
        """Wait until a JavaScript function returns something that is true; return that."""
        explanation = what or f"{' '.join(function.split())} {json.dumps(arguments)}"
        return self._wait(lambda: self.evaluate(function, *arguments), seconds, explanation)

    def count(self, target: Target) -> int:
        """Return how many visible elements match a target."""
        self._provide_axe(target)
        return int(self.evaluate(COUNT, asdict(target)))

    def wait_until_shown(self, *targets: Target, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until all targets are visible."""
        for target in targets:
            self._wait(partial(self.count, target), seconds, f"{target} is shown")

    def wait_until_hidden(self, target: Target, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until nothing visible matches a target."""
        self._wait(lambda: self.count(target) == 0, seconds, f"{target} is hidden")

    def click(self, target: Target) -> None:
        """Click an element, once it is there, does not move, and nothing covers it."""
        self.click_at(*self._point_of(target))

    def point_at(self, target: Target) -> None:
        """Move the mouse to an element."""
        self.move_mouse(*self._point_of(target))

    def touch(self, target: Target, seconds: float = 0.0) -> None:
        """Tap an element, or rest a finger on it for a time."""
        self.touch_at(*self._point_of(target), seconds)

    def fill(self, target: Target, text: str) -> None:
        """Replace the text of a field by typing."""
        self.click(target)
        self.press("Control+a")
        self.press("Delete")
        self.type(text)

    def _point_of(self, target: Target) -> tuple[float, float]:
        """Wait until an element can be clicked; return the point for that."""
        problem = ""

        def locate() -> Any:
            nonlocal problem
            self._provide_axe(target)
            found = self.evaluate(LOCATE, asdict(target))
            problem = found.get("problem", "")
            return found if problem == "" else None

        try:
            found = self._wait(locate, PATIENCE_SECONDS, f"{target} can be used")
        except AssertionError as error:
            raise AssertionError(f"{error}: it {problem}") from error
        return float(found["x"]), float(found["y"])

    def _wait(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Wait until a condition is true; return its value."""
        give_up = time.monotonic() + seconds
        while True:
            problem = ""
            result = None
            try:
                result = condition()
            except BrowserError as error:  # for example, because another page is being loaded
                problem = f": {error}"
            if result:
                return result
            if time.monotonic() > give_up:
                raise AssertionError(f"{self.name}: not within {seconds:g} s: {what}{problem}")
            time.sleep(POLL_SECONDS)

    def _provide_axe(self, target: Target) -> None:
        """Load axe-core into the page, if it is needed to find a target."""
        if target.role and not self.evaluate(IS_AXE_LOADED):
            self.evaluate(f"() => {{ {AXE.read_text()} }}")


def key_names(keys: str) -> Sequence[str]:
    """Return the keys in a combination such as Control+Enter; the last may be a plus."""
    if keys.endswith("+"):
        return [*keys[:-1].removesuffix("+").split("+"), "+"] if len(keys) > 1 else ["+"]
    return keys.split("+")
