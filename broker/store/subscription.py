"""What a subscription is: filters joined to one channel, how much of what they pick is to come, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from broker.errors import UsageError
from broker.store.lists import check_text

__all__ = [
    "ACTIVE",
    "CHANNELS",
    "PAUSED",
    "REMOVED",
    "UPDATES",
    "Channel",
    "Quiet",
    "Subscription",
    "Updates",
    "checked",
    "legible",
    "quiet_of",
]

Channel = Literal["webhook", "message", "kafka"]
Updates = Literal["all", "retractions", "none"]
CHANNELS: Final[tuple[str, ...]] = get_args(Channel)
UPDATES: Final[tuple[str, ...]] = get_args(Updates)

ACTIVE: Final = "active"
PAUSED: Final = "paused"
REMOVED: Final = "removed"

MOST_FILTERS: Final = 100
MOST_RATE: Final = 60_000
MOST_DIGEST: Final = 1_440


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of each day in which nothing is sent; over midnight where the end is before the start.

    Parameters
    ----------
    start, end
        On the clocks of the zone; the start is quiet, the end no more.
    zone
        Name in the IANA time zone database.
    """

    start: time
    end: time
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription.

    Parameters
    ----------
    id
        ``sub_`` and 12 hexadecimal digits.
    filters
        Names; what any of them picks is told.
    channel, target
        ``webhook``: ``url`` and ``format`` (``json`` or ``voevent``); ``message``: ``urls`` of apprise; ``kafka``: ``user``.
    secret
        That webhooks are signed with, ``whsec_`` and base64; empty for other channels.
    owner
        Account; ``None`` without accounts.
    state
        ``active``, ``paused`` (what comes waits) or ``removed``.
    rate
        Deliveries a minute at most; what is over waits. ``None``: no bound.
    quiet
        What comes then waits until its end.
    digest
        Minutes, after which all that came goes out together; ``None``: each at once.
    only_first
        Whether of an object (object_id, else event_name, else alert_id) only the first match is told.
    updates
        Which of the later words on a match go to who was told of it: ``all``, ``retractions`` or ``none``.
    left_out, left_out_at
        How many deliveries were left out since as many as may wait did, and when the last; no part of what a subscription is.
    """

    id: str
    filters: tuple[str, ...]
    channel: Channel
    target: Mapping[str, Any]
    secret: str
    owner: str | None
    state: str
    rate: int | None
    quiet: Quiet | None
    digest: int | None
    only_first: bool
    updates: Updates
    note: str
    created: datetime
    changed: datetime
    left_out: int = field(default=0, compare=False)
    left_out_at: datetime | None = field(default=None, compare=False)


def quiet_of(text: str, zone: str = "UTC") -> Quiet:
    """Quiet hours of ``22:00-07:00``.

    Raises
    ------
    UsageError
        They are none, or the zone is not known.
    """
    start, _, end = text.partition("-")
    try:
        found = Quiet(time.fromisoformat(start.strip()), time.fromisoformat(end.strip()), zone)
    except ValueError as error:
        raise UsageError(f"quiet hours {text[:40]!r}: write their start and end on the clock, as in 22:00-07:00") from error
    return _checked_quiet(found)


def legible(ident: str) -> bool:
    """Whether a database takes it: no NUL, no half of a character."""
    return "\0" not in ident and not any("\ud800" <= char <= "\udfff" for char in ident)


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table takes them."""
    found = dict(values)
    if "filters" in found:
        names = tuple(dict.fromkeys(found["filters"]))
        if not 1 <= len(names) <= MOST_FILTERS:
            raise UsageError(f"a subscription is to 1 to {MOST_FILTERS} filters: {len(names)} are named")
        found["filters"] = list(names)
    if found["channel"] not in CHANNELS:
        raise UsageError(f"channel {str(found['channel'])[:40]!r}: there are {', '.join(CHANNELS)}")
    if "target" in found:
        found["target"] = dict(found["target"])
    if found.get("updates", "all") not in UPDATES:
        raise UsageError(f"updates {str(found['updates'])[:40]!r}: there are {', '.join(UPDATES)}")
    for name, most, what in (("rate", MOST_RATE, "deliveries a minute"), ("digest", MOST_DIGEST, "minutes")):
        number = found.get(name)
        if number is not None and not 1 <= number <= most:
            raise UsageError(f"{name} {number}: take 1 to {most:,} {what}, or leave it out")
    quiet = found.get("quiet")
    if quiet is not None:
        quiet = _checked_quiet(quiet)
        found["quiet"] = {"start": quiet.start.isoformat(), "end": quiet.end.isoformat(), "zone": quiet.zone}
    if "note" in found:
        found["note"] = check_text("note", found["note"])
    return found


def _checked_quiet(quiet: Quiet) -> Quiet:
    try:
        ZoneInfo(quiet.zone)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"zone {quiet.zone[:60]!r} is not known: take a name such as Europe/Rome or UTC") from error
    if quiet.start == quiet.end:
        raise UsageError(f"quiet hours {quiet}: they end when they begin; pause the subscription if nothing is to come at all")
    if quiet.start.tzinfo is not None or quiet.end.tzinfo is not None:
        raise UsageError(f"quiet hours {quiet}: name the zone apart, as in Europe/Rome, and the hours without an offset")
    return quiet
