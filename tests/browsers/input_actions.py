"""Input as actions of WebDriver (https://www.w3.org/TR/webdriver2/#actions), which BiDi shares."""

from collections.abc import Sequence
from typing import Any

from tests.browsers.interface import key_names

Action = dict[str, Any]

# https://www.w3.org/TR/webdriver2/#keyboard-actions
KEYS = {
    "Backspace": "\ue003",
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Shift": "\ue008",
    "Control": "\ue009",
    "Alt": "\ue00a",
    "Escape": "\ue00c",
    "PageUp": "\ue00e",
    "PageDown": "\ue00f",
    "End": "\ue010",
    "Home": "\ue011",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
    "Delete": "\ue017",
    "F6": "\ue036",
}


def mouse_move(x: float, y: float) -> list[Action]:
    """Return the movement of the mouse to a point."""
    return [_pointer("mouse", [_move(x, y)])]


def mouse_click(x: float, y: float) -> list[Action]:
    """Return a click at a point."""
    return [_pointer("mouse", [_move(x, y), _down(), _up()])]


def finger_touch(x: float, y: float, seconds: float) -> list[Action]:
    """Return a touch at a point, for a time."""
    pause = {"type": "pause", "duration": round(seconds * 1000)}
    return [_pointer("touch", [_move(x, y), _down(), pause, _up()])]


def key_press(keys: str) -> list[Action]:
    """Return the press of keys that are held together."""
    values = [KEYS.get(name, name) for name in key_names(keys)]
    downs = [_key("keyDown", value) for value in values]
    ups = [_key("keyUp", value) for value in reversed(values)]
    return [_keyboard([*downs, *ups])]


def typed_text(text: str) -> list[Action]:
    """Return the presses of the keys of a text."""
    return [_keyboard([_key(kind, value) for value in text for kind in ("keyDown", "keyUp")])]


def _pointer(kind: str, actions: Sequence[Action]) -> Action:
    parameters = {"pointerType": kind}
    return {"type": "pointer", "id": kind, "parameters": parameters, "actions": list(actions)}


def _keyboard(actions: Sequence[Action]) -> Action:
    return {"type": "key", "id": "keyboard", "actions": list(actions)}


def _move(x: float, y: float) -> Action:
    return {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0}


def _down() -> Action:
    return {"type": "pointerDown", "button": 0}


def _up() -> Action:
    return {"type": "pointerUp", "button": 0}


def _key(kind: str, value: str) -> Action:
    return {"type": kind, "value": value}
