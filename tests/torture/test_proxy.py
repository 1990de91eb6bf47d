"""The filters of the proxy: what they pass on, repeat, swap and lose."""

import random

from tests.torture.proxy import AcknowledgementLoss, MessageShuffler

ACKNOWLEDGEMENT = b'431[{"ok":true,"seq":7}]'


class FixedRandom(random.Random):
    """A generator of the given numbers."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self._numbers = iter(numbers)

    def random(self) -> float:
        return next(self._numbers)


def published(text: str) -> bytes:
    """Return a message in the form in which Redis sends it to subscribers."""
    return f"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${len(text)}\r\n{text}\r\n".encode()


def test_a_disabled_shuffler_passes_everything_on() -> None:
    rewrite = MessageShuffler(FixedRandom()).for_connection()

    assert rewrite(published("one")) == published("one")


def test_the_shuffler_repeats_a_message_after_the_next_reply() -> None:
    shuffler = MessageShuffler(FixedRandom(0.1))
    shuffler.enabled = True
    rewrite = shuffler.for_connection()

    assert rewrite(published("one")) == published("one")
    assert rewrite(b"+OK\r\n") == published("one") + b"+OK\r\n"
    assert shuffler.shuffled == 1


def test_the_shuffler_swaps_a_message_with_the_next_one() -> None:
    shuffler = MessageShuffler(FixedRandom(0.5, 0.9))
    shuffler.enabled = True
    rewrite = shuffler.for_connection()

    assert rewrite(published("one")) == b""
    assert rewrite(published("two")) == published("two") + published("one")


def test_the_shuffler_waits_for_the_rest_of_a_reply() -> None:
    rewrite = MessageShuffler(FixedRandom()).for_connection()
    whole = published("one")

    assert rewrite(whole[:20]) == b""
    assert rewrite(whole[20:]) == whole


def test_one_in_two_acknowledgements_is_lost_until_none_remains() -> None:
    loss = AcknowledgementLoss(FixedRandom(0.9, 0.1))
    loss.remaining = 1
    rewrite = loss.for_connection()

    assert rewrite(ACKNOWLEDGEMENT) == ACKNOWLEDGEMENT
    assert rewrite(ACKNOWLEDGEMENT) is None
    assert rewrite(ACKNOWLEDGEMENT) == ACKNOWLEDGEMENT
