"""Too much from one side, on a clock of the test's own."""

from __future__ import annotations

import threading

import pytest

from broker.api.limits import ACCOUNT, ADDRESS, PAIR, Attempts, Rate, side


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("somewhere", "somewhere"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_what_counts_as_one_side(address: str | None, counted: str) -> None:
    assert side(address) == counted


def test_in_no_window_more_than_said() -> None:
    clock = Clock()
    rate = Rate(3, 60.0, clock)
    taken = []
    for step in range(400):
        clock.now = 100.0 + step
        if rate.take("one") == 0.0:
            taken.append(clock.now)
    assert len(taken) == 21
    assert all(sum(start <= at < start + 60 for at in taken) <= 3 for start in taken)
    clock.now = 1000.0
    assert [rate.take("one") for _ in range(3)] == [0.0] * 3
    clock.now = 1010.0
    assert rate.take("one") == 50.0
    assert rate.take("other") == 0.0


def test_none_is_no_bound() -> None:
    rate = Rate(0, 60.0)
    assert {rate.take("one") for _ in range(1000)} == {0.0}


def test_sides_at_rest_are_forgotten() -> None:
    clock = Clock()
    rate = Rate(1, 60.0, clock)
    for number in range(10_001):
        rate.take(str(number))
    clock.now += 30.0
    assert rate.take("0") == 30.0
    clock.now += 31.0
    assert rate.take("x") == 0.0
    assert len(rate._taken) == 1


def test_waits_grow_and_end() -> None:
    clock, waits = Clock(), []
    attempts = Attempts(clock)
    keys = [(PAIR, "hypatia\n192.0.2.7")]
    for _ in range(30):
        while (wait := attempts.begin(keys)) > 0:
            waits.append(wait)
            clock.now += wait
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert max(waits) == waits[-1] == PAIR.longest
    attempts.succeeded(keys)
    assert [attempts.begin(keys) for _ in range(PAIR.free)] == [0.0] * PAIR.free
    assert attempts.begin(keys) > 0


def test_an_account_is_never_shut_for_long_by_strangers() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(2000):
        attempts.begin([(PAIR, f"hypatia\n{number}"), (ADDRESS, str(number)), (ACCOUNT, "hypatia")])
        clock.now += 0.5
    assert 0 < attempts.begin([(PAIR, "hypatia\nhome"), (ADDRESS, "home"), (ACCOUNT, "hypatia")]) <= 60.0


def test_an_account_of_ones_own_frees_no_side() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    refused = 0
    for number in range(200):
        if attempts.begin([(PAIR, f"{number}\nx"), (ADDRESS, "x"), (ACCOUNT, str(number))]):
            refused += 1
        own = [(PAIR, "own\nx"), (ADDRESS, "x"), (ACCOUNT, "own")]
        if attempts.begin(own) == 0.0:
            attempts.succeeded(own)
    assert refused > 150


def test_so_many_at_once_are_no_way_around() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    let: list[float] = []
    begin = threading.Barrier(40)

    def attempt() -> None:
        begin.wait()
        let.append(attempts.begin([(PAIR, "hypatia\nx")]))

    threads = [threading.Thread(target=attempt) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert let.count(0.0) == PAIR.free
