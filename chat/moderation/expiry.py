"""Expiry: how long the messages of a room are kept, and when rooms are abandoned."""

from datetime import datetime, timedelta

from chat.current_config import current_config
from chat.moderation.rules import RoomRules

USUAL_EXPIRIES = (0, 3_600, 86_400, 604_800, 2_592_000, 31_536_000)

ABANDONED_AFTER = timedelta(days=1)
"""How old a room is when it is deleted because nobody has written in it and nobody is in it."""


def expiry_seconds(rules: RoomRules) -> int:
    """Return how long the messages of a room are kept, in seconds; 0 for ever.

    Needs an application context, because the default and the maximum are settings.
    """
    config = current_config()
    return effective_expiry(rules.expiry_seconds, config.default_expiry, config.max_expiry)


def expiry_choices() -> list[int]:
    """Return how long a host may let messages be kept, in seconds; 0 for ever.

    With what the settings say, if that is none of the usual durations. Needs an application
    context.
    """
    config = current_config()
    longest = config.max_expiry
    usual = {each for each in USUAL_EXPIRIES if longest == 0 or 0 < each <= longest}
    unchosen = effective_expiry(None, config.default_expiry, longest)
    return sorted(usual | {longest, unchosen} - ({0} if longest else set()))


def effective_expiry(chosen: int | None, default: int, longest: int) -> int:
    """Return how long messages are kept, in seconds; 0 for ever.

    `chosen` is what the host has chosen; None: `default` applies. `longest` bounds both, unless it
    is 0.
    """
    seconds = default if chosen is None else chosen
    if seconds == 0:
        return longest
    if longest == 0:
        return seconds
    return min(seconds, longest)


def first_purge_at(created_at: datetime) -> datetime:
    """Return when the purge looks at a new room first. Needs an application context."""
    purge_at = created_at + ABANDONED_AFTER
    seconds = expiry_seconds(RoomRules())
    if seconds > 0:
        purge_at = min(purge_at, created_at + timedelta(seconds=seconds))
    return purge_at
