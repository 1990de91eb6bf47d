"""`make demo`: fills a room with a scripted conversation and retakes the README's screenshots."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from socketio import SimpleClient
from sqlalchemy import text

from tests.servers import ROOT, ConfabServer, gunicorn

LABEL = "saturday-walk"
TITLE = "Saturday walk"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
}
DEVICE_SCALE = 2  # pixels of the picture for each CSS pixel
PAGE_SECONDS = 20.0
TYPING_SECONDS = 2.0  # the server broadcasts `typing` at most this often


@dataclass(frozen=True)
class Line:
    """One message of the script. `reply_to` is the position of the message that it replies to."""

    minutes_ago: int
    name: str
    message: str
    reply_to: int | None = None


SCRIPT = [
    Line(28, "Ada", "Shall we walk the coast path on Saturday?"),
    Line(27, "Ben", "Yes! The forecast is **sunny until four**"),
    Line(25, "Cy", "I can drive, there is room for three of you"),
    Line(25, "Cy", "You can park here: https://example.org/coast-path"),
    Line(22, "Ben", "I'll bring the map", 3),
    Line(4, "Cy", "Then I'll bring coffee. Nine o'clock at the station?"),
    Line(3, "Ada", "Nine it is. See you there!"),
]
# A plain Debian has fonts for these emoji, but not for most others.
SUN = "\N{BLACK SUN WITH RAYS}\N{VARIATION SELECTOR-16}"
COFFEE = "\N{HOT BEVERAGE}"
REACTIONS = [("Ben", 1, SUN), ("Cy", 1, SUN), ("Ada", 6, COFFEE), ("Ben", 6, COFFEE)]


class Member:
    """A scripted member of the room, connected with socket.io."""

    def __init__(self, url: str, name: str, cookie: str | None = None) -> None:
        self.name = name
        self._client = SimpleClient()
        headers = {} if cookie is None else {"Cookie": cookie}
        self._client.connect(url, headers=headers, transports=["websocket"])
        self.call("join", label=LABEL)

    def call(self, event: str, **payload: Any) -> dict[str, Any]:
        """Send an event; return its acknowledgement. Raises RuntimeError when it is refused."""
        answer: dict[str, Any] = self._client.call(event, payload)
        if not answer["ok"]:
            raise RuntimeError(f"{event} was refused: {answer['message']}")
        return answer

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium. Exits with one sentence when it is not installed."""
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        sys.exit("make demo needs Chromium: run 'make deps', then run this command again.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--disable-gpu"])
        yield browser
        browser.close()


def open_browser(browser: Browser, server: ConfabServer, name: str, **device: Any) -> Page:
    """Open the room in a browser of its own that remembers a name."""
    settings = {"locale": "en-GB", "device_scale_factor": DEVICE_SCALE, **device}
    context = browser.new_context(**settings)
    context.add_init_script(f"localStorage.setItem('confab:name', '\"{name}\"')")
    page = context.new_page()
    page.set_default_timeout(PAGE_SECONDS * 1000)
    page.goto(f"{server.url}/{LABEL}/")
    return page


def cookie_header(context: BrowserContext) -> str:
    """Return the cookies of a browser as the value of a Cookie header."""
    return "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in context.cookies())


def play(members: dict[str, Member]) -> None:
    """Name the room, then post the script."""
    members["Ada"].call("title", name=TITLE, handle="Ada")
    seqs: list[int] = []
    for line in SCRIPT:
        payload: dict[str, Any] = {"handle": line.name, "message": line.message}
        if line.reply_to is not None:
            payload["reply_to"] = seqs[line.reply_to - 1]
        answer = members[line.name].call("chat", **payload)
        seqs.append(answer["seq"])
    for name, position, emoji in REACTIONS:
        members[name].call("react", seq=seqs[position - 1], emoji=emoji, on=True)


def backdate(server: ConfabServer) -> None:
    """Spread the messages over the time that the script says."""
    now = datetime.now(UTC)
    minutes_ago = {line.message: line.minutes_ago for line in SCRIPT}
    minutes_ago[TITLE] = SCRIPT[0].minutes_ago + 1
    statement = text("UPDATE messages SET timestamp = :when WHERE message = :message")
    with server.database() as engine, engine.begin() as transaction:
        for message, minutes in minutes_ago.items():
            when = (now - timedelta(minutes=minutes)).strftime("%Y-%m-%d %H:%M:%S.%f")
            transaction.execute(statement, {"when": when, "message": message})


def take_screenshot(page: Page, typist: Member, path: Path) -> None:
    """Load the page again, wait until it shows who is typing, and take a screenshot."""
    page.reload()
    typing = page.get_by_text(f"{typist.name} is typing")
    deadline = time.monotonic() + PAGE_SECONDS
    while not typing.is_visible():
        if time.monotonic() > deadline:
            raise RuntimeError("The page did not show who is typing.")
        typist.call("typing", handle=typist.name)
        page.wait_for_timeout(TYPING_SECONDS * 1000 / 4)
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path)
    sys.stdout.write(f"{path.relative_to(ROOT)} is written.\n")


def main() -> None:
    """Start a server, play the conversation, and take both screenshots."""
    with (
        tempfile.TemporaryDirectory(prefix="confab-demo-") as folder,
        gunicorn(Path(folder)) as server,
        chromium() as browser,
    ):
        desktop = open_browser(browser, server, "Ada", **DESKTOP)
        phone = open_browser(browser, server, "Ben", **PHONE)
        members = {
            "Ada": Member(server.url, "Ada", cookie_header(desktop.context)),
            "Ben": Member(server.url, "Ben", cookie_header(phone.context)),
            "Cy": Member(server.url, "Cy"),
        }
        play(members)
        backdate(server)
        take_screenshot(desktop, members["Cy"], ROOT / "docs" / "room-desktop.png")
        take_screenshot(phone, members["Cy"], ROOT / "docs" / "room-phone.png")
        for member in members.values():
            member.close()


if __name__ == "__main__":
    main()
