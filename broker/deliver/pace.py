"""When to send: quiet hours, digests, rates, pauses between tries, and holding back from who does not answer.

Pure functions of instants, all aware. Quiet hours go by what clocks show: put forward over their end, a clock ends them there;
put back into them, it begins them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from broker.store.subscription import Quiet

__all__ = ["Breaker", "digest_end", "is_quiet", "next_due", "next_try", "pause", "quiet_end", "room"]

JITTER: Final = 0.1
"""Part of a pause that it may be longer or shorter, so that those who failed together do not come back together."""

_MINUTE: Final = timedelta(minutes=1)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_quiet(when: datetime, quiet: Quiet | None) -> bool:
    """Whether an instant lies in quiet hours."""
    if quiet is None:
        return False
    clock = when.astimezone(ZoneInfo(quiet.zone)).time()
    if quiet.start < quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


def quiet_end(when: datetime, quiet: Quiet | None) -> datetime:
    """The instant itself, or the end of the quiet hours that it lies in, UTC."""
    when = when.astimezone(UTC)
    if quiet is None or not is_quiet(when, quiet):
        return when
    zone = ZoneInfo(quiet.zone)
    today = when.astimezone(zone).date()
    ends = [quiet.end.replace(fold=fold) for fold in (0, 1)]  # of an hour that comes twice, or not at all
    edges = sorted(datetime.combine(day, end, tzinfo=zone).astimezone(UTC) for day in (today, today + _DAY) for end in ends)
    last = when
    for edge in edges:
        if edge <= when:
            continue
        if not is_quiet(edge, quiet):
            return _first_after(last, edge, quiet)
        last = edge
    return edges[-1]


def _first_after(quiet_at: datetime, loud_at: datetime, quiet: Quiet) -> datetime:
    """The first instant that is quiet no more: before `loud_at` where clocks pass over the end of the quiet hours."""
    if is_quiet(loud_at - timedelta(microseconds=1), quiet):
        return loud_at
    while loud_at - quiet_at > timedelta(microseconds=1):
        middle = quiet_at + (loud_at - quiet_at) / 2
        if is_quiet(middle, quiet):
            quiet_at = middle
        else:
            loud_at = middle
    return loud_at


def digest_end(when: datetime, minutes: int | None) -> datetime:
    """When the digest that an instant belongs to goes out, UTC: at the next multiple of its minutes since 1970."""
    when = when.astimezone(UTC)
    if minutes is None:
        return when
    length = timedelta(minutes=minutes)
    return _EPOCH + ((when - _EPOCH) // length + 1) * length


def next_due(now: datetime, quiet: Quiet | None, digest: int | None) -> datetime:
    """When what comes now is to go out: with the next digest, and not in quiet hours."""
    return quiet_end(digest_end(now, digest), quiet)


def room(now: datetime, starts: Sequence[datetime], rate: int | None) -> tuple[int | None, datetime | None]:
    """How many deliveries may begin now, and where none may, from when on one may.

    Parameters
    ----------
    starts
        When those of the last minute began.
    rate
        Deliveries in any minute at most; ``None`` is no bound, and so is the number returned.
    """
    if rate is None:
        return None, None
    within = sorted(start for start in starts if start > now - _MINUTE)
    if len(within) < rate:
        return rate - len(within), None
    return 0, within[-rate] + _MINUTE


def pause(attempts: int, schedule: Sequence[float], chance: float) -> timedelta:
    """Pause after so many tries, at least one; the last of the schedule holds for all that follow.

    Parameters
    ----------
    schedule
        Seconds.
    chance
        From 0 to 1.
    """
    seconds = schedule[min(attempts, len(schedule)) - 1]
    return timedelta(seconds=seconds * (1 + JITTER * (2 * chance - 1)))


def next_try(
    now: datetime,
    begun: datetime,
    attempts: int,
    *,
    schedule: Sequence[float],
    give_up: timedelta,
    chance: float,
    retry_after: float | None = None,
) -> datetime | None:
    """When to try again what has just failed; ``None`` where it is given up.

    There is always one last try when the time is up.

    Parameters
    ----------
    begun
        When it was first tried.
    attempts
        How often it was tried, this time among them.
    give_up
        After `begun`.
    retry_after
        Seconds that the receiver asked to be left alone.
    """
    deadline = begun + give_up
    if now >= deadline:
        return None
    wait = max(pause(attempts, schedule, chance), timedelta(seconds=retry_after or 0.0))
    return min(now + wait, deadline)


@dataclass(slots=True)
class Breaker:
    """Holds back from a receiver that fails: after so many failures in a row, one probe now and then.

    Parameters
    ----------
    limit
        Failures in a row that open it.
    pause
        Between probes.
    since
        When the first of the failures in a row was.
    probe
        When the next probe may be.
    """

    limit: int
    pause: timedelta
    failures: int = 0
    since: datetime | None = None
    probe: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it holds back."""
        return self.failures >= self.limit

    def note(self, now: datetime, *, ok: bool) -> None:
        """What came of a try."""
        if ok:
            self.failures, self.since, self.probe = 0, None, None
            return
        self.failures += 1
        self.since = self.since or now
        if self.open:
            self.probe = now + self.pause

    def room(self, now: datetime, flying: int) -> tuple[int | None, datetime | None]:
        """How many tries may begin, with so many under way, and where none may, from when on; ``None`` is no bound."""
        if not self.open or self.probe is None:
            return None, None
        if flying:
            return 0, None
        return (1, None) if now >= self.probe else (0, self.probe)
