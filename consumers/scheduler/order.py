"""The order of a night: which fields it has room for, and which comes when.

Fields are taken by how much they add, and each is kept if the night still holds it with all that were taken before. Whether
it does is found out by going through the night: next comes the field with the most probability by time and airmass
(``probability / (airmass x seconds until it is done)``), among those that leave time for every field that has to be begun
earlier: that is the look-ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from consumers.scheduler.fields import Members

__all__ = ["Night", "Timing", "Visit", "fill", "ranked", "walk"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_REFUSALS: Final = 20  # fields in a row that the night has no room for, until it is full
_LATER: Final = 0.5  # what a visit is worth beside the one before


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, seconds.

    Parameters
    ----------
    exposure, readout
        Of one exposure.
    filters
        Each visit has one exposure in each, in this order.
    change
        Between two filters.
    slew, settle
        Degrees a second, and seconds after it.
    repeat, gap
        Visits to each field, and seconds from the end of one to the begin of the next at the least.
    """

    exposure: float = 30.0
    readout: float = 10.0
    filters: tuple[str, ...] = ("r",)
    change: float = 0.0
    slew: float = 1.0
    settle: float = 5.0
    repeat: int = 1
    gap: float = 1800.0

    @property
    def visit(self) -> float:
        """Seconds of one visit, slew not counted."""
        return len(self.filters) * (self.exposure + self.readout) + (len(self.filters) - 1) * self.change

    @property
    def back(self) -> float:
        """Seconds from the last filter of a visit to the first of the next; the telescope may slew meanwhile."""
        return self.change if self.filters[0] != self.filters[-1] else 0.0


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit to a field.

    Parameters
    ----------
    field
        Its number.
    number
        Of the visit to it, from 1.
    start
        Seconds from the begin of the night.
    """

    field: int
    number: int
    start: float


class Night:
    """When each field can be begun.

    Parameters
    ----------
    vectors
        Unit vector of each field, shape (m, 3).
    up
        Whether it is within the limits, every `step` seconds, shape (m, n).
    airmass
        The same.
    aside
        Degrees from a field to the next, usually.
    """

    def __init__(self, vectors: Floats, up: Mask, airmass: Floats, step: float, timing: Timing, aside: float) -> None:  # noqa: PLR0917
        self.vectors, self.up, self.airmass, self.step, self.timing = vectors, up, airmass, step, timing
        self.typical = timing.visit + max(timing.settle + aside / timing.slew, timing.back)
        count = up.shape[1]
        self.until = np.where(up[:, -1:], count - 1, -1).repeat(count, axis=1)  # last of the run that each instant is in
        for at in range(count - 2, -1, -1):
            self.until[:, at] = np.where(up[:, at], np.where(up[:, at + 1], self.until[:, at + 1], at), -1)
        fits = self.until * step >= np.arange(count) * step + timing.visit
        self.following = np.where(fits[:, -1:], float(count - 1), np.inf).repeat(count + 1, axis=1)
        self.following[:, count] = np.inf
        for at in range(count - 2, -1, -1):
            self.following[:, at] = np.where(fits[:, at], at, self.following[:, at + 1])
        self.latest = np.where(fits, self.until * step - timing.visit, -np.inf).max(axis=1)

    @property
    def possible(self) -> Mask:
        """Which fields have time for a visit."""
        return np.asarray(np.isfinite(self.latest), np.bool_)

    def starts(self, rows: Integers, earliest: Floats) -> Floats:
        """When a visit to each field can begin, not before a time; infinite where it cannot."""
        at = np.ceil(earliest / self.step - 1e-9).astype(np.int64)
        before = np.maximum(np.floor(earliest / self.step).astype(np.int64), 0)
        count = self.up.shape[1]
        now = before < count
        now[now] = self.until[rows[now], before[now]] * self.step >= earliest[now] + self.timing.visit
        return np.where(now, earliest, self.following[rows, np.minimum(at, count)] * self.step)


def ranked(members: Members, weight: Floats, possible: Mask, least: float) -> tuple[list[int], list[float]]:
    """Fields by what each adds to those before it, and how much that is: each time the one that adds the most.

    Parameters
    ----------
    weight
        Of each cell or galaxy.
    possible
        Which fields may be taken.
    least
        What a field has to add.
    """
    owner = np.repeat(np.arange(len(members)), np.diff(members.first))
    gain = np.bincount(owner, weights=weight[members.cells], minlength=len(members)).astype(np.float64)
    gain[~possible] = -1.0
    by_cell = np.argsort(members.cells, kind="stable")
    fields = owner[by_cell]
    first = np.searchsorted(members.cells[by_cell], np.arange(weight.size + 1))
    left = np.ones(weight.size, np.bool_)
    order: list[int] = []
    gains: list[float] = []
    while gain.size and gain.max() > least:
        best = int(gain.argmax())
        new = members.of(best)[left[members.of(best)]]
        added = float(weight[new].sum())
        left[new] = False
        sizes = first[new + 1] - first[new]
        rows = np.repeat(first[new] - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes) + np.arange(int(sizes.sum()))
        gain -= np.bincount(fields[rows], weights=np.repeat(weight[new], sizes), minlength=gain.size)
        gain[best] = -1.0
        if added > least:
            order.append(best)
            gains.append(added)
    return order, gains


def walk(night: Night, chosen: Sequence[int], gains: Floats) -> tuple[list[Visit], int | None]:
    """Go through the night with some fields: the visits in order, and the first field that there was no time for.

    Parameters
    ----------
    gains
        What each of all fields is worth.

    Returns
    -------
    list, int or None
        Visits up to there; none where all have their visits.
    """
    timing = night.timing
    left = np.array(sorted(chosen), np.int64)
    done, due = np.zeros(left.size, np.int64), np.zeros(left.size)
    visits: list[Visit] = []
    now, at = 0.0, None
    while left.size:
        slew = np.full(left.size, 0.0 if at is None else timing.settle)
        if at is not None:
            apart = np.degrees(np.arccos(np.clip(night.vectors[left] @ night.vectors[at], -1.0, 1.0)))
            slew = np.maximum(np.where(left == at, 0.0, apart / timing.slew + timing.settle), timing.back)
        start = night.starts(left, np.maximum(now + slew, due))
        if not np.isfinite(start).all():
            return visits, int(left[np.argmax(~np.isfinite(start))])
        cost = start + timing.visit - now
        # when each visit that is left has to begin, the next one of each field in the first column
        ahead = done[:, None] + np.arange(timing.repeat)
        last = night.latest[left][:, None] - (timing.repeat - 1 - ahead) * (timing.gap + timing.visit)
        last[ahead >= timing.repeat] = np.inf
        by_last = np.argsort(last, axis=None, kind="stable")
        spare = np.minimum.accumulate(last.ravel()[by_last] - slew.max() - now - night.typical * np.arange(last.size))
        room = np.empty(last.size)
        room[by_last] = np.concatenate([[np.inf], spare[:-1]])
        room = room.reshape(last.shape)[:, 0]
        airmass = night.airmass[left, np.minimum(np.round(start / night.step).astype(np.int64), night.up.shape[1] - 1)]
        value = gains[left] * _LATER**done / (airmass * cost)
        allowed = cost <= room
        best = int(np.where(allowed, value, -1.0).argmax()) if allowed.any() else int(last[:, 0].argmin())
        visits.append(Visit(int(left[best]), int(done[best]) + 1, float(start[best])))
        now, at = float(start[best]) + timing.visit, int(left[best])
        done[best] += 1
        due[best] = now + timing.gap
        keep = done < timing.repeat
        left, done, due = left[keep], done[keep], due[keep]
    return visits, None


def fill(night: Night, order: Sequence[int], gains: Floats, most: int) -> list[Visit]:
    """The visits of a night: of the first fields those that there is room for, and later ones where they still fit.

    Parameters
    ----------
    order
        Fields by what they add, the most first.
    most
        Fields at most.
    """
    chosen = _roomy(night, order, most)
    visits, lost = walk(night, chosen, gains)
    while lost is not None:  # slews took longer than is usual
        chosen.remove(lost)
        visits, lost = walk(night, chosen, gains)
    taken, refused = set(chosen), 0
    for field in order:
        if len(chosen) >= most or refused >= _REFUSALS:
            break
        if field in taken:
            continue
        found, lost = walk(night, [*chosen, field], gains)
        if lost is None:
            chosen, visits = [*chosen, field], found
        else:
            refused += 1
    return visits


def _roomy(night: Night, order: Sequence[int], most: int) -> list[int]:
    """Fields that the night has room for, each by its first and last moment, if every visit takes as long as is usual."""
    timing = night.timing
    again = timing.gap + timing.visit
    first, last = night.following[:, 0] * night.step, night.latest
    chosen: list[int] = []
    jobs: list[tuple[float, float]] = []
    for field in order:
        own = [
            (float(first[field]) + number * again, float(last[field]) - (timing.repeat - 1 - number) * again)
            for number in range(timing.repeat)
        ]
        if _all_in_time([*jobs, *own], night.typical):
            chosen.append(field)
            jobs += own
        if len(chosen) >= most or len(jobs) * night.typical > night.up.shape[1] * night.step:
            break
    return chosen


def _all_in_time(jobs: list[tuple[float, float]], length: float) -> bool:
    """Whether jobs of one length can all begin between their first and last moment, the most urgent first."""
    now = 0.0
    waiting: list[float] = []
    coming = sorted(jobs, reverse=True)
    while coming or waiting:
        if not waiting:
            now = max(now, coming[-1][0])
        while coming and coming[-1][0] <= now:
            heapq.heappush(waiting, coming.pop()[1])
        if heapq.heappop(waiting) < now:
            return False
        now += length
    return True
