"""Finds web addresses in the text of messages. static/js/lib/links.js is the same in JavaScript."""

import re

# Letter by letter: when case is ignored, "s" matches the long s, which is no scheme.
SCHEME = r"[Hh][Tt][Tt][Pp][Ss]?://"
SPACE = r"\s\x00-\x1f\x7f-\x9f\ufeff"
"""White space and control characters, for a character class."""

# Invisible characters and those that change the direction: they would hide the end of an address.
INVISIBLE = r"\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069"
# Punctuation beyond ASCII, which ends an address: in many scripts no space follows it. These are
# the characters of Unicode 17 with the categories Ps, Pe, Pi, Pf and Po, as hexadecimal ranges,
# with long dashes and the fullwidth vertical line, without those that occur inside words:
# INNER_PUNCTUATION, section signs, decimal separators, abbreviation signs and the Tibetan tsheg.
# Not `unicodedata`: the server and the browser may know different versions of Unicode.
CLOSING_RANGES = (
    "a1 ab b6 bb bf 37e 387 55b-55f 589 5c0 5c3 5c6 609-60a 60c-60d 61b 61d-61f 66a 66d 6d4 "
    "700-70d 7f7-7f9 830-83e 85e 964-965 df4 e4f e5a-e5b f04-f0a f0d-f12 f14 f3a-f3d f85 "
    "fd0-fd4 fd9-fda 104a-104f 10fb 1360-1368 166e 169b-169c 16eb-16ed 1735-1736 17d4-17d6 "
    "17d8-17da 1800-1805 1807-180a 1944-1945 1a1e-1a1f 1aa0-1aa6 1aa8-1aad 1b4e-1b4f "
    "1b5a-1b60 1b7d-1b7f 1bfc-1bff 1c3b-1c3f 1c7e-1c7f 1cc0-1cc7 1cd3 2014-2018 201a-2026 "
    "2030-203e 2041-2043 2045-2051 2053 2055-205e 207d-207e 208d-208e 2308-230b 2329-232a "
    "2768-2775 27c5-27c6 27e6-27ef 2983-2998 29d8-29db 29fc-29fd 2cf9-2cfc 2cfe-2cff 2d70 "
    "2e00-2e16 2e18-2e19 2e1b-2e2e 2e30-2e3f 2e41-2e4f 2e52-2e5c 3001-3003 3008-3011 "
    "3014-301b 301d-301f 303d a4fe-a4ff a60d-a60f a673 a67e a6f2-a6f7 a874-a877 a8ce-a8cf "
    "a8f8-a8fa a8fc a92e-a92f a95f a9c1-a9cd a9de-a9df aa5c-aa5f aade-aadf aaf0-aaf1 abeb "
    "fd3e-fd3f fe10-fe19 fe30-fe31 fe35-fe4c fe50-fe52 fe54-fe61 fe68 fe6a-fe6b ff01-ff03 "
    "ff05-ff0a ff0c ff0e-ff0f ff1a-ff1b ff1f-ff20 ff3b-ff3d ff5b-ff5d ff5f-ff64 10100-10102 "
    "1039f 103d0 1056f 10857 1091f 1093f 10a50-10a58 10a7f 10af0-10af6 10b39-10b3f "
    "10b99-10b9c 10ed0 10f55-10f59 10f86-10f89 11047-1104d 110bb-110bc 110be-110c1 "
    "11140-11143 11174-11175 111c5-111c8 111cd 111db 111dd-111df 11238-1123d 112a9 "
    "113d4-113d5 113d7-113d8 1144b-1144f 1145a-1145b 1145d 114c6 115c1-115d7 11641-11643 "
    "11660-1166c 116b9 1173c-1173e 1183b 11944-11946 119e2 11a3f-11a46 11a9a-11a9c "
    "11a9e-11aa2 11b00-11b09 11be1 11c41-11c45 11c70-11c71 11ef7-11ef8 11f43-11f4f 11fff "
    "12470-12474 12ff1-12ff2 16a6e-16a6f 16af5 16b37-16b3b 16b44 16d6d-16d6f 16e97-16e9a "
    "16fe2 1bc9f 1da87-1da8b 1e5ff 1e95e-1e95f"
)
CLOSING_PUNCTUATION = "".join(
    "-".join(chr(int(number, 16)) for number in range_.split("-"))
    for range_ in CLOSING_RANGES.split()
)
INNER_PUNCTUATION = "\u00b7\u055a\u05f3\u05f4\u2013\u2019\u2027\u301c\u30fb\uff5e\uff65"
"""Punctuation beyond ASCII that is part of an address except at its end."""

TRAILING_PUNCTUATION = frozenset(".,:;!?'*_~" + INNER_PUNCTUATION)
# Beyond ASCII a host may begin with any character except punctuation, symbols, emoji, combining
# marks and private use. Not `\w`, for the same reason.
NO_LETTERS = (
    r"\x80-\xbf\xd7\xf7\u0300-\u036f\u2000-\u206f\u20a0-\u20ff\u2190-\u2bff"
    r"\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\ud800-\uf8ff\ufe00-\ufe6f\uff00-\uff0f"
    r"\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffff"
    r"\U0001f000-\U0001ffff\U000e0000-\U0010ffff"
)
NO_HOST_START = NO_LETTERS + CLOSING_PUNCTUATION + INNER_PUNCTUATION
HOST_START = rf"[A-Za-z0-9]|[^\x00-\x7f{NO_HOST_START}]|\[[0-9A-Fa-f:]"
NO_ADDRESS = rf"{SPACE}{INVISIBLE}{CLOSING_PUNCTUATION}<>\"\\`"
ADDRESS = rf"(?<![A-Za-z0-9_]){SCHEME}(?={HOST_START})[^{NO_ADDRESS}]+"
"""A pattern for an address, still with the punctuation of the sentence behind it."""

BRACKETS = {")": "(", "]": "[", "}": "{"}
"""Opening brackets by closing ones."""

ADDRESS_PARTS = re.compile(rf"({SCHEME})([^/?#]+)(.*)")


def trim_address(found: str) -> str:
    """Return an address without the punctuation of the sentence around it.

    A closing bracket belongs to the address if the address also opens it.
    """
    surplus = {close: found.count(close) - found.count(open_) for close, open_ in BRACKETS.items()}
    end = len(found)
    while True:
        last = found[end - 1]
        is_surplus = surplus.get(last, 0) > 0
        if not is_surplus and last not in TRAILING_PUNCTUATION:
            return found[:end]
        if is_surplus:
            surplus[last] -= 1
        end -= 1


def split_host(address: str) -> tuple[str, str, str] | None:
    """Return what comes before, in and after a host that may imitate another one, or None.

    That is a host that is not ASCII, because its letters may look like those of another host, and
    one behind a user name, which may look like a host.
    """
    match = ADDRESS_PARTS.fullmatch(address)
    if match is None:
        raise ValueError(f"not an address: {address!r}")
    scheme, authority, rest = match.groups()
    if authority.isascii() and "@" not in authority:
        return None
    user, at, host = authority.rpartition("@")
    return scheme + user + at, host, rest
