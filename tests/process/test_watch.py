"""Columns of watchlists and regions: those asked for, right, and null where nothing can be said."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from broker.alert import Batch
from broker.process.watch import Asked, Held, OpenList, asked_of, columns_of, watch
from broker.science.moc_read import read_moc
from broker.science.sky import radec_to_hpx
from broker.science.targets import index_targets

PLACES = [(10.0, 20.0), (10.0, 20.0 + 3 / 3600), (10.5, 20.0), (200.0, 0.0), (None, None)]


def batch(places: list[tuple[float | None, float | None]]) -> Batch:
    ra, dec = (
        np.array([np.nan if value is None else value for value in axis], np.float64) for axis in zip(*places, strict=True)
    )
    hpx = radec_to_hpx(ra, dec)
    frame = pl.DataFrame(
        {
            "alert_id": [f"a{i}" for i in range(len(ra))],
            "ra": pl.Series([place[0] for place in places], dtype=pl.Float64),
            "dec": pl.Series([place[1] for place in places], dtype=pl.Float64),
            "hpx": pl.Series([int(index) if index >= 0 else None for index in hpx], dtype=pl.Int64),
        }
    )
    return Batch("ztf", (), frame, frame.height)


HOSTS = OpenList(index_targets([10.0, 10.9], [20.0, 20.0], [2 / 3600, 0.5]), pl.Series("id", ["near", "wide"]))


def load(asked: Asked) -> Held:
    assert asked.regions <= {"north", "absent"}
    return Held({"hosts": HOSTS}, {"north": read_moc(b"0/0-3")})


def test_what_is_asked_for() -> None:
    asked = asked_of(
        [
            "mag",
            "watchlist.a.sep",
            "watchlist.a.inside",
            "watchlist.b.id",
            "watchlist.c.other",
            "moc.x",
            "moc.",
            "watchlist.sep",
        ]
    )
    assert asked.watchlists == {"a": {"sep", "inside"}, "b": {"id"}}
    assert asked.regions == {"x"}
    assert columns_of("a") == ["watchlist.a.sep", "watchlist.a.id", "watchlist.a.inside"]


def test_columns() -> None:
    names = [*columns_of("hosts"), "moc.north", *columns_of("gone"), "moc.absent", "mag"]
    got = watch(names, load)(batch(PLACES)).frame
    assert got.columns[4:] == [*columns_of("gone"), *columns_of("hosts"), "moc.absent", "moc.north"]
    assert got["watchlist.hosts.id"].to_list() == ["near", "near", "wide", None, None]
    assert got["watchlist.hosts.sep"].to_list()[:2] == pytest.approx([0.0, 3.0], abs=1e-6)
    assert got["watchlist.hosts.sep"].to_list()[3:] == [None, None]
    assert got["watchlist.hosts.inside"].to_list() == [True, False, True, False, None]
    assert got["moc.north"].to_list() == [False, False, False, False, None]
    assert watch(["moc.north"], load)(batch([(10.0, 60.0)])).frame["moc.north"].to_list() == [True]
    for name, dtype in zip(columns_of("gone"), (pl.Float64, pl.String, pl.Boolean), strict=True):
        assert got.schema[name] == dtype
        assert got[name].null_count() == len(PLACES)
    assert got.schema["moc.absent"] == pl.Boolean


def test_inside_counts_every_target() -> None:
    wide = OpenList(index_targets([10.0, 11.5], [20.0, 20.0], [1 / 3600, 2.0]), pl.Series("id", ["a", "b"]))
    got = watch(columns_of("x"), lambda _asked: Held({"x": wide}, {}))(batch([(10.1, 20.0), (9.0, 20.0)])).frame
    assert got["watchlist.x.id"].to_list() == ["a", "a"]
    assert got["watchlist.x.inside"].to_list() == [True, False]


def test_asked_once_a_batch_and_only_if_somebody_asks() -> None:
    calls: list[Asked] = []

    def counted(asked: Asked) -> Held:
        calls.append(asked)
        return load(asked)

    step = watch(["watchlist.hosts.sep", "watchlist.hosts.id"], counted)
    got = step(batch(PLACES)).frame
    assert got.columns[4:] == ["watchlist.hosts.sep", "watchlist.hosts.id"]
    step(batch(PLACES))
    assert len(calls) == 2
    given = batch(PLACES)
    assert watch(["mag", "gaia.sep"], counted)(given) is given
    assert len(calls) == 2


def test_a_batch_without_rows_and_one_that_has_the_columns_already() -> None:
    none = batch(PLACES)
    got = watch(columns_of("hosts"), load)(Batch("ztf", (), none.frame.clear(), 0)).frame
    assert got.schema["watchlist.hosts.inside"] == pl.Boolean
    taken = Batch("gcn", (), none.frame.with_columns(pl.lit("x").alias("moc.north")), none.frame.height)
    assert watch(["moc.north"], load)(taken).frame.schema["moc.north"] == pl.Boolean
