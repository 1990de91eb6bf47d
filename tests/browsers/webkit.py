"""WebKitGTK: its MiniBrowser under Xvfb, through WebDriver at WebKitWebDriver."""

import base64
import json
import re
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.browsers.input_actions import (
    Action,
    finger_touch,
    key_press,
    mouse_click,
    mouse_move,
    typed_text,
)
from tests.browsers.interface import Browser, BrowserError
from tests.servers import Program, free_port

COMMAND_SECONDS = 30.0
SCREEN = "1600x1200x24"
DISPLAY_NUMBER = re.compile(r"^\d+$", re.MULTILINE)  # which Xvfb prints when it is ready
ENVIRONMENT = {
    "GDK_BACKEND": "x11",
    "GTK_A11Y": "none",  # there is no accessibility bus
    "LIBGL_ALWAYS_SOFTWARE": "1",
    "NO_AT_BRIDGE": "1",
    "TZ": "UTC",
    "WEBKIT_SKIA_ENABLE_CPU_RENDERING": "1",  # there is no graphics card
    "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",  # it needs a user who is not root
}
CAPABILITIES: dict[str, Any] = {"alwaysMatch": {}}
# The buttons of MiniBrowser would make its window too wide for the page of a phone.
STYLE_OF_WINDOW = (
    "* { border-width: 0; font-size: 1px; margin: 0; min-height: 0; min-width: 0; padding: 0; }\n"
)
# WebDriver does not report what pages log. So the page does, from the end of its loading on.
TAKE_ERRORS = """
() => {
  window.walkthroughErrors ??= watch()
  return window.walkthroughErrors.splice(0)

  function watch() {
    const errors = []
    addEventListener("error", ({ message }) => errors.push(message))
    addEventListener("unhandledrejection", ({ reason }) => errors.push(String(reason)))
    for (const level of ["error", "warn"]) {
      const log = console[level]
      console[level] = (...words) => {
        errors.push(words.join(" "))
        log.apply(console, words)
      }
    }
    return errors
  }
}
"""


class WebKit(Browser):
    """The WebKitGTK of this machine, on a screen that exists only in memory."""

    name = "WebKit"
    has_touch_screen = False  # its driver turns touches into those of a mouse

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        screen = ["Xvfb", "-displayfd", "1", "-screen", "0", SCREEN, "-nolisten", "tcp"]
        self._screen = Program(folder / "screen", screen, lambda: self._display() != "")
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        driver = ["WebKitWebDriver", "--host=127.0.0.1", f"--port={port}"]
        self._driver = Program(folder / "driver", driver, self._is_ready, **ENVIRONMENT)
        self._session_url = ""
        self._tabs: list[str] = []
        self._errors: list[str] = []

    def start(self) -> None:
        style = self._folder / "driver" / ".config" / "gtk-3.0" / "gtk.css"
        style.parent.mkdir(parents=True)
        style.write_text(STYLE_OF_WINDOW)
        self._screen.start()
        self._driver.environment["DISPLAY"] = f":{self._display()}"
        self._driver.start()
        session = self._request("POST", f"{self._url}/session", {"capabilities": CAPABILITIES})
        self._session_url = f"{self._url}/session/{session['sessionId']}"
        self._tabs.append(self._get("window"))

    def open(self, url: str) -> None:
        self._errors += self.evaluate(TAKE_ERRORS)
        self._post("url", url=url)
        self._errors += self.evaluate(TAKE_ERRORS)  # from now on, errors are noticed

    def evaluate(self, function: str, *arguments: Any) -> Any:
        result = self._post(
            "execute/sync",
            script=f"return Promise.resolve(({function})(...JSON.parse(arguments[0])))"
            ".then((result) => JSON.stringify(result ?? null))",
            args=[json.dumps(arguments)],
        )
        return json.loads(result)

    def open_tab(self) -> None:
        # WebDriver opens tabs in the background and cannot bring them to the front.
        opened = self._post("window/new", type="window")
        self._tabs.append(opened["handle"])
        self._post("window", handle=self._tabs[-1])

    def close_tab(self) -> None:
        self._request("DELETE", f"{self._session_url}/window")
        self._tabs.pop()
        self._post("window", handle=self._tabs[-1])

    def move_mouse(self, x: float, y: float) -> None:
        self._perform(mouse_move(x, y))

    def click_at(self, x: float, y: float) -> None:
        self._perform(mouse_click(x, y))

    def touch_at(self, x: float, y: float, seconds: float) -> None:
        self._perform(finger_touch(x, y, seconds))

    def press(self, keys: str) -> None:
        self._perform(key_press(keys))

    def type(self, text: str) -> None:
        self._perform(typed_text(text))

    def resize(self, width: int, height: int) -> None:
        outer = self._get("window/rect")
        inner = self.evaluate("() => ({ width: innerWidth, height: innerHeight })")
        self._post(
            "window/rect",
            width=outer["width"] - inner["width"] + width,
            height=outer["height"] - inner["height"] + height,
        )
        self.wait_for("(...size) => size + '' === [innerWidth, innerHeight] + ''", width, height)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._get("screenshot")))

    def take_errors(self) -> list[str]:
        taken = [*self._errors, *self.evaluate(TAKE_ERRORS)]
        self._errors = []
        return taken

    def close(self) -> None:
        if self._session_url:
            with suppress(BrowserError):  # it may have crashed
                self._request("DELETE", self._session_url)
        self._driver.stop()
        self._screen.stop()

    def _display(self) -> str:
        number = DISPLAY_NUMBER.search(self._screen.log())
        return number[0] if number else ""

    def _is_ready(self) -> bool:
        try:
            return bool(self._request("GET", f"{self._url}/status")["ready"])
        except BrowserError:
            return False

    def _perform(self, actions: list[Action]) -> None:
        self._post("actions", actions=actions)

    def _get(self, path: str) -> Any:
        return self._request("GET", f"{self._session_url}/{path}")

    def _post(self, path: str, **parameters: Any) -> Any:
        return self._request("POST", f"{self._session_url}/{path}", parameters)

    def _request(self, method: str, url: str, parameters: dict[str, Any] | None = None) -> Any:
        body = None if parameters is None else json.dumps(parameters).encode()
        request = urllib.request.Request(url, body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=COMMAND_SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            problem = json.load(error)["value"]
            raise BrowserError(f"{problem['error']}: {problem['message']}") from error
        except OSError as error:
            raise BrowserError(f"{method} {url}: {error}") from error
