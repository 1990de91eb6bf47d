"""What counts as one emoji: a single picture, however many code points it consists of."""

import re

_PICTURE = (
    "(?:[\U0001f1e6-\U0001f1ff]{2}|[0-9#*]\ufe0f\u20e3|"
    "(?:[\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7f0\U0001f900-\U0001f9ff"
    "\U0001fa70-\U0001faff\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a"
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693"
    "\u26a1\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd"
    "\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c"
    "\u2b50\u2b55]|[\u203c-\u3299]\ufe0f)[\ufe0f\U0001f3fb-\U0001f3ff]{0,2}"
    "[\U000e0020-\U000e007f]{0,8})"
)
_JOINED_PICTURE = rf"(?:{_PICTURE}|[\u2640\u2642\u2695\u2696\u2708\u2764]\ufe0f?)"

EMOJI_PATTERN = rf"{_PICTURE}(?:\u200d{_JOINED_PICTURE})*"
"""A regular expression for one emoji, joined sequences included."""

MAX_EMOJI_CHARS = 16


def is_emoji(text: str) -> bool:
    """Return whether the text is one emoji and nothing else."""
    return len(text) <= MAX_EMOJI_CHARS and re.fullmatch(EMOJI_PATTERN, text) is not None
