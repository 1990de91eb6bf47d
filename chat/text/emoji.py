"""What counts as one emoji: a single picture, however many code points it consists of.

Reactions accept what is in the list of Unicode's emoji (the `emoji` package). Messages that consist
of emoji are recognized with a pattern, because the page has to decide the same in JavaScript.
"""

import emoji

MAX_EMOJI_CHARS = 16

_COLORED = (
    r"\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7f0\U0001f900-\U0001f9ff"
    r"\U0001fa70-\U0001faff\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a"
    r"\U0001f201\U0001f21a\U0001f22f\U0001f232-\U0001f236\U0001f238-\U0001f23a\U0001f250\U0001f251"
    r"\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2648-\u2653\u267f\u2693"
    r"\u26a1\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd"
    r"\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c"
    r"\u2b50\u2b55"
)
# Without U+FE0F these are shown as text.
_COLORED_WITH_SELECTOR = (
    r"\xa9\xae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u2328\u23cf\u23ed-\u23ef\u23f1"
    r"\u23f2\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb\u25fc\u2600-\u2604\u260e\u2611\u2618"
    r"\u261d\u2620\u2622\u2623\u2626\u262a\u262e\u262f\u2638-\u263a\u2640\u2642\u265f\u2660\u2663"
    r"\u2665\u2666\u2668\u267b\u267e\u2692\u2694-\u2697\u2699\u269b\u269c\u26a0\u26a7\u26b0\u26b1"
    r"\u26c8\u26cf\u26d1\u26d3\u26e9\u26f0\u26f1\u26f4\u26f7-\u26f9\u2702\u2708\u2709\u270c\u270d"
    r"\u270f\u2712\u2714\u2716\u271d\u2721\u2733\u2734\u2744\u2747\u2763\u2764\u27a1\u2934\u2935"
    r"\u2b05-\u2b07\u3030\u303d\u3297\u3299"
    r"\U0001f170\U0001f171\U0001f17e\U0001f17f\U0001f202\U0001f237"
)
_SKIN_TONES = r"\U0001f3fb-\U0001f3ff"
_PICTURE = (
    r"(?:[\U0001f1e6-\U0001f1ff]{2}|[0-9#*]\ufe0f\u20e3|"
    rf"(?:[{_COLORED}]|[{_COLORED_WITH_SELECTOR}]\ufe0f|[\u261d\u26f9\u270c\u270d][{_SKIN_TONES}])"
    rf"[\ufe0f{_SKIN_TONES}]{{0,2}}[\U000e0020-\U000e007f]{{0,8}})"
)
_JOINED_PICTURE = rf"(?:{_PICTURE}|[\u2640\u2642\u2695\u2696\u2708\u2764]\ufe0f?)"

EMOJI_PATTERN = rf"{_PICTURE}(?:\u200d{_JOINED_PICTURE})*"
"""A regular expression for one emoji, joined sequences included."""


def is_emoji(text: str) -> bool:
    """Return whether the text is one emoji of Unicode's list and nothing else."""
    return len(text) <= MAX_EMOJI_CHARS and emoji.is_emoji(text)
