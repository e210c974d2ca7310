"""Watchlists and regions while alerts are processed: what is changed holds for the alerts that come after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from broker.errors import NotFoundError
from broker.process.watch import Asked
from broker.record import Message
from broker.science.moc_read import read_moc
from broker.science.sky import in_ranges, separation
from broker.science.skymap import credible_ranges
from broker.settings import LogTable, Settings, StoreTable
from broker.simulate import lvk, ztf
from broker.store import columns, region_changes, regions, watchlist_changes
from broker.store.engine import close, open_store
from broker.wiring import reading, running, watch
from broker.wiring.live_maps import load_map
from broker.wiring.parts import Parts, open_parts
from broker.wiring.watch import ListsNow
from consumers.alert import Alert, alert_from
from consumers.schemas import SchemaBook
from tests.running import wait_for

START = datetime(2026, 11, 21, 4, tzinfo=UTC)
FILTERS = {
    "watched": "watchlist.hosts.inside",
    "near": "watchlist.hosts.sep < 30 AND watchlist.hosts.id IS NOT NULL",
    "northern": "moc.north AND watchlist.nobody.inside IS NULL",
}


def settings(data: Path) -> Settings:
    (data / "filters").mkdir(parents=True)
    for name, where in FILTERS.items():
        text = f'name = "{name}"\nversion = 1\nstream = "*"\ndescription = "x"\nwhere = "{where}"\n'
        (data / "filters" / f"{name}.toml").write_text(text)
    return Settings(filters="filters", log=LogTable(durable=False, partitions=1), store=StoreTable(durable=False))


def append(parts: Parts, topic: str, *packets: bytes) -> None:
    parts.log.append([Message(topic, packet) for packet in packets])
    running.drain(parts, lambda _records: None)


def told(parts: Parts, name: str) -> list[Alert]:
    book, found = SchemaBook(None, None), []
    with closing(parts.log.consumer(None, [f"matched.{name}"], "earliest")) as consumer:
        while records := consumer.poll(10_000, 64 << 20, 0.5):
            found += [alert_from(book.read(one.value), topic=one.topic, headers=one.headers) for one in records]
    return found


def nights() -> tuple[list[bytes], list[bytes], list[bytes]]:
    """A simulated night in three parts."""
    packets = [packet.data for packet in ztf.packets(5, 120, START, cutouts=False, history=2)]
    return packets[:40], packets[40:80], packets[80:]


LISTED = ["watchlist.hosts.sep", "watchlist.hosts.id", "watchlist.hosts.inside"]


def kept(parts: Parts, names: list[str]) -> pl.DataFrame:
    return columns.scan(parts.frames, ["ztf"], ["alert_id", "ra", "dec", "hpx", "nuncius.offset", *names]).collect()


@dataclass(frozen=True)
class Running:
    """A `process` at work, and another program that changes lists."""

    parts: Parts
    done: Callable[[], int]
    end: Callable[[], None]

    def takes(self, packets: list[bytes]) -> None:
        expected = self.done() + len(packets)
        self.parts.log.append([Message("raw.ztf", packet) for packet in packets])
        wait_for(lambda: self.done() >= expected, 120, "the packets are not worked off")


@pytest.fixture
def at_work(tmp_path: Path) -> Iterator[Running]:
    data = tmp_path / "data"
    with open_parts(settings(data), data) as parts:
        stop = threading.Event()
        thread = threading.Thread(target=running.process, args=(parts, stop))
        thread.start()

        def end() -> None:
            stop.set()
            thread.join()

        try:
            yield Running(parts, lambda: running.totals(parts).overall.received, end)
        finally:
            end()


def test_a_list_that_is_changed_while_alerts_are_processed(at_work: Running) -> None:
    first, second, third = nights()
    at_work.takes(first)
    parts = at_work.parts
    assert told(parts, "watched") == []
    places = reading.query(parts, reading.Query("ra IS NOT NULL")).select("object_id", "ra", "dec")

    other = open_store(str(parts.store.engine.url))  # as another process would
    watchlist_changes.create(other, "hosts", places.head(1).rename({"object_id": "id"}), radius=10.0)
    region_changes.create(other, "north", read_moc(b"0/0-3"))
    at_work.takes(second)
    watchlist_changes.put_target(other, "hosts", "everything", ra=0.0, dec=0.0, radius=36_000.0)
    spots = kept(parts, []).filter(pl.col("nuncius.offset") < 40).select("ra", "dec").rows()
    for number, (ra, dec) in enumerate(spots):
        watchlist_changes.put_target(other, "hosts", f"spot {number}", ra=ra, dec=dec, radius=3_600.0)
    close(other)
    at_work.takes(third)
    at_work.end()  # with the batch at hand published

    found = kept(parts, [*LISTED, "moc.north"]).sort("nuncius.offset")
    before, between, after = (found.filter(pl.col("nuncius.offset").is_between(low, low + 39)) for low in (0, 40, 80))
    assert before["watchlist.hosts.inside"].null_count() == before["moc.north"].null_count() == 40
    target = places.row(0)
    apart = separation(*between.select("ra", "dec"), *target[1:]) * 3600
    assert between["watchlist.hosts.inside"].to_list() == (apart <= 10.0).tolist()
    assert between["watchlist.hosts.sep"].is_not_null().to_list() == (apart <= 3600.0).tolist()
    north = in_ranges(found["hpx"].to_numpy(), read_moc(b"0/0-3"))
    assert found["moc.north"].to_list()[40:] == north[40:].tolist()
    ra, dec = (np.array(axis) for axis in zip(*spots, strict=True))
    near = separation(after["ra"].to_numpy()[:, None], after["dec"].to_numpy()[:, None], ra, dec).min(axis=1)
    wide = separation(after["ra"], after["dec"], 0.0, 0.0) <= 10.0
    assert after["watchlist.hosts.inside"].to_list() == ((near <= 1.0) | wide).tolist()
    assert after["watchlist.hosts.inside"].any()  # or nothing was held against anything

    matched = {alert.alert_id: alert for alert in told(parts, "watched")}
    expected = found.filter("watchlist.hosts.inside")
    assert set(matched) == set(expected["alert_id"])
    for row in expected.iter_rows(named=True):
        annotations = matched[row["alert_id"]].annotations
        assert annotations["watchlist.hosts.inside"] is True
        assert annotations.get("watchlist.hosts.id") == row["watchlist.hosts.id"]
        assert annotations.get("watchlist.hosts.sep") == row["watchlist.hosts.sep"]
    assert {alert.alert_id for alert in told(parts, "near")} == set(
        found.filter(pl.col("watchlist.hosts.sep") < 30)["alert_id"]
    )
    assert {alert.alert_id for alert in told(parts, "northern")} == set(found.filter("moc.north")["alert_id"])


def test_a_region_follows_the_newest_map_of_its_event(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_parts(settings(data), data) as parts:
        event = lvk.make_event(np.random.default_rng(3), START)
        sent = [packet.data for packet in lvk.notices(event, retract=True)]
        with pytest.raises(NotFoundError, match="no event"):
            region_changes.follow(parts.store, "north", event.name, 0.5)
        append(parts, "raw.lvk", sent[0])
        region_changes.follow(parts.store, "north", event.name.lower(), 0.5)
        now, asked = ListsNow(parts), Asked({}, frozenset({"north"}))
        seen = []
        for packet in (None, sent[1], sent[3]):
            if packet is not None:
                append(parts, "raw.lvk", packet)
            path = regions.map_of(parts.store, event.name)
            assert path is not None
            expected = credible_ranges(load_map(parts, path), 0.5)
            found = now(asked).regions["north"]
            np.testing.assert_array_equal(found, expected)
            assert now(asked).regions["north"] is found
            seen.append(int((found[:, 1] - found[:, 0]).sum()))
        assert len(set(seen)) == 3
        append(parts, "raw.ztf", *nights()[0])
        rows = kept(parts, ["moc.north"])
        assert rows["moc.north"].to_list() == in_ranges(rows["hpx"].to_numpy(), expected).tolist()
        append(parts, "raw.lvk", sent[4])
        assert now(asked).regions == {}
        append(parts, "raw.ztf", *nights()[1])
        assert kept(parts, ["moc.north"]).filter(pl.col("nuncius.offset") >= 40)["moc.north"].null_count() == 40


def test_lists_are_opened_once_a_version(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with open_parts(settings(data), data) as parts:
        table = pl.DataFrame({"ra": [1.0, 2.0], "dec": [3.0, 4.0]})
        watchlist_changes.create(parts.store, "hosts", table)
        watchlist_changes.create(parts.store, "others", table)
        asked = Asked({"hosts": frozenset({"sep"}), "others": frozenset({"sep"}), "gone": frozenset({"id"})}, frozenset())
        one, two = ListsNow(parts), ListsNow(parts)
        first = one(asked)
        assert set(first.watchlists) == {"hosts", "others"}
        assert two(asked).watchlists["hosts"] is first.watchlists["hosts"]
        assert one(asked) is first
        watchlist_changes.put_target(parts.store, "hosts", "new", ra=5.0, dec=6.0)
        second = one(asked)
        assert second.watchlists["hosts"] is not first.watchlists["hosts"]
        assert second.watchlists["others"] is first.watchlists["others"]
        assert (len(first.watchlists["hosts"].ids), len(second.watchlists["hosts"].ids)) == (2, 3)
        watchlist_changes.remove(parts.store, "hosts")
        watchlist_changes.create(parts.store, "hosts", table.reverse())
        assert one(asked).watchlists["hosts"].ids.len() == 2
        assert set(one(Asked({}, frozenset())).watchlists) == set()


def test_a_list_taken_away_between_two_looks_is_null(tmp_path: Path) -> None:
    with open_parts(settings(tmp_path), tmp_path) as parts:
        watchlist_changes.create(parts.store, "hosts", pl.DataFrame({"ra": [1.0], "dec": [2.0]}))
        region = region_changes.create(parts.store, "north", read_moc(b"0/0-3"))
        watchlist_changes.remove(parts.store, "hosts")
        region_changes.remove(parts.store, "north")
        assert watch._open_list(parts.store, "hosts", (1, "as it was")) is None
        assert watch.region_now(parts, region) is None
