"""Every rule by which an alert is new, done again, a duplicate or a revision."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.alert import Batch
from broker.process.dedupe import dedupe
from broker.record import Record


class Owner(NamedTuple):
    origin: tuple[str, int, int]
    digest: bytes | None


class Claims(dict[str, Owner]):
    """A claimer without a database; it wants each id once, as the contract says."""

    def __call__(
        self, ids: Sequence[str], origins: Sequence[tuple[str, int, int]], digests: Sequence[bytes | None]
    ) -> list[Owner]:
        assert len(set(ids)) == len(ids)
        return [self.setdefault(i, Owner(o, d)) for i, o, d in zip(ids, origins, digests, strict=True)]


Place = tuple[int, int]


def batch(*alerts: tuple[str, Place], notices: dict[Place, bytes] | None = None) -> Batch:
    """Alerts by id and (partition, offset) of their record; for notices the bytes of each record."""
    places = list(dict.fromkeys(place for _, place in alerts))
    records = tuple(Record("raw.x", partition, offset, 0, None, b"") for partition, offset in places)
    columns: dict[str, pl.Series] = {
        "alert_id": pl.Series([alert_id for alert_id, _ in alerts], dtype=pl.String),
        "_record": pl.Series([places.index(place) for _, place in alerts], dtype=pl.UInt32),
        "_unit": pl.Series([0] * len(alerts), dtype=pl.UInt32),
    }
    if notices is not None:
        values = [blake2b(notices[place], digest_size=16).digest() for _, place in alerts]
        columns["_digest"] = pl.Series(values, dtype=pl.Binary)
    return Batch("x", records, pl.DataFrame(columns), len(alerts))


def result(given_batch: Batch, claims: Claims) -> tuple[list[tuple[str, Place]], int]:
    got = dedupe(claims)(given_batch)
    assert got.received == got.frame.height + got.duplicates + len(got.rejected)
    records = [got.records[index] for index in got.frame["_record"]]
    kept = [(i, (r.partition, r.offset)) for i, r in zip(got.frame["alert_id"], records, strict=True)]
    return kept, got.duplicates


def test_new_alerts_pass_untouched() -> None:
    given_batch = batch(("a", (0, 1)), ("b", (0, 2)))
    assert dedupe(Claims())(given_batch) is given_batch
    assert dedupe(Claims())(batch()).frame.height == 0


def test_second_in_the_batch_leaves() -> None:
    assert result(batch(("a", (0, 1)), ("b", (0, 2)), ("a", (0, 3))), Claims()) == ([("a", (0, 1)), ("b", (0, 2))], 1)


def test_second_in_one_record_leaves() -> None:
    assert result(batch(("a", (0, 1)), ("a", (0, 1)), ("b", (0, 1))), Claims()) == ([("a", (0, 1)), ("b", (0, 1))], 1)


def test_other_partition_and_later_batch_leave() -> None:
    claims = Claims()
    result(batch(("a", (0, 1))), claims)
    assert result(batch(("a", (1, 1)), ("b", (0, 2))), claims) == ([("b", (0, 2))], 1)
    assert result(batch(("a", (0, 9))), claims) == ([], 1)


def test_done_again_is_published_again() -> None:
    claims = Claims()
    first = result(batch(("a", (0, 1)), ("a", (0, 2)), ("b", (0, 3))), claims)
    assert result(batch(("a", (0, 1)), ("a", (0, 2)), ("b", (0, 3))), claims) == first


def test_done_again_in_another_order_keeps_its_owner() -> None:
    claims = Claims()
    result(batch(("a", (0, 5)), ("a", (1, 3))), claims)
    assert result(batch(("a", (1, 3)), ("a", (0, 5))), claims) == ([("a", (0, 5))], 1)


def test_a_notice_with_other_bytes_is_a_revision() -> None:
    claims = Claims()
    notices = {(0, 1): b"one", (0, 2): b"two", (0, 3): b"one", (0, 4): b"two", (0, 5): b"three"}
    two, three = (blake2b(text, digest_size=16).hexdigest()[:8] for text in (b"two", b"three"))
    rows = [("n", place) for place in notices]
    expected = [("n", (0, 1)), (f"n;{two}", (0, 2)), (f"n;{three}", (0, 5))]
    assert result(batch(*rows, notices=notices), claims) == (expected, 2)
    # done again as it was, and one by one
    assert result(batch(*rows, notices=notices), claims) == (expected, 2)
    kept = [result(batch(row, notices=notices), claims)[0] for row in rows]
    assert kept == [[expected[0]], [expected[1]], [], [], [expected[2]]]


def test_ids_of_surveys_decide_alone() -> None:
    claims = Claims()
    result(batch(("a", (0, 1))), claims)
    given_batch = batch(("a", (0, 2)))
    frame = given_batch.frame.with_columns(pl.lit(None, pl.Binary).alias("_digest"))
    assert result(Batch("x", given_batch.records, frame, 1), claims) == ([], 1)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 1), st.sampled_from([b"x", b"y"])), max_size=14),
    st.lists(st.integers(0, 14), max_size=4),
    st.booleans(),
)
def test_cut_and_repeated_anyhow_each_id_is_published_from_one_place(
    alerts: list[tuple[str, int, bytes]], cuts: list[int], notices: bool
) -> None:
    rows = [(alert_id, (partition, offset)) for offset, (alert_id, partition, _) in enumerate(alerts)]
    bodies = {(partition, offset): body for offset, (_, partition, body) in enumerate(alerts)} if notices else None
    claims = Claims()
    published: dict[str, set[Place]] = {}
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, stop in itertools.pairwise(bounds):
        once = result(batch(*rows[start:stop], notices=bodies), claims)
        assert result(batch(*rows[start:stop], notices=bodies), claims) == once
        for alert_id, place in once[0]:
            published.setdefault(alert_id, set()).add(place)
    assert all(len(places) == 1 for places in published.values())
    kinds = {(a, b if notices else b"") for a, _, b in alerts}
    assert len(published) == len(kinds)
