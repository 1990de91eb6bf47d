"""Chromium, through Playwright."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, ConsoleMessage, Error, Page, sync_playwright

from tests.browser.conftest import CHROMIUM, CHROMIUM_OPTIONS, DEFAULT_SETTINGS
from tests.browsers.interface import Browser, BrowserError


class Chromium(Browser):
    """The Chromium of this machine, without a window."""

    name = "Chromium"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._errors: list[str] = []
        self._tabs: list[tuple[Page, CDPSession]] = []
        self._running = ExitStack()

    def start(self) -> None:
        path = next(filter(None, map(shutil.which, CHROMIUM)), None)
        assert path, "these tests need Chromium: run 'make deps'"
        playwright = self._running.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=path, args=CHROMIUM_OPTIONS, env=self._environment()
        )
        self._running.callback(browser.close)
        self._context = browser.new_context(**DEFAULT_SETTINGS)
        self.open_tab()

    def open(self, url: str) -> None:
        try:
            self._page.goto(url)
        except Error as error:
            raise BrowserError(error.message) from error

    def evaluate(self, function: str, *arguments: Any) -> Any:
        try:
            return self._page.evaluate(f"(given) => ({function})(...given)", list(arguments))
        except Error as error:
            raise BrowserError(error.message) from error

    def open_tab(self) -> None:
        page = self._context.new_page()
        page.on("pageerror", self._keep_page_error)
        page.on("console", self._keep_console_message)
        self._tabs.append((page, self._context.new_cdp_session(page)))

    def close_tab(self) -> None:
        page, _ = self._tabs.pop()
        page.close()

    def move_mouse(self, x: float, y: float) -> None:
        self._page.mouse.move(x, y)

    def click_at(self, x: float, y: float) -> None:
        self._page.mouse.click(x, y)

    def touch_at(self, x: float, y: float, seconds: float) -> None:
        self._send_touch("touchStart", [{"x": x, "y": y}])
        self._page.wait_for_timeout(seconds * 1000)
        self._send_touch("touchEnd", [])

    def press(self, keys: str) -> None:
        self._page.keyboard.press(keys)

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)

    def resize(self, width: int, height: int) -> None:
        self._page.set_viewport_size({"width": width, "height": height})

    def screenshot(self, path: Path) -> None:
        self._page.screenshot(path=path)

    def take_errors(self) -> list[str]:
        self.evaluate("() => null")  # Playwright reports events only while it waits for something
        taken = self._errors
        self._errors = []
        return taken

    def close(self) -> None:
        self._running.close()

    def _environment(self) -> dict[str, str | float | bool]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": str(self._folder), "LANG": "C.UTF-8"}

    @property
    def _page(self) -> Page:
        return self._tabs[-1][0]

    def _send_touch(self, kind: str, points: list[dict[str, float]]) -> None:
        _, devtools = self._tabs[-1]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def _keep_page_error(self, error: Error) -> None:
        self._errors.append(str(error))

    def _keep_console_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._errors.append(message.text)
