"""Firefox, through WebDriver BiDi at its remote debugging port."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from tests.browsers.bidi import BidiConnection
from tests.browsers.input_actions import (
    Action,
    finger_touch,
    key_press,
    mouse_click,
    mouse_move,
    typed_text,
)
from tests.browsers.interface import Browser, BrowserError
from tests.servers import Program

PROGRAMS = ("firefox-esr", "firefox")
ADDRESS_FILE = "WebDriverBiDiServer.json"  # Firefox writes it into its profile
UNUSED_PORT = 9  # of the service "discard", which nothing uses any more

# Firefox makes no request to other machines: features that would are off, and everything that is
# not on this machine goes to a proxy that does not exist. It never uses a proxy for this machine.
PREFERENCES: dict[str, bool | int | str] = {
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": UNUSED_PORT,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": UNUSED_PORT,
    "network.proxy.failover_direct": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.trr.mode": 5,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.newtabpage.enabled": False,
    "browser.region.network.url": "",
    "browser.safebrowsing.blockedURIs.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.server": "",
    # There is a mouse, and no touch screen: 2 stands for a fine pointer, 4 for one that can hover.
    "ui.allPointerCapabilities": 6,
    "ui.primaryPointerCapabilities": 6,
}
ENVIRONMENT = {
    "MOZ_CRASHREPORTER_DISABLE": "1",
    "MOZ_REMOTE_SETTINGS_DEVTOOLS": "1",  # without it, services.settings.server is ignored
    "TZ": "UTC",
}


class Firefox(Browser):
    """The Firefox of this machine, without a window."""

    name = "Firefox"

    def __init__(self, folder: Path) -> None:
        path = next(filter(None, map(shutil.which, PROGRAMS)), None)
        assert path, "these tests need Firefox: run 'make deps'"
        self._profile = folder / "profile"
        options = ["--headless", "--no-remote", "--profile", str(self._profile)]
        words = [path, *options, "--remote-debugging-port", "0", "about:blank"]
        self._program = Program(folder, words, self._is_ready, **ENVIRONMENT)
        self._connection: BidiConnection | None = None
        self._tabs: list[str] = []

    def start(self) -> None:
        self._profile.mkdir(parents=True)
        write_preferences(self._profile)
        self._program.start()
        self._connection = BidiConnection(f"{self._address()}/session")
        self._bidi.ask("session.new", capabilities={})
        self._bidi.ask("session.subscribe", events=["log.entryAdded"])
        self.open_tab()  # in the first one, the focus is in the address bar

    def open(self, url: str) -> None:
        self._ask("browsingContext.navigate", url=url, wait="complete")

    def evaluate(self, function: str, *arguments: Any) -> Any:
        answer = self._bidi.ask(
            "script.callFunction",
            functionDeclaration=(
                f"async (given) => JSON.stringify(await ({function})(...JSON.parse(given)) ?? null)"
            ),
            arguments=[{"type": "string", "value": json.dumps(arguments)}],
            target={"context": self._tabs[-1]},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise BrowserError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def open_tab(self) -> None:
        opened = self._bidi.ask("browsingContext.create", type="tab")
        self._tabs.append(opened["context"])

    def close_tab(self) -> None:
        self._bidi.ask("browsingContext.close", context=self._tabs.pop())
        self._ask("browsingContext.activate")

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
        self._ask("browsingContext.setViewport", viewport={"width": width, "height": height})

    def screenshot(self, path: Path) -> None:
        picture = self._ask("browsingContext.captureScreenshot")
        path.write_bytes(base64.b64decode(picture["data"]))

    def take_errors(self) -> list[str]:
        entries = [event["params"] for event in self._bidi.take_events()]
        return [str(entry["text"]) for entry in entries if entry["level"] in ("error", "warn")]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._program.kill()  # its profile is not needed any more

    @property
    def _bidi(self) -> BidiConnection:
        assert self._connection is not None, "Firefox has not been started"
        return self._connection

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._bidi.ask(method, context=self._tabs[-1], **parameters)

    def _perform(self, actions: list[Action]) -> None:
        self._ask("input.performActions", actions=actions)

    def _is_ready(self) -> bool:
        try:
            return bool(self._address())
        except (OSError, ValueError):
            return False  # the file is not there, or not complete yet

    def _address(self) -> str:
        server = json.loads((self._profile / ADDRESS_FILE).read_text())
        return f"ws://{server['ws_host']}:{server['ws_port']}"


def write_preferences(profile: Path) -> None:
    """Write PREFERENCES into a profile."""
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines))
