"""Random messages on which two Markdown parsers could differ, as Hypothesis strategies."""

from hypothesis import strategies as st

MARKS = [
    "`",
    "``",
    "```",
    "````",
    "*",
    "**",
    "***",
    "****",
    ">",
    "> ",
    "*\u200b",
    ">> ",
    "\n> ",
    "\n```",
    "```js\n",
    "```\n",
    "_",
]
ADDRESSES = [
    "http://",
    "https://",
    "HtTpS://",
    "http\u017f://",
    "http://a",
    "https://example.org/a_(b)",
    "http://[::1]/",
    "http://[AB::1]",
    "http://b\u00fccher.example",
    "http://ada@example.org",
    "http://\u4f8b\u3048.jp?q#f",
    "www.example.org",
]
PUNCTUATION = [
    *".,:;!?'\"()[]{}<>/\\|@#&=-+~",
    *"\u2026\u3001\u3002\uff01\uff0c\uff0e\uff1a\uff1b\uff1f\u00bb\u2019\u201d\u300d\u300f\uff08\uff09",
    *"\xb7\u05f4\u060c\u061f\u0964\u0589\u2013\u2014\u201c\u30fb\uff5c\uff5e\U0001e95e",
]
WHITE_SPACE = [
    *" \n\r\t\v\f\x00\x1c\x1f\x7f\x85\xa0\u1680\u180e\u2003\u2028\u2029\u202f\u3000\ufeff",
    "  ",
    "\r\n",
]
INVISIBLE_CHARACTERS = [
    *"\u00ad\u034f\u061c\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202e\u2066\u2069",
    *"\ufe0e\ufe0f\U000e0067",
]
EMOJI = [
    "\U0001f44d",
    "\U0001f44d\U0001f3fd",
    "\u2764\ufe0f",
    "\u2764",
    "\U0001f469\u200d\U0001f4bb",
    "\u2615",
    "\U0001f1e9\U0001f1ea",
    "\U0001f1e9",
    "1\ufe0f\u20e3",
    "\u20e3",
    "\u3299\ufe0f",
    "\u30a2\ufe0f",
    "\u2500\ufe0f",
    "\u261d\U0001f3fd",
    "\U0001f170\ufe0f",
    "\U0001f3ff",
    "\U0001f3f4\U000e0067\U000e007f",
]
LETTERS = [
    "a",
    "B",
    "7",
    "abc",
    "\u00e9",
    "e\u0301",
    "\u0301",
    "\u0345",
    "\u00df",
    "\u017f",
    "\u0130",
    "\u0639",
    "\u5b57",
]
NEW_LETTERS = ["\u088f", "\U0001e4d0", "\U00031350"]
"""Letters of Unicode 15 to 17; Python 3.11 knows Unicode 14."""

PARTS = [
    MARKS,
    MARKS,
    ADDRESSES,
    PUNCTUATION,
    WHITE_SPACE,
    [" ", "\n"],
    INVISIBLE_CHARACTERS,
    EMOJI,
    LETTERS,
    LETTERS,
    NEW_LETTERS,
]
"""Each is chosen equally often; those that are listed twice, twice as often."""

# Without the halves of surrogate pairs, which no stored text has.
ANY_CHARACTER = [
    st.characters(
        min_codepoint=plane << 16, max_codepoint=(plane << 16) + 0xFFFF, exclude_categories=["Cs"]
    )
    for plane in range(17)
]
PART = st.one_of([*(st.sampled_from(parts) for parts in PARTS), st.one_of(ANY_CHARACTER)])


def concatenated(*strategies: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return texts that consist of one text from each strategy."""
    return st.tuples(*strategies).map("".join)


def repeated(strategy: st.SearchStrategy[str], max_count: int) -> st.SearchStrategy[str]:
    """Return texts that consist of several texts from one strategy."""
    return st.lists(strategy, max_size=max_count).map("".join)


# Constructs of several parts, which independent parts would rarely form.
ADDRESS = concatenated(st.sampled_from(ADDRESSES), PART, repeated(st.sampled_from(PUNCTUATION), 3))
STARS = concatenated(
    st.sampled_from("a7_. "), st.sampled_from(["*", "**", "***"]), st.sampled_from("a7_. ")
)
QUOTE = concatenated(st.just("\n"), repeated(st.sampled_from([">", "> "]), 6), PART)
LANGUAGE = st.text("a1+#. `", max_size=4) | st.text("a1+#.", min_size=18, max_size=22)
FENCE = concatenated(
    st.just("\n```"), LANGUAGE, st.sampled_from(["\n", "\na\n```", "\na``` \n", "a```\n", "```"])
)
PHRASE = repeated(PART | ADDRESS | STARS | QUOTE | FENCE, 9)

SENTENCE = concatenated(PHRASE, PHRASE, PHRASE)  # three, because Hypothesis prefers short lists
MOSTLY_EMOJI = repeated(st.sampled_from([*5 * EMOJI, *INVISIBLE_CHARACTERS, " ", "\n"]), 16)
# Around the largest number of emoji that are shown large.
ROW_OF_EMOJI = st.text("\U0001f44d\u2615 ", min_size=7, max_size=10)

TEXTS = SENTENCE | SENTENCE | MOSTLY_EMOJI | ROW_OF_EMOJI
