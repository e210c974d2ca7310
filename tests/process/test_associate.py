"""Alerts are associated with the maps they lie in, in space and in time, best first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from broker.alert import Batch, conform
from broker.process.associate import COLUMNS, LiveMap, associate, kind_of
from broker.science.sky import radec_to_hpx
from broker.science.skymap import SkyMap, from_cone, levels_at

T0 = datetime(2026, 8, 1, 3, 4, 5, 678901, tzinfo=UTC)
WIDE, NARROW, FAR = from_cone(40.0, 10.0, 15.0), from_cone(41.0, 11.0, 3.0), from_cone(200.0, -60.0, 5.0)


def live(event: str, skymap: SkyMap, messenger: str = "GW", *, revision: int = 1, time: datetime = T0) -> LiveMap:
    return LiveMap(event, revision, messenger, time, (-3600.0, 86400.0), skymap)


def batch(*rows: tuple[float | None, float | None, datetime | None], event_name: str | None = None) -> Batch:
    hpx = [None if ra is None or dec is None else int(radec_to_hpx(ra, dec)) for ra, dec, _ in rows]
    frame = pl.DataFrame(
        {
            "alert_id": [f"a{i}" for i in range(len(rows))],
            "time": pl.Series([time for _, _, time in rows], dtype=pl.Datetime("us", "UTC")),
            "ra": pl.Series([ra for ra, _, _ in rows], dtype=pl.Float64),
            "dec": pl.Series([dec for _, dec, _ in rows], dtype=pl.Float64),
            "hpx": pl.Series(hpx, dtype=pl.Int64),
            "event_name": pl.Series([event_name] * len(rows), dtype=pl.String),
        }
    )
    return Batch("ztf", (), conform(frame), len(rows))


def associated(given: Batch, maps: Sequence[LiveMap], **options: float) -> pl.DataFrame:
    got = associate(lambda _start, _end: maps, **options)(given)
    assert got.frame.columns == [*given.frame.columns, *COLUMNS]
    assert {name: got.frame.schema[name] for name in COLUMNS} == COLUMNS
    assert got.frame["alert_id"].to_list() == given.frame["alert_id"].to_list()
    return got.frame


def test_levels_densities_and_offsets() -> None:
    later = T0 + timedelta(seconds=1800.25)
    frame = associated(
        batch((200.0, 60.0, later), (41.0, 11.0, later)), [live("S1", WIDE), live("S2", NARROW), live("S3", FAR)]
    )
    assert frame["skymaps"][0] is None
    found = frame["skymaps"][1].to_list()
    assert [each["event"] for each in found] == ["S2", "S1"]
    for each, skymap in zip(found, (NARROW, WIDE), strict=True):
        level, density = levels_at(skymap, radec_to_hpx([41.0], [11.0]))
        assert (each["credible_level"], each["density"]) == (level[0], density[0])
        assert each["dt"] == 1800.25
        assert each["revision"] == 1
    assert frame["gw.event"].to_list() == [None, "S2"]
    assert frame["gw.credible_level"][1] == found[0]["credible_level"]
    assert frame["gw.dt"][1] == 1800.25


def test_windows_hold_both_their_ends() -> None:
    offsets = [-3600.000001, -3600.0, 0.0, 86400.0, 86400.000001]
    frame = associated(batch(*((40.0, 10.0, T0 + timedelta(seconds=offset)) for offset in offsets)), [live("S1", WIDE)])
    assert frame["gw.event"].to_list() == [None, "S1", "S1", "S1", None]
    assert frame["gw.dt"].to_list() == [None, *offsets[1:4], None]


def test_best_of_each_kind() -> None:
    maps = [
        live("S1", WIDE),
        live("GRB 1", WIDE, "EM"),
        live("GRB 2", NARROW, "EM"),
        live("IC1", NARROW, "Neutrino"),
        live("other", NARROW, "CosmicRay"),
    ]
    row = associated(batch((41.0, 11.0, T0)), maps).row(0, named=True)
    assert (row["gw.event"], row["grb.event"], row["neutrino.event"]) == ("S1", "GRB 2", "IC1")
    assert [each["event"] for each in row["skymaps"]] == ["GRB 2", "IC1", "other", "S1", "GRB 1"]
    assert [kind_of(name) for name in ("GW", "EM", "Neutrino", "", "CosmicRay")] == ["gw", "grb", "neutrino", None, None]


def test_threshold() -> None:
    given = batch((40.0, 22.0, T0))
    level, _ = levels_at(WIDE, given.frame["hpx"].to_numpy())
    assert 0.7 < level[0] < 0.9
    assert associated(given, [live("S1", WIDE)], threshold=0.9)["gw.event"].to_list() == ["S1"]
    assert associated(given, [live("S1", WIDE)], threshold=0.5)["gw.event"].to_list() == [None]


def test_alerts_without_position_or_time_and_the_events_own_map() -> None:
    frame = associated(batch((None, None, T0), (40.0, 10.0, None), (40.0, 10.0, T0)), [live("S1", WIDE)])
    assert frame["gw.event"].to_list() == [None, None, "S1"]
    own = associated(batch((40.0, 10.0, T0), event_name="S1"), [live("S1", WIDE), live("S2", WIDE)])
    assert [each["event"] for each in own["skymaps"][0]] == ["S2"]
    alone = associated(batch((40.0, 10.0, T0), event_name="S1"), [live("S1", WIDE)])
    assert alone["skymaps"].to_list() == [None]


def test_no_maps_no_alerts_no_times() -> None:
    asked: list[tuple[datetime, datetime]] = []

    def maps(start: datetime, end: datetime) -> list[LiveMap]:
        asked.append((start, end))
        return [live("S1", WIDE)]

    assert associate(maps)(batch()).frame.height == 0
    assert associate(maps)(batch((40.0, 10.0, None))).frame["skymaps"].to_list() == [None]
    assert asked == []
    associate(maps)(batch((40.0, 10.0, T0), (40.0, 10.0, None), (40.0, 10.0, T0 - timedelta(days=1))))
    assert asked == [(T0 - timedelta(days=1), T0)]
    assert associated(batch((40.0, 10.0, T0)), [])["skymaps"].to_list() == [None]


def test_revised_and_retracted_maps_count_from_the_next_batch() -> None:
    now = [live("S1", WIDE)]
    step = associate(lambda _start, _end: list(now))
    given = batch((41.0, 11.0, T0))
    first = step(given).frame["gw.credible_level"][0]
    now[:] = [live("S1", NARROW, revision=2)]
    second = step(given).frame
    assert second["skymaps"][0].to_list()[0]["revision"] == 2
    assert second["gw.credible_level"][0] < first
    now[:] = [live("S1", NARROW, revision=2, time=T0 + timedelta(hours=1))]
    assert step(given).frame["gw.dt"].to_list() == [-3600.0]
    now.clear()
    assert step(given).frame["gw.event"].to_list() == [None]


def test_more_maps_than_bits_in_a_word() -> None:
    maps = [live(f"S{i:03}", from_cone(i * 2.0, 0.0, 5.0)) for i in range(150)]
    frame = associated(batch((258.0, 0.0, T0)), maps)
    expected = [m.event for m in maps if levels_at(m.skymap, frame["hpx"].to_numpy())[0][0] <= 0.99]
    found = [each["event"] for each in frame["skymaps"][0]]
    assert set(expected) <= set(found) <= {m.event for m in maps if levels_at(m.skymap, frame["hpx"].to_numpy())[0][0] <= 0.995}
    assert found[0] == "S129"


@pytest.mark.parametrize("naive", [True, False])
def test_times_of_maps_are_utc(naive: bool) -> None:
    time = T0.replace(tzinfo=None) if naive else T0
    assert associated(batch((40.0, 10.0, T0)), [live("S1", WIDE, time=time)])["gw.dt"].to_list() == [0.0]
