"""What a person feels, in Chromium and against a real server: `python -m tests.perceived_latency` measures it, as a table."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.browser.conftest import CHROMIUM
from tests.browser.test_reading import DESKTOP, PHONE, READ_BACK, fill, here, somebody
from tests.servers import ConfabServer, gunicorn

TIMES = 9
SLOW = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1.6e6 / 8,
    "uploadThroughput": 1.6e6 / 8,
}
SLOWER = 4  # times, the processor of a cheap telephone

# Before anything of the page runs: what it paints, and what moves then.
WATCH = """
window.shifts = []
window.watch = (type, list, what) => new PerformanceObserver((all) => {
  for (const one of all.getEntries()) list.push(one[what])
}).observe({ type, buffered: true })
watch("layout-shift", shifts, "value")
window.wired = new Promise((done) => addEventListener("DOMContentLoaded", () => {
  const room = document.querySelector("#room")
  const look = () => room.dataset.joined === "true" && done(performance.now())
  new MutationObserver(look).observe(room, { attributes: true })
}))
"""
SCRIPTS = """
() => performance.getEntriesByType("resource")
  .filter(({ name }) => name.endsWith(".js"))
  .reduce((sum, one) => sum + one.encodedBodySize, 0)
"""
# The moment a frame has been painted, on the clock that all pages of this machine share.
PAINTED = """
window.painted = (tell) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel()
  port1.onmessage = () => tell(performance.timeOrigin + performance.now())
  port2.postMessage(0)
})
"""
# For each Enter: when it was pressed, whether the next frame had the bubble, and when that was on the screen.
SENDER = """
() => {
  window.pressed = []
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return
    const one = { at: performance.timeOrigin + event.timeStamp, text: document.querySelector("#composer-text").value }
    pressed.push(one)
    requestAnimationFrame(() => {
      one.framed = document.querySelector("#messages").lastElementChild?.textContent.includes(one.text)
    })
    painted((at) => (one.painted = at))
  }, { capture: true })
}
"""
HEARER = """
() => {
  window.seen = []
  new MutationObserver(() => {
    const text = document.querySelector("#messages").lastElementChild.querySelector(".message__text").textContent
    painted((at) => seen.push([text, at]))
  }).observe(document.querySelector("#messages"), { childList: true })
}
"""


@dataclass
class Felt:
    """One line of the table."""

    what: str
    measured: str
    bound: str
    well: bool


class House:
    """A server, a browser, and rooms that have been talked in."""

    def __init__(self, server: ConfabServer, chromium: Browser) -> None:
        self.server = server
        self.chromium = chromium
        self._rooms = 0

    def room(self, messages: int = 60) -> str:
        """A room where so much was said."""
        self._rooms += 1
        label = self.server.room(f"room-{self._rooms}")
        if messages:
            fill(self.server, label, messages)
        return label

    @contextmanager
    def page(self, **settings: Any) -> Iterator[Page]:
        """A page of somebody who has never been here."""
        context = self.chromium.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **settings})
        page = context.new_page()
        page.add_init_script(WATCH + PAINTED)
        try:
            yield page
        finally:
            context.close()

    def visit(self, page: Page, label: str) -> Page:
        """Go to a room, and enter it."""
        page.goto(f"{self.server.url}/{label}/")
        return here(page)


def speaking(house: House) -> list[Felt]:
    """From Enter to one's own bubble, and to somebody else's screen."""
    label = house.room()
    with house.page(**DESKTOP) as ada, house.page(**DESKTOP) as ben:
        for page in (ada, ben):
            house.visit(page, label)
        ada.evaluate(SENDER)
        ben.evaluate(HEARER)
        ada.get_by_role("textbox", name="Your name").fill("Ada")
        words = ada.get_by_role("textbox", name="Message", exact=True)
        for number in range(100):
            words.fill(f"word {number}")
            words.press("Enter")
            ben.wait_for_function("(count) => seen.length >= count", arg=number + 1)
        pressed = ada.evaluate("pressed")
        seen = dict(ben.evaluate("seen"))
    own = [one["painted"] - one["at"] for one in pressed]
    other = [seen[one["text"]] - one["at"] for one in pressed]
    late = sum(not one["framed"] for one in pressed)
    p95 = quantiles(other, n=20)[-1]
    return [
        Felt(
            "Enter to one's own bubble",
            f"the next frame, {100 - late} of 100 times",
            "one frame",
            late == 0,
        ),
        Felt("... until it is painted", f"{median(own):.0f} ms", "", True),
        Felt(
            "Enter to the other person's screen",
            f"{median(other):.0f} ms, p95 {p95:.0f} ms",
            "p95 80 ms",
            p95 <= 80,
        ),
    ]


def coming(house: House) -> list[Felt]:
    """A first visit with a cheap telephone on a bad line."""
    label = house.room()
    rounds = [_first_visit(house, label) for _ in range(TIMES)]
    readable, able, wire, scripts, shift = (median(each) for each in zip(*rounds, strict=True))
    return [
        Felt("Slow phone: readable", f"{readable / 1000:.2f} s", "1.5 s", readable <= 1500),
        Felt("Slow phone: able to send", f"{able / 1000:.2f} s", "3 s", able <= 3000),
        Felt("Over the wire in all", f"{wire / 1000:.1f} kB", "", True),
        Felt("JavaScript of it", f"{scripts / 1000:.1f} kB", "", True),
        Felt("Layout shift after first paint", f"{shift:g}", "0", shift == 0),
    ]


def _first_visit(house: House, label: str) -> tuple[float, float, float, float, float]:
    with house.page(**PHONE) as page:
        line = page.context.new_cdp_session(page)
        sizes = _count(line)
        line.send("Network.emulateNetworkConditions", SLOW)
        line.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        page.goto(f"{house.server.url}/{label}/")
        able = page.evaluate("wired")
        readable = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        )
        page.wait_for_load_state("networkidle")
        shift = page.evaluate("shifts.reduce((sum, one) => sum + one, 0)")
        return readable, able, sum(sizes.values()), page.evaluate(SCRIPTS), shift


def _count(line: CDPSession) -> dict[str, float]:
    """The bytes of each answer as they come over the wire, heads and all."""
    sizes: dict[str, float] = {}
    line.on(
        "Network.loadingFinished",
        lambda done: sizes.update({done["requestId"]: done["encodedDataLength"]}),
    )

    def framed(frame: dict[str, Any]) -> None:
        sizes["frames"] = sizes.get("frames", 0) + len(frame["response"]["payloadData"])

    for way in ("Received", "Sent"):
        line.on(f"Network.webSocketFrame{way}", framed)
    line.send("Network.enable")
    return sizes


def opening(house: House) -> list[Felt]:
    """A room in which much was said."""
    few, many = house.room(60), house.room(100_000)

    def opened(label: str) -> float:
        with house.page(**DESKTOP) as page:
            house.visit(page, label)
            return float(page.evaluate("wired"))

    for label in (few, many):
        opened(label)
    times = [(opened(few), opened(many)) for _ in range(5)]
    ratio = median(large for _, large in times) / median(small for small, _ in times)
    return [
        Felt(
            "A room of 100,000 messages opens", f"{ratio:.2f} times one of 60", "1.3", ratio <= 1.3
        )
    ]


def reading_back(house: House) -> list[Felt]:
    """Through a thousand messages, page by page."""
    label = house.room(1100)
    moved, nodes, oldest = [0.0], [0], 1051
    with house.page(**PHONE) as page:
        house.visit(page, label)
        while oldest > 60:
            by, there, oldest = page.evaluate(READ_BACK)
            moved.append(by)
            nodes.append(there)
    return [
        Felt(
            "Back through 1,000 messages, what is read moves",
            f"{max(moved):g} px",
            "2 px",
            max(moved) <= 2,
        ),
        Felt(
            "... and the page never has more than",
            f"{max(nodes)} messages",
            "320",
            max(nodes) <= 320,
        ),
    ]


def following(house: House, seconds: int = 60) -> list[Felt]:
    """Twenty messages a second."""
    longest, follows = [], 0
    for _ in range(3):
        label = house.room(290)
        with house.page(**DESKTOP) as page, somebody(house.server, label) as ben:
            house.visit(page, label)
            page.evaluate("() => { window.long = [0]; watch('longtask', long, 'duration') }")
            for number in range(20 * seconds):
                call = ben.emit("chat", f'{{"handle":"Ben","message":"quick {number}"}}')
                page.wait_for_timeout(50)
                if number % 20 == 19:
                    ben.answer(call)  # who reads nothing, pings neither, is taken for gone
            page.locator(".message").last.get_by_text(f"quick {20 * seconds - 1}").wait_for()
            follows += bool(page.locator("#log").evaluate("(log) => log.scrollTop > -2"))
            longest.append(max(page.evaluate("long")))
    task = f"{median(longest):.0f} ms" if median(longest) else "under 50 ms"
    return [
        Felt(
            "20 messages a second for a minute",
            f"followed in {follows} of 3 runs",
            "followed",
            follows == 3,
        ),
        Felt("... the longest task of the median run", task, "100 ms", median(longest) <= 100),
    ]


PARTS: dict[str, Callable[[House], list[Felt]]] = {
    part.__name__: part for part in (speaking, coming, opening, reading_back, following)
}


def main() -> int:
    """Measure the parts that are named, or all; say whether each is well."""
    wanted = sys.argv[1:] or list(PARTS)
    found = next(filter(None, map(shutil.which, CHROMIUM)))
    lines = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--disable-gpu"])
        with gunicorn(Path(folder)) as server:
            house = House(server, chromium)
            with house.page() as page:
                house.visit(page, house.room())  # what is paid once after a start is not counted
            for name in wanted:
                lines += PARTS[name](house)
        chromium.close()
    sys.stdout.write("| What | Measured | At most |\n|---|---|---|\n")
    for line in lines:
        sys.stdout.write(
            f"| {line.what} | {line.measured} | {line.bound}{'' if line.well else ' (missed)'} |\n"
        )
    return 0 if all(line.well for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
