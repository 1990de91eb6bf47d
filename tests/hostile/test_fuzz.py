"""Random input causes no error, no memory growth, and no delay for others.

The long form is `make torture HOSTILE=1`. SEED=2 sends other input.
"""

import os
import time
from collections.abc import Callable

import pytest

from tests.hostile import fuzz
from tests.hostile.attack import IS_LONG, Attack
from tests.hostile.counts import Counts
from tests.hostile.target import Target

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900 if IS_LONG else 60)]

MEGABYTE = 1_000_000
MAX_GROWTH_MB = 30
PAYLOADS = 100_000 if IS_LONG else 4_000
FRAMES = 20_000 if IS_LONG else 1_000
HEADS = 20_000 if IS_LONG else 1_000

PIECES = 10 if IS_LONG else 1
"""Each piece has a seed of its own."""

Fuzzer = Callable[[Target, int, int], Counts]


def first_seed() -> int:
    """Return the seed in SEED, by default the time."""
    return int(os.environ.get("SEED") or time.time())


@pytest.mark.parametrize(
    ("fuzzer", "number"),
    [(fuzz.send_payloads, PAYLOADS), (fuzz.send_frames, FRAMES), (fuzz.send_heads, HEADS)],
)
def test_random_input_causes_no_error(attack: Attack, fuzzer: Fuzzer, number: int) -> None:
    seed = first_seed()
    attack.run(fuzzer, seed, number // 10)  # caches and pools have their size afterwards
    counts = Counts()

    growth_bytes = 0
    for piece in range(PIECES):
        counts += attack.run(fuzzer, seed + piece, number // PIECES)
        growth_bytes += attack.growth_bytes

    name = f"{number:,} random {fuzzer.__name__.removeprefix('send_')}, SEED={seed}"
    errors = counts["status 500"] + counts["server_error"]
    attack.check(f"{name}: errors", errors + attack.server.log().count("Traceback"), 0)
    attack.check(f"{name}: memory", growth_bytes / MEGABYTE, MAX_GROWTH_MB, "MB")
