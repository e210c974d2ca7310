"""When to send, with clocks that are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.deliver.pace import Breaker, digest_end, is_quiet, next_due, next_try, pause, quiet_end, room
from broker.store.subscription import Quiet, quiet_of

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SCHEDULE = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ZONES = ["UTC", "Europe/Rome", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestQuietHours:
    @pytest.mark.parametrize(
        ("hours", "zone", "when", "end"),
        [
            ("09:00-17:00", "UTC", "2026-06-01T08:59:59", None),
            ("09:00-17:00", "UTC", "2026-06-01T09:00:00", "2026-06-01T17:00:00"),
            ("09:00-17:00", "UTC", "2026-06-01T17:00:00", None),
            # Over midnight, before it and after it.
            ("22:00-07:00", "UTC", "2026-06-01T21:59:59", None),
            ("22:00-07:00", "UTC", "2026-06-01T22:00:00", "2026-06-02T07:00:00"),
            ("22:00-07:00", "UTC", "2026-06-02T06:59:59", "2026-06-02T07:00:00"),
            ("22:00-07:00", "UTC", "2026-06-02T07:00:00", None),
            # By the clocks of a zone, in summer and in winter.
            ("22:00-07:00", "Europe/Rome", "2026-07-01T19:59:00", None),
            ("22:00-07:00", "Europe/Rome", "2026-07-01T20:00:00", "2026-07-02T05:00:00"),
            ("22:00-07:00", "Europe/Rome", "2026-12-01T21:00:00", "2026-12-02T06:00:00"),
            # The night that has an hour less, and the one that has an hour more.
            ("22:00-07:00", "Europe/Rome", "2026-03-28T21:30:00", "2026-03-29T05:00:00"),
            ("22:00-07:00", "Europe/Rome", "2026-10-24T21:30:00", "2026-10-25T06:00:00"),
            # An end that clocks pass over, 02:00 to 03:00 at 01:00 UTC: they end when it is passed.
            ("22:00-02:30", "Europe/Rome", "2026-03-29T00:10:00", "2026-03-29T01:00:00"),
            # An end that comes twice: they end the first time, and come back with the clock.
            ("22:00-02:30", "Europe/Rome", "2026-10-25T00:10:00", "2026-10-25T00:30:00"),
            ("22:00-02:30", "Europe/Rome", "2026-10-25T00:45:00", None),
            ("22:00-02:30", "Europe/Rome", "2026-10-25T01:10:00", "2026-10-25T01:30:00"),
            # A start that clocks pass over.
            ("02:30-05:00", "Europe/Rome", "2026-03-29T01:00:00", "2026-03-29T03:00:00"),
            ("02:15-02:45", "Europe/Rome", "2026-03-29T01:00:00", None),
            # A day that was not there at all: Samoa had no 30 December 2011.
            ("22:00-07:00", "Pacific/Apia", "2011-12-30T09:30:00", "2011-12-30T17:00:00"),
        ],
    )
    def test_end(self, hours: str, zone: str, when: str, end: str | None) -> None:
        quiet = quiet_of(hours, zone)
        assert is_quiet(at(when), quiet) == (end is not None)
        assert quiet_end(at(when), quiet) == at(end or when)

    @given(
        st.integers(0, 2 * 366 * 86_400),
        st.times(),
        st.times(),
        st.sampled_from(ZONES),
    )
    def test_the_end_is_the_first_instant_that_is_not_quiet(self, second: int, start: time, end: time, zone: str) -> None:
        assume(start != end)
        quiet, moment = Quiet(start, end, zone), at("2025-01-01T00:00:00") + timedelta(seconds=second)
        found = quiet_end(moment, quiet)
        assert not is_quiet(found, quiet)
        assert moment <= found <= moment + DAY + timedelta(hours=1)
        if found > moment:
            assert is_quiet(found - timedelta(microseconds=1), quiet)
            steps = (moment + (found - moment) * part / 50 for part in range(50))
            assert all(is_quiet(step, quiet) for step in steps)

    def test_none(self) -> None:
        assert quiet_end(NOON, None) == NOON
        assert not is_quiet(NOON, None)


class TestDigests:
    def test_go_out_at_the_end_of_their_minutes(self) -> None:
        assert digest_end(at("2026-06-01T10:07:30"), 15) == at("2026-06-01T10:15:00")
        assert digest_end(at("2026-06-01T10:15:00"), 15) == at("2026-06-01T10:30:00")  # what comes then is of the next
        assert digest_end(at("2026-06-01T10:07:30"), 1440) == at("2026-06-02T00:00:00")
        assert digest_end(NOON, None) == NOON

    def test_not_in_quiet_hours(self) -> None:
        quiet = quiet_of("22:00-07:00", "Europe/Rome")
        assert next_due(at("2026-07-01T19:50:00"), quiet, 15) == at("2026-07-02T05:00:00")
        assert next_due(at("2026-07-01T19:50:00"), quiet, None) == at("2026-07-01T19:50:00")
        local = datetime(2026, 7, 1, 12, 1, tzinfo=ZoneInfo("Europe/Rome"))
        assert next_due(local, quiet, 15) == at("2026-07-01T10:15:00")


class TestRate:
    def test_room(self) -> None:
        assert room(NOON, [], None) == (None, None)
        assert room(NOON, [], 3) == (3, None)
        starts = [NOON - timedelta(seconds=seconds) for seconds in (10, 70, 30)]
        assert room(NOON, starts, 3) == (1, None)
        assert room(NOON, starts, 2) == (0, NOON + timedelta(seconds=30))
        assert room(NOON, starts, 1) == (0, NOON + timedelta(seconds=50))

    @given(st.lists(st.floats(0, 300), max_size=60), st.integers(1, 8))
    def test_never_more_than_so_many_in_any_minute(self, arrivals: list[float], rate: int) -> None:
        starts: list[datetime] = []
        for arrival in sorted(arrivals):
            when = NOON + timedelta(seconds=arrival)
            when = max([when, *starts[-1:]])
            number, later = room(when, starts, rate)
            if number == 0:
                assert later is not None
                when = later
                number, _ = room(when, starts, rate)
            assert number
            starts.append(when)
        for start in starts:
            assert sum(start <= other < start + MINUTE for other in starts) <= rate


class TestTries:
    def test_the_schedule_covers_a_day_and_ends_with_a_last_try(self) -> None:
        for chance in (0.0, 0.5, 1.0):
            tries, when, attempts = [NOON], NOON, 1
            while (following := next_try(when, NOON, attempts, schedule=SCHEDULE, give_up=DAY, chance=chance)) is not None:
                tries.append(following)
                when, attempts = following, attempts + 1
            assert tries[-1] == NOON + DAY
            assert len(tries) == 8
            assert tries == sorted(tries)
            assert timedelta(seconds=4.5) <= tries[1] - tries[0] <= timedelta(seconds=5.5)

    def test_the_last_pause_holds_for_all_that_follow(self) -> None:
        assert pause(1, (1.0, 10.0), 0.5) == timedelta(seconds=1)
        assert pause(2, (1.0, 10.0), 0.5) == pause(9, (1.0, 10.0), 0.5) == timedelta(seconds=10)
        assert pause(2, (1.0, 10.0), 0.0) == timedelta(seconds=9)
        assert pause(2, (1.0, 10.0), 1.0) == timedelta(seconds=11)

    def test_who_asks_for_a_pause_gets_it(self) -> None:
        found = next_try(NOON, NOON, 1, schedule=SCHEDULE, give_up=DAY, chance=0.5, retry_after=900)
        assert found == NOON + timedelta(seconds=900)
        found = next_try(NOON, NOON, 1, schedule=SCHEDULE, give_up=DAY, chance=0.5, retry_after=1)
        assert found == NOON + timedelta(seconds=5)
        found = next_try(NOON, NOON, 1, schedule=SCHEDULE, give_up=DAY, chance=0.5, retry_after=1e6)
        assert found == NOON + DAY


class TestBreaker:
    def test_opens_probes_and_closes(self) -> None:
        breaker = Breaker(3, MINUTE)
        for number in range(3):
            assert not breaker.open
            assert breaker.room(NOON, 0) == (None, None)
            breaker.note(NOON + timedelta(seconds=number), ok=False)
        opened = NOON + timedelta(seconds=2)
        assert breaker.open
        assert breaker.since == NOON
        assert breaker.room(opened, 0) == (0, opened + MINUTE)
        assert breaker.room(opened + MINUTE, 0) == (1, None)
        assert breaker.room(opened + MINUTE, 1) == (0, None)  # the probe is under way
        breaker.note(opened + MINUTE, ok=False)
        assert breaker.room(opened + MINUTE, 0) == (0, opened + 2 * MINUTE)
        breaker.note(opened + 2 * MINUTE, ok=True)
        assert breaker == Breaker(3, MINUTE)

    def test_failures_that_are_not_in_a_row_open_nothing(self) -> None:
        breaker = Breaker(2, MINUTE)
        for ok in (False, True) * 5:
            breaker.note(NOON, ok=ok)
            assert not breaker.open
