"""Rate limits: token buckets for people and for addresses.

A bucket holds up to `burst` tokens and gains `per_second` tokens a second. It is stored as one
number, the time at which it is full again (the generic cell rate algorithm, see
https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm), so that a full bucket need not be stored
at all. Times are those of the monotonic clock.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from chat.errors import RateLimited
from config import Config, Rate

MAX_BUCKETS = 20_000
"""Buckets that are stored for one limit."""

FIRST_PURGE_BUCKETS = 1_000
"""With more buckets than this, full ones are forgotten."""

KEPT_SHARE = 0.75
"""The share of MAX_BUCKETS that is kept when all of them are in use."""

MAX_DEBT_BURSTS = 20
"""How far other workers can overdraw a bucket, as a multiple of its burst."""

MIN_SHARED_BURST = 0.25
"""Less of a burst than this is shared with other workers later than the rest."""

TOLERANCE_SECONDS = 1e-6
"""For the rounding of floating-point numbers."""

KEY_BYTES = 8

PERSON = "person"
ADDRESS = "address"

MESSAGE_FOR_PERSON = "You are doing this too often. Please wait a moment."
MESSAGE_FOR_ADDRESS = "There are too many requests from your network. Please wait a moment."


class TokenBuckets:
    """The token buckets of one limit, by key. `message` explains a refusal to people.

    Threads (under `flask run`) may now and then take the same token twice; a lock would cost more
    than the rest.
    """

    def __init__(
        self, rate: Rate, message: str = MESSAGE_FOR_PERSON, *, is_shared: bool = False
    ) -> None:
        self._message = message
        self._burst = rate.burst
        self._seconds_per_token = 1 / rate.per_second
        self._burst_seconds = rate.burst / rate.per_second
        self._full_at: dict[str, float] = {}
        self._purge_size = FIRST_PURGE_BUCKETS
        self._min_shared = rate.burst * MIN_SHARED_BURST
        # Usage that has not been shared with other workers yet; None when it is not shared.
        self._unshared: dict[str, float] | None = {} if is_shared else None

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, amount: float, now: float) -> float:
        """Take tokens. Returns 0, or the seconds to wait if there are too few: none is taken then.

        An amount above the burst takes a whole burst.
        """
        if amount > self._burst:
            amount = self._burst
        full_at = self._full_at.get(key, now)
        if full_at < now:
            full_at = now
        full_at += amount * self._seconds_per_token
        wait_seconds = full_at - now - self._burst_seconds
        if wait_seconds > TOLERANCE_SECONDS:
            return wait_seconds
        self._store(key, full_at, now)
        if self._unshared is not None:
            self._unshared[key] = self._unshared.get(key, 0) + amount
        return 0

    def give_back(self, key: str, amount: float) -> None:
        """Give back tokens that were just taken."""
        if key in self._full_at:
            self._full_at[key] -= min(amount, self._burst) * self._seconds_per_token
        if self._unshared is not None and key in self._unshared:
            self._unshared[key] -= min(amount, self._burst)

    def overdraw(self, key: str, amount: float, now: float) -> None:
        """Take tokens, even if there are too few: nothing can be taken until they are back."""
        self.add_debt(key, amount, now)
        if self._unshared is not None:
            self._unshared[key] = self._unshared.get(key, 0) + amount

    def add_debt(self, key: str, amount: float, now: float) -> None:
        """Subtract what another worker has taken."""
        full_at = max(self._full_at.get(key, now), now) + amount * self._seconds_per_token
        self._store(key, min(full_at, now + MAX_DEBT_BURSTS * self._burst_seconds), now)

    def wait_seconds(self, key: str, now: float) -> float:
        """Return 0 if there is a token, else the seconds until there is one."""
        missing_seconds = self._full_at.get(key, now) - now + self._seconds_per_token
        wait_seconds = missing_seconds - self._burst_seconds
        return wait_seconds if wait_seconds > TOLERANCE_SECONDS else 0

    def refusal(self, wait_seconds: float) -> RateLimited:
        """Return the refusal of a request for which there are too few tokens."""
        return RateLimited(self._message, retry_after_ms=math.ceil(wait_seconds * 1000))

    def collect_unshared(self, *, with_small_amounts: bool) -> dict[str, float]:
        """Return what was taken here and was not returned before, by key.

        Without small amounts, these are kept for a later call.
        """
        if not self._unshared:
            return {}
        unshared = self._unshared
        self._unshared = {}
        shared = {}
        for key, amount in list(unshared.items()):
            if amount >= self._min_shared or (with_small_amounts and amount > 0):
                shared[key] = amount
            elif amount > 0:
                self._unshared[key] = self._unshared.get(key, 0) + amount
        return shared

    def _store(self, key: str, full_at: float, now: float) -> None:
        self._full_at[key] = full_at
        if len(self._full_at) > self._purge_size:
            self._purge(now)

    def _purge(self, now: float) -> None:
        """Forget full buckets; if that is not enough, those that are full soonest."""
        used = {key: full_at for key, full_at in self._full_at.copy().items() if full_at > now}
        kept_buckets = int(MAX_BUCKETS * KEPT_SHARE)
        if len(used) > kept_buckets:
            emptiest = sorted(used, key=lambda key: used[key], reverse=True)
            used = {key: used[key] for key in emptiest[:kept_buckets]}
        self._full_at = used
        if self._unshared is not None and len(self._unshared) > MAX_BUCKETS:
            self._unshared = {}  # Redis has been away for long
        self._purge_size = min(MAX_BUCKETS, max(FIRST_PURGE_BUCKETS, 2 * len(used)))


@dataclass(frozen=True, slots=True)
class Requester:
    """Whose buckets a request or an event takes tokens from; keys made by `Limits.requester`."""

    person: str
    address: str | None
    """None: the address is unknown and has no limits."""


class Charge(NamedTuple):
    """Tokens to take from a bucket."""

    buckets: TokenBuckets
    key: str | None
    amount: float


class EventLimits(NamedTuple):
    """The limits that apply to an event."""

    person: str
    address: str
    counts_bytes: bool = False


LIMITS_BY_EVENT: Mapping[str, EventLimits] = {
    "join": EventLimits("person_joins", "address_joins"),
    "chat": EventLimits("person_messages", "address_messages", counts_bytes=True),
    "edit": EventLimits("person_changes", "address_messages", counts_bytes=True),
    "delete": EventLimits("person_changes", "address_messages"),
    "react": EventLimits("person_changes", "address_messages"),
    "rename": EventLimits("person_names", "address_messages"),
    "title": EventLimits("person_names", "address_messages"),
    "moderate": EventLimits("person_changes", "address_messages"),
    "since": EventLimits("person_reads", "address_reads"),
    "history": EventLimits("person_reads", "address_reads"),
    "typing": EventLimits("person_reads", "address_reads"),
    "leave": EventLimits("person_reads", "address_reads"),
}


class Limits:
    """The rate limits of one worker.

    `buckets` holds the token buckets by the name of their limit: that of the setting, without
    `limit_`. With `is_shared`, what is taken is kept for the other workers. Keys are hashes, so
    that neither identities nor addresses leave the process.
    """

    def __init__(
        self,
        config: Config,
        secret: str,
        *,
        is_shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_enabled = config.limits
        self.clock = clock
        self.buckets = {
            name.removeprefix("limit_"): TokenBuckets(
                value, _message_for(name), is_shared=is_shared
            )
            for name, value in vars(config).items()
            if isinstance(value, Rate)
        }
        self._hash_key = blake2b(secret.encode()).digest()
        self._person_bytes = self.buckets["person_bytes"]
        self._event_buckets = {
            event: (self.buckets[limits.person], self.buckets[limits.address], limits.counts_bytes)
            for event, limits in LIMITS_BY_EVENT.items()
        }

    def requester(self, author: str, address: str | None) -> Requester:
        """Return the keys of an author and of a client address (see web/client_address.py)."""
        return Requester(_hashed(self._hash_key, PERSON, author), self.address_key(address))

    def address_key(self, address: str | None) -> str | None:
        """Return the key of a client address; None if it is unknown."""
        return _hashed(self._hash_key, ADDRESS, address) if address else None

    def take_event(self, event: str, requester: Requester, text: str = "") -> None:
        """Take the tokens of an event; `text` is what it would store. Raises RateLimited."""
        of_person, of_address, counts_bytes = self._event_buckets[event]
        charges = [
            Charge(of_person, requester.person, 1),
            Charge(of_address, requester.address, 1),
        ]
        if counts_bytes:
            charges.append(Charge(self._person_bytes, requester.person, _utf8_length(text)))
        self._take(charges)

    def take(self, name: str, key: str | None) -> None:
        """Take a token from a bucket of a limit. Raises RateLimited."""
        self._take([Charge(self.buckets[name], key, 1)])

    def take_form(self, name: str, requester: Requester) -> None:
        """Take a token of a form: from `person_<name>` and `address_<name>`. Raises RateLimited."""
        of_person = Charge(self.buckets[f"person_{name}"], requester.person, 1)
        of_address = Charge(self.buckets[f"address_{name}"], requester.address, 1)
        self._take([of_person, of_address])

    def check(self, name: str, key: str | None) -> None:
        """Check that a bucket has a token, and take none. Raises RateLimited."""
        if not self.is_enabled or key is None:
            return
        wait_seconds = self.buckets[name].wait_seconds(key, self.clock())
        if wait_seconds:
            raise self.buckets[name].refusal(wait_seconds)

    def overdraw(self, name: str, key: str | None) -> None:
        """Take a token from a bucket, even if it has none."""
        if self.is_enabled and key is not None:
            self.buckets[name].overdraw(key, 1, self.clock())

    def _take(self, charges: list[Charge]) -> None:
        """Take the tokens of all charges, or of none. Raises RateLimited."""
        if not self.is_enabled:
            return
        now = self.clock()
        for position, (buckets, key, amount) in enumerate(charges):
            if key is None:
                continue
            wait_seconds = buckets.take(key, amount, now)
            if wait_seconds:
                _give_back(charges[:position])
                raise buckets.refusal(wait_seconds)


def _give_back(charges: list[Charge]) -> None:
    for buckets, key, amount in charges:
        if key is not None:
            buckets.give_back(key, amount)


def _message_for(setting: str) -> str:
    is_for_address = setting.startswith("limit_address_")
    return MESSAGE_FOR_ADDRESS if is_for_address else MESSAGE_FOR_PERSON


def _utf8_length(text: str) -> int:
    if text.isascii():
        return len(text)
    return len(text.encode(errors="surrogatepass"))


@lru_cache(maxsize=10_000)
def _hashed(key: bytes, kind: str, text: str) -> str:
    digest = blake2b(f"{kind}/{text}".encode(), digest_size=KEY_BYTES, key=key)
    return digest.hexdigest()


def text_to_store(data: Any) -> str:
    """Return the text that the payload of an event would store, "" if it has none."""
    text = data.get("message", "") if isinstance(data, dict) else ""
    return text if isinstance(text, str) else ""
