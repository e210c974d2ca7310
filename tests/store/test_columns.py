"""Frames as Parquet: every row once, whatever was done again, and merged under the eyes of readers."""

from __future__ import annotations

import random
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from broker.alert import COMMON, SKYMAPS_DTYPE, Batch, conform
from broker.errors import StoreUnavailableError, UsageError
from broker.record import Record
from broker.store import columns
from broker.store.archive import Address
from broker.store.columns import PROVENANCE, scan, write_segment
from broker.store.compaction import Compacted, compact
from broker.store.segments import listing, night_of, resolve

EVENING = datetime(2026, 3, 1, 20, tzinfo=UTC)


def made(first: int, last: int, *, partition: int = 0, stream: str = "ztf", received: datetime = EVENING, **more: Any) -> Batch:
    """Batch of one alert a record, of the offsets given, both inclusive."""
    return batch([(partition, offset) for offset in range(first, last + 1)], stream=stream, received=received, **more)


def batch(places: list[tuple[int, int]], *, stream: str = "ztf", received: datetime = EVENING, **more: Any) -> Batch:
    at = int(received.timestamp() * 1000)
    records = tuple(Record(f"raw.{stream}", partition, offset, at, None, b"") for partition, offset in places)
    frame = pl.DataFrame(
        {
            "alert_id": [f"{stream}:{partition}-{offset}" for partition, offset in places],
            "stream": stream,
            "time": [received - timedelta(seconds=1000 - offset) for _, offset in places],
            "_record": pl.Series(range(len(places)), dtype=pl.UInt32),
            "_unit": pl.Series([0] * len(places), dtype=pl.UInt32),
        }
        | more
    )
    return Batch(stream, records, conform(frame), len(places))


def write(root: Path, *batches: Batch) -> list[Path]:
    return [path for each in batches for path in write_segment(root, each, durable=False)]


def ids(root: Path, **asked: Any) -> list[str]:
    return scan(root, columns=["alert_id"], **asked).collect().to_series().sort().to_list()


def offsets(root: Path) -> list[int]:
    return scan(root).collect()["nuncius.offset"].sort().to_list()


def test_what_is_kept(tmp_path: Path) -> None:
    given = made(
        3,
        4,
        **{
            "candidate.rb": [0.5, None],
            "gaia.sep": pl.Series([None, None], dtype=pl.Float64),
            "history.mag": [[1.0], None],
            "_digest": [b"x", b"y"],
            "skymaps": [[{"event": "S1", "credible_level": 0.5}], None],
        },
    )
    addresses = [Address("f.avro", 10, 20), Address("f.avro", 40, 50)]
    (path,) = write_segment(tmp_path, given, addresses)
    assert path.relative_to(tmp_path).parts[:2] == ("stream=ztf", "night=2026-03-01")
    found = scan(tmp_path).collect()
    assert found.columns == [*COMMON, *PROVENANCE, "candidate.rb", "skymaps"]
    assert found.select(*COMMON).equals(given.frame.select(*COMMON))
    assert found["candidate.rb"].to_list() == [0.5, None]
    assert found["skymaps"].list.first().struct.field("credible_level").to_list() == [0.5, None]
    assert found.schema["skymaps"] == SKYMAPS_DTYPE  # a file of before the list grew
    assert found.select(name for name in PROVENANCE).row(1) == ("raw.ztf", 0, 4, 0, EVENING, "f.avro", 40, 50)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("instant", "night"),
    [("2026-03-01T11:59:59", "2026-02-28"), ("2026-03-01T12:00:00", "2026-03-01"), ("2026-03-02T11:00:00", "2026-03-01")],
)
def test_a_night_is_from_noon_to_noon(instant: str, night: str) -> None:
    assert night_of(int(datetime.fromisoformat(instant + "+00:00").timestamp() * 1e6)) == night


def test_an_empty_store_has_the_common_columns(tmp_path: Path) -> None:
    found = scan(tmp_path / "none").collect()
    assert found.is_empty()
    assert found.columns == [*COMMON, *PROVENANCE]
    assert write(tmp_path, made(0, -1)) == []


def test_a_batch_of_several_partitions_is_a_file_each(tmp_path: Path) -> None:
    assert len(write(tmp_path, batch([(0, 5), (1, 9), (0, 6)]))) == 2
    write(tmp_path, made(9, 12, partition=1))
    assert ids(tmp_path) == sorted(["ztf:0-5", "ztf:0-6", *(f"ztf:1-{i}" for i in range(9, 13))])


def test_a_batch_done_again_is_there_once(tmp_path: Path) -> None:
    write(tmp_path, made(0, 99, mag=1.0), made(0, 99, mag=2.0))
    assert scan(tmp_path).collect()["mag"].to_list() == [2.0] * 100


def test_by_stream_and_time(tmp_path: Path) -> None:
    write(tmp_path, made(0, 9), made(0, 9, stream="lsst"))
    assert len(ids(tmp_path)) == 20
    assert len(ids(tmp_path, streams=["lsst"])) == 10
    start = EVENING - timedelta(seconds=998)
    assert ids(tmp_path, streams=["ztf"], start=start, end=start + timedelta(seconds=3)) == ["ztf:0-2", "ztf:0-3", "ztf:0-4"]


def test_without_a_time_the_receipt_counts(tmp_path: Path) -> None:
    write(tmp_path, made(0, 0, time=pl.Series([None], dtype=pl.Datetime("us", "UTC"))))
    assert ids(tmp_path, start=EVENING, end=EVENING + timedelta(seconds=1)) == ["ztf:0-0"]
    assert ids(tmp_path, start=EVENING + timedelta(seconds=1)) == []


def test_columns_come_and_go(tmp_path: Path) -> None:
    write(tmp_path, made(0, 1, **{"candidate.rb": 0.5}), made(2, 3, **{"candidate.drb": 7}), made(4, 5))
    found = scan(tmp_path).sort("nuncius.offset").collect()
    assert found["candidate.rb"].to_list() == [0.5, 0.5, None, None, None, None]
    assert found["candidate.drb"].to_list() == [None, None, 7, 7, None, None]
    with pytest.raises(UsageError, match=r"candidate\.nope"):
        scan(tmp_path, columns=["candidate.nope"])


def test_types_that_disagree_are_reconciled(tmp_path: Path) -> None:
    for number, value in enumerate([1, 2.5, True, "text"]):
        write(tmp_path, made(number, number, flag=value, count=pl.Series([number], dtype=pl.Int16 if number % 2 else pl.Int32)))
        if number == 2:
            assert scan(tmp_path).sort("nuncius.offset").collect()["flag"].to_list() == [1.0, 2.5, 1.0]
    found = scan(tmp_path).sort("nuncius.offset").collect()
    assert found["flag"].to_list() == ["1", "2.5", "true", "text"]
    assert found["count"].to_list() == [0, 1, 2, 3]
    assert found.schema["count"] == pl.Int64


def test_a_torn_or_foreign_file_costs_itself_alone(tmp_path: Path) -> None:
    torn, _ = write(tmp_path, made(0, 9), made(10, 19))
    torn.write_bytes(torn.read_bytes()[:100])
    (torn.parent / "notes.parquet").write_text("not ours")
    assert offsets(tmp_path) == list(range(10, 20))


def test_a_place_that_cannot_be_written_passes(tmp_path: Path) -> None:
    (tmp_path / "stream=ztf").write_text("a file")
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        write(tmp_path, made(0, 1))


@pytest.mark.parametrize("seed", range(8))
def test_any_history_of_batches_shows_each_offset_as_last_written(tmp_path: Path, seed: int) -> None:
    """Batches with any bounds, done again from anywhere, with compactions in between, against a plain dictionary."""
    rng = random.Random(seed)
    expected: dict[tuple[int, int], float] = {}
    ends = [0, 0]
    for step in range(40):
        partition = rng.randrange(2)
        first = ends[partition] if rng.random() < 0.7 else rng.randrange(max(0, ends[partition] - 30), ends[partition] + 1)
        last = first + rng.randrange(12)
        ends[partition] = max(ends[partition], last + 1)
        night = EVENING + timedelta(days=first // 60)
        write(tmp_path, made(first, last, partition=partition, received=night, mag=float(step)))
        expected.update({(partition, offset): float(step) for offset in range(first, last + 1)})
        if rng.random() < 0.2:
            compact(tmp_path, 0, grace=rng.choice([0, 1000]), target_bytes=rng.choice([30_000, 1 << 20]), durable=False)
    found = scan(tmp_path).select("nuncius.partition", "nuncius.offset", "mag").collect()
    assert found.height == len(expected)
    assert {(row[0], row[1]): row[2] for row in found.rows()} == expected


class TestCompaction:
    def test_small_files_become_one(self, tmp_path: Path) -> None:
        write(tmp_path, *(made(10 * i, 10 * i + 9, **({"candidate.rb": 0.5} if i % 2 else {})) for i in range(6)))
        before = scan(tmp_path).sort("nuncius.offset").collect()
        assert compact(tmp_path, 0, grace=0) == Compacted(6, 1, 0)
        assert len(listing(tmp_path)) == 7  # readers who have begun go on with the old ones
        assert scan(tmp_path).sort("nuncius.offset").collect().equals(before)
        assert compact(tmp_path, 0, grace=0) == Compacted(0, 0, 6)
        assert len(listing(tmp_path)) == 1
        assert scan(tmp_path).sort("nuncius.offset").collect().equals(before)

    def test_a_frame_being_read_is_not_pulled_away(self, tmp_path: Path) -> None:
        write(tmp_path, made(0, 9), made(10, 19))
        frame = scan(tmp_path)
        compact(tmp_path, 0)
        assert compact(tmp_path, 0) == Compacted(0, 0, 0)  # within the grace
        assert frame.collect().height == 20

    def test_only_what_is_old_enough(self, tmp_path: Path) -> None:
        write(tmp_path, made(0, 9), made(10, 19))
        assert compact(tmp_path, 3600, grace=0) == Compacted(0, 0, 0)

    def test_nights_stay_apart(self, tmp_path: Path) -> None:
        for day in range(2):
            first = 20 * day
            night = EVENING + timedelta(days=day)
            write(tmp_path, made(first, first + 9, received=night), made(first + 10, first + 19, received=night))
        assert compact(tmp_path, 0, grace=0) == Compacted(4, 2, 0)
        assert offsets(tmp_path) == list(range(40))

    def test_a_batch_done_again_after_the_merge_has_the_say(self, tmp_path: Path) -> None:
        write(tmp_path, made(0, 9, mag=1.0), made(10, 19, mag=1.0))
        compact(tmp_path, 0, grace=0)
        write(tmp_path, made(10, 14, mag=2.0), made(15, 29, mag=2.0))
        found = scan(tmp_path).sort("nuncius.offset").collect()
        assert found["nuncius.offset"].to_list() == list(range(30))
        assert found["mag"].to_list() == [1.0] * 10 + [2.0] * 20

    def test_a_merge_that_dies_leaves_nothing_to_see(self, tmp_path: Path) -> None:
        path, _ = write(tmp_path, made(0, 9), made(10, 19))
        (path.parent / "raw.ztf-0-000000000000-000000000019-0000000000000001.parquet.tmp").write_bytes(b"half")
        assert offsets(tmp_path) == list(range(20))
        compact(tmp_path, 0, grace=0)
        assert not list(tmp_path.rglob("*.tmp"))

    def test_a_file_merged_away_while_listing_is_looked_for_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, made(0, 9), made(10, 19))
        stale = listing(tmp_path)
        compact(tmp_path, 0, grace=0)
        compact(tmp_path, 0, grace=0)
        answers = iter([stale, listing(tmp_path)])
        columns._schema.cache_clear()
        monkeypatch.setattr(columns, "listing", lambda *_asked: next(answers))
        assert offsets(tmp_path) == list(range(20))

    def test_large_files_are_left_alone(self, tmp_path: Path) -> None:
        write(tmp_path, *(made(10 * i, 10 * i + 9) for i in range(4)))
        assert compact(tmp_path, 0, grace=0, target_bytes=1) == Compacted(0, 0, 0)


def test_nothing_left_to_read_is_told_apart(tmp_path: Path) -> None:
    write(tmp_path, made(0, 9), made(5, 14), made(0, 20))
    pieces, superseded = resolve(listing(tmp_path))
    assert [(piece.segment.first, piece.segment.last, piece.hidden) for piece in pieces] == [(0, 20, ())]
    assert sorted(segment.first for segment in superseded) == [0, 5]


def test_a_full_disk_is_waited_out_and_leaves_nothing_behind(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as near to a full disk as one can come without one
    try:
        with pytest.raises(StoreUnavailableError, match="tried again"):
            write(tmp_path, made(0, 500))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    (path,) = write(tmp_path, made(0, 500))
    assert path.stat().st_size > 1000
