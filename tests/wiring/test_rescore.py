"""When a map comes, changes or is taken back, alerts of before are held against it and their readers are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from broker.alert import Batch, conform
from broker.deliver.publish import encode
from broker.process.associate import associate
from broker.process.select import select
from broker.record import Message, Record
from broker.science.sky import radec_to_hpx
from broker.science.skymap import Facts, SkyMap, build, from_cone
from broker.settings import AssociateTable, LogTable, Settings, StoreTable
from broker.store import alerts, association_pages, associations, columns, live_events, matches, revisions
from broker.store.archive import Address
from broker.store.engine import connection, transaction
from broker.store.revisions import EventChange
from broker.wiring import reading
from broker.wiring.live_maps import LiveMapsNow, distances_of, keep_map
from broker.wiring.parts import Parts, open_parts
from broker.wiring.reading import Query
from broker.wiring.rescore import rescore
from consumers.alert import Alert, alert_from
from consumers.schemas import SchemaBook

T0 = datetime(2026, 8, 1, 3, 4, 5, tzinfo=UTC)
HERE, NEAR, FAR = (40.0, 10.0), (42.0, 10.0), (200.0, -60.0)
FILTERS = {
    "inside": ('"ztf"', "gw.credible_level <= 0.9", ""),
    "anything": ('["ztf", "lsst"]', "in_skymap(0.99)", 'select = ["mag", "skymap_level() AS level"]\n'),
    "bright": ('"ztf"', "mag < 19", ""),
    "bursts": ('"ztf"', "grb.credible_level < 0.99", ""),
}


@dataclass
class Sky:
    """Parts, and what was given to them."""

    parts: Parts
    offset: int = 0

    def survey(self, *places: tuple[float, float], hours: float = 1.0, **more: Any) -> list[Alert]:
        """Alerts of ZTF through associate and select, kept as the worker does; what goes out on matched topics."""
        names = [f"{self.offset + number}" for number in range(len(places))]
        ra, dec = (np.array(column, np.float64) for column in zip(*places, strict=True))
        frame = conform(
            pl.DataFrame(
                {
                    "alert_id": [f"ztf:{name}" for name in names],
                    "stream": "ztf",
                    "object_id": [f"ZTF{name}" for name in names],
                    "time": [T0 + timedelta(hours=hours)] * len(places),
                    "ra": ra,
                    "dec": dec,
                    "hpx": radec_to_hpx(ra, dec),
                    "mag": [18.0 + number for number in range(len(places))],
                    "_record": pl.Series(range(len(places)), dtype=pl.UInt32),
                    "_unit": pl.Series([0] * len(places), dtype=pl.UInt32),
                    **more,
                }
            ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
        )
        at = round((T0 + timedelta(hours=hours)).timestamp() * 1000)
        records = tuple(Record("raw.ztf", 0, self.offset + number, at, None, b"") for number in range(len(places)))
        self.offset += len(places)
        live = LiveMapsNow(self.parts)
        step = associate(live, threshold=self.parts.settings.associate.level, distances=distances_of(self.parts))
        batch = select(self.parts.filters)(step(Batch("ztf", records, frame, frame.height)))
        self.keep(batch)
        messages = encode(batch, self.parts.filters, [Address("f.avro", 0, 1)] * len(records))
        return told([message for message in messages if message.topic.startswith("matched.")])

    def keep(self, batch: Batch) -> None:
        columns.write_segment(self.parts.frames, batch, [Address("f.avro", 0, 1)] * len(batch.records), durable=False)
        ids = batch.frame["alert_id"]
        found = [matches.Match(name, "1", ids[int(row)]) for name, rows in batch.matches.items() for row in rows]
        with transaction(self.parts.store) as conn:
            alerts.write(conn, batch.frame, batch.records, ())
            associations.write(conn, batch.frame, distances_of(self.parts), live_events.version(self.parts.store))
            matches.write(conn, found)

    def notice(
        self,
        number: int,
        skymap: SkyMap | None = None,
        *,
        event: str = "S260801a",
        messenger: str = "GW",
        kind: str = "update",
        tense: str = "current",
    ) -> list[EventChange]:
        """A notice of an event, in the database."""
        alert_id = f"lvk:{event}-{number}"
        frame = conform(
            pl.DataFrame(
                {
                    "alert_id": [alert_id],
                    "stream": ["lvk"],
                    "event_name": [event],
                    "messenger": [messenger],
                    "alert_type": [kind],
                    "alert_tense": [tense],
                    "time": [T0],
                    "_record": pl.Series([0], dtype=pl.UInt32),
                    "_unit": pl.Series([0], dtype=pl.UInt32),
                }
            ).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))
        )
        record = Record("raw.lvk", 0, number, round(T0.timestamp() * 1000) + number, None, b"")
        maps = {alert_id: keep_map(self.parts, event, alert_id, skymap)} if skymap is not None else {}
        with transaction(self.parts.store) as conn:
            alerts.write(conn, frame, [record], ())
            return revisions.upsert_notices(conn, frame, [record], maps)

    def comes(self, number: int, skymap: SkyMap | None = None, **more: Any) -> list[Alert]:
        return told(rescore(self.parts, self.notice(number, skymap, **more)))

    def rows(self, event: str = "S260801a") -> dict[str, dict[str, Any]]:
        with connection(self.parts.store) as conn:
            return {row["alert_id"]: row for row in associations.of_event(conn, event).iter_rows(named=True)}

    def states(self) -> dict[str, str]:
        return {name: row["state"] for name, row in self.rows().items()}


def told(messages: Sequence[Message]) -> list[Alert]:
    book = SchemaBook(None, None)
    return [alert_from(book.read(message.value), topic=message.topic, headers=message.headers) for message in messages]


def brief(found: Sequence[Alert]) -> set[tuple[str, str, str | None]]:
    return {(alert.topic.removeprefix("matched."), alert.alert_id, alert.update) for alert in found}


def write_filters(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, (stream, where, more) in FILTERS.items():
        text = f'name = "{name}"\nversion = 1\nstream = {stream}\ndescription = "x"\nwhere = "{where}"\n{more}'
        (folder / f"{name}.toml").write_text(text)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("fresh_postgres"))


@contextmanager
def opened(data: Path, url: str, **table: Any) -> Iterator[Sky]:
    write_filters(data / "filters")
    settings = Settings(
        filters="filters",
        store=StoreTable(url=url, durable=False),
        log=LogTable(durable=False),
        associate=AssociateTable(**table),
    )
    with open_parts(settings, data) as parts:
        yield Sky(parts)


@pytest.fixture
def sky(tmp_path: Path, url: str) -> Iterator[Sky]:
    with opened(tmp_path / "data", url) as made:
        yield made


def test_a_map_is_held_against_recent_alerts(sky: Sky) -> None:
    assert brief(sky.survey(HERE, NEAR, FAR)) == {("bright", "ztf:0", None)}
    sky.survey(HERE, hours=-1.0)  # before the event
    found = sky.comes(1, from_cone(*HERE, 3.0))
    assert brief(found) == {
        ("inside", "ztf:0", "rescored"),
        ("inside", "ztf:1", "rescored"),
        ("anything", "ztf:0", "rescored"),
        ("anything", "ztf:1", "rescored"),
    }
    assert {alert.update_event for alert in found} == {"S260801a"}
    levels = {alert.alert_id: alert.skymaps[0] for alert in found}
    assert levels["ztf:0"].credible_level < levels["ztf:1"].credible_level < 0.9
    assert levels["ztf:0"].dt == 3600.0
    assert levels["ztf:0"].revision == 1
    assert sky.states() == {"ztf:0": "live", "ztf:1": "live"}
    first = next(alert for alert in found if alert.topic == "matched.inside")
    assert (first.archive.file, first.mag, first.object_id) == ("f.avro", 18.0, "ZTF0")
    assert first.annotations["gw.event"] == "S260801a"
    plain = next(alert for alert in found if alert.topic == "matched.anything" and alert.alert_id == "ztf:0")
    assert plain.annotations == {"level": levels["ztf:0"].credible_level}
    assert {match["filter"] for match in alerts.get(sky.parts.store, "ztf:1")["matches"]} == {"inside", "anything"}


def test_alerts_enter_leave_and_change(sky: Sky) -> None:
    sky.notice(1, from_cone(*HERE, 3.0))
    first = sky.survey(HERE, NEAR, FAR)
    assert ("inside", "ztf:1", None) in brief(first)
    assert sky.states() == {"ztf:0": "live", "ztf:1": "live"}
    before = sky.rows()["ztf:0"]["credible_level"]

    found = sky.comes(2, from_cone(39.0, 10.0, 2.0))
    assert brief(found) == {
        ("inside", "ztf:0", "rescored"),
        ("anything", "ztf:0", "rescored"),
        ("inside", "ztf:1", "retracted"),
        ("anything", "ztf:1", "retracted"),
    }
    rows = sky.rows()
    assert (rows["ztf:0"]["state"], rows["ztf:0"]["revision"], rows["ztf:0"]["previous_level"]) == ("live", 2, before)
    assert rows["ztf:1"]["state"] == "left"
    assert rows["ztf:1"]["credible_level"] > 0.99
    assert all(alert.skymaps == () for alert in found if alert.alert_id == "ztf:1")
    shown = alerts.get(sky.parts.store, "ztf:0")
    assert shown["skymaps"][0]["revision"] == 2
    assert shown["annotations"]["gw.credible_level"] == rows["ztf:0"]["credible_level"]
    assert alerts.get(sky.parts.store, "ztf:1")["skymaps"] == []

    assert brief(sky.comes(3, from_cone(39.0, 10.0, 2.0))) == set()  # the same again changes nothing
    back = sky.comes(4, from_cone(*HERE, 3.0))
    assert ("inside", "ztf:1", "rescored") in brief(back)
    assert sky.states() == {"ztf:0": "live", "ztf:1": "live"}


def test_told_though_the_filter_no_longer_picks_it(sky: Sky) -> None:
    sky.notice(1, from_cone(*HERE, 3.0))
    sky.survey(HERE)
    found = sky.comes(2, from_cone(43.4, 10.0, 3.0))  # 3.3 degrees off: beyond 0.9, within 0.99
    assert brief(found) == {("inside", "ztf:0", "rescored"), ("anything", "ztf:0", "rescored")}
    assert all(0.9 < alert.skymaps[0].credible_level < 0.99 for alert in found)


def test_a_retraction_is_told_to_all_who_were_told(sky: Sky) -> None:
    sky.notice(1, from_cone(*HERE, 3.0))
    sky.survey(HERE, FAR)
    found = sky.comes(2, kind="retraction")
    assert brief(found) == {("inside", "ztf:0", "retracted"), ("anything", "ztf:0", "retracted")}
    assert sky.states() == {"ztf:0": "retracted"}
    assert sky.comes(3, from_cone(*HERE, 3.0)) == []  # a retraction is final
    assert sky.states() == {"ztf:0": "retracted"}


def test_a_retraction_before_its_event(sky: Sky) -> None:
    sky.survey(HERE)
    assert sky.comes(1, kind="retraction") == []
    assert sky.comes(2, from_cone(*HERE, 3.0)) == []
    assert sky.states() == {}


def test_a_batch_done_again_tells_the_same(sky: Sky) -> None:
    sky.survey(HERE, NEAR, FAR)
    for number, skymap, kind in (
        (1, from_cone(*HERE, 3.0), "initial"),
        (2, from_cone(39.0, 10.0, 2.0), "update"),
        (3, None, "retraction"),
    ):
        changes = sky.notice(number, skymap, kind=kind)
        once, rows = rescore(sky.parts, changes), sky.rows()
        assert once
        again = rescore(sky.parts, sky.notice(number, skymap, kind=kind))
        assert [(m.topic, m.key, m.value, m.headers) for m in again] == [(m.topic, m.key, m.value, m.headers) for m in once]
        assert sky.rows() == rows


def test_notices_of_one_batch_count_as_one_change(sky: Sky) -> None:
    sky.survey(HERE, NEAR)
    changes = sky.notice(1, from_cone(*NEAR, 1.0)) + sky.notice(2, from_cone(*HERE, 1.0))
    found = told(rescore(sky.parts, changes))
    assert brief(found) == {("inside", "ztf:0", "rescored"), ("anything", "ztf:0", "rescored")}
    assert sky.rows()["ztf:0"]["revision"] == 2
    assert told(rescore(sky.parts, changes)) == found


def test_a_survey_batch_done_again_does_not_undo_a_newer_map(sky: Sky) -> None:
    sky.notice(1, from_cone(*HERE, 3.0))
    old = LiveMapsNow(sky.parts)
    old(T0, T0 + timedelta(hours=1))
    sky.survey(HERE)
    sky.comes(2, from_cone(41.0, 10.0, 3.0))
    assert old.changed()
    assert not old.changed()
    newer = sky.rows()["ztf:0"]
    frame = pl.DataFrame({"alert_id": ["ztf:0"], "event_name": ["S260801a"], "revision": [1], "credible_level": [0.5]})
    with transaction(sky.parts.store) as conn:
        late = frame.with_columns(
            pl.lit("live").alias("state"), density=pl.lit(1.0), dt=pl.lit(0.0), hpx=pl.lit(1), time=pl.lit(1)
        )
        associations.upsert_rows(conn, late, live_events.version(sky.parts.store) - 1)
    assert sky.rows()["ztf:0"] == newer


@pytest.mark.parametrize("tests", [False, True])
def test_maps_of_tests_count_only_if_told_so(tmp_path: Path, tests: bool) -> None:
    with opened(tmp_path / "data", "", tests=tests) as sky:
        sky.survey(HERE)
        found = sky.comes(1, from_cone(*HERE, 3.0), event="MS260801a", tense="test")
        later = [alert for alert in sky.survey(HERE) if alert.topic == "matched.inside"]
        assert bool(found) is bool(later) is tests


def test_only_filters_that_ask_for_such_maps_are_told(sky: Sky) -> None:
    sky.survey(HERE)
    found = sky.comes(1, from_cone(*HERE, 3.0), event="GRB 260801A", messenger="EM")
    assert brief(found) == {("bursts", "ztf:0", "rescored"), ("anything", "ztf:0", "rescored")}
    both = sky.comes(1, from_cone(*HERE, 5.0))
    assert brief(both) == {("inside", "ztf:0", "rescored"), ("anything", "ztf:0", "rescored")}
    assert {level.event for alert in both for level in alert.skymaps} == {"S260801a", "GRB 260801A"}


def test_messages_are_bounded(tmp_path: Path) -> None:
    with opened(tmp_path / "data", "", most_updates=3) as sky:
        sky.survey(HERE, (40.2, 10.0), (40.4, 10.0))
        found = sky.comes(1, from_cone(*HERE, 3.0))
        assert [alert.alert_id for alert in found].count("ztf:0") == 2
        assert len(found) == 3
        assert len(sky.rows()) == 3


def test_an_alert_that_the_database_does_not_have_yet(sky: Sky) -> None:
    """Frames can be there before the rows, when another process is amid its batch."""
    sky.survey(HERE)
    with transaction(sky.parts.store) as conn:
        conn.exec_driver_sql("DELETE FROM alerts")
    assert sky.comes(1, from_cone(*HERE, 3.0)) == []
    assert sky.states() == {"ztf:0": "live"}


def test_of_many_events_at_once_those_with_alerts_in_their_time_are_looked_at(sky: Sky) -> None:
    sky.survey(HERE)
    with transaction(sky.parts.store) as conn:
        conn.exec_driver_sql("DELETE FROM alerts")
    changes = [change for number in range(1, 9) for change in sky.notice(number, event=f"S26090{number}a")]
    with transaction(sky.parts.store) as conn:  # long before any alert
        conn.exec_driver_sql("UPDATE events SET time = 0")
    changes += sky.notice(9, from_cone(*HERE, 3.0))
    rescore(sky.parts, changes)
    assert sky.states() == {"ztf:0": "live"}


def test_queries_ask_what_is_so_now_whichever_came_first(sky: Sky) -> None:
    def found(where: str) -> list[tuple[Any, ...]]:
        asked = Query(where, columns=("gw.event", "gw.credible_level", "grb.event"))
        return reading.query(sky.parts, asked).select("alert_id", *asked.columns).rows()

    sky.survey(HERE, (40.0, 30.0))
    sky.notice(1, from_cone(*HERE, 3.0))
    assert found("in_skymap('S260801a', 0.9)") == []  # not held against it yet
    sky.comes(2, from_cone(*HERE, 3.0))
    (row,) = found("in_skymap('S260801a', 0.9)")
    assert row[:2] == ("ztf:0", "S260801a")
    assert row[2] < 0.1
    assert found("gw.credible_level < 0.9") == [row]
    assert found("skymap_level('GRB%') < 0.9") == []
    assert [each[0] for each in found("gw.event IS NULL")] == ["ztf:1"]
    sky.comes(3, kind="retraction")
    assert found("in_skymap('S260801a', 0.9)") == []


def deep(skymap: SkyMap, mean: float, spread: float) -> SkyMap:
    """The map with one distance all over: p(r) = norm r² N(r; mean, spread)."""
    size = skymap.start.size
    norm = 1.0 / (mean**2 + spread**2)
    distances = (np.full(size, mean), np.full(size, spread), np.full(size, norm))
    return build(skymap.start, skymap.stop, skymap.density, Facts(), distances)


def test_distance_tells_apart_what_the_sky_cannot(sky: Sky) -> None:
    pytest.importorskip("broker.science.volume")
    redshifts = {"diaObject.hostgal_z": [0.0224, 0.3, None]}  # 100 Mpc, 1600 Mpc, unknown
    skymap = deep(from_cone(*HERE, 3.0), 100.0, 15.0)
    sky.notice(1, skymap)
    sky.survey(HERE, HERE, HERE, **redshifts)
    rows = sky.rows()
    right, wrong, unknown = (rows[f"ztf:{number}"] for number in range(3))
    assert right["credible_level"] == wrong["credible_level"]
    assert right["volume_level"] < 0.5
    assert wrong["volume_level"] > 0.99
    assert unknown["volume_level"] is unknown["distance"] is None
    assert right["distance"] == pytest.approx(100.0, rel=0.02)
    found = sky.comes(2, deep(from_cone(*HERE, 3.0), 1600.0, 100.0))  # the same sky, another distance
    assert {alert.alert_id for alert in found} == {"ztf:0", "ztf:1"}
    now = {alert.alert_id: alert.skymaps[0].volume_level for alert in found}
    assert now["ztf:0"] > 0.99
    assert now["ztf:1"] < 0.6


def test_associations_follow_an_event_that_gets_another_name(sky: Sky) -> None:
    sky.notice(1, from_cone(*HERE, 3.0))
    sky.survey(HERE, NEAR)
    with transaction(sky.parts.store) as conn:
        one = associations.of_event(conn, "S260801a").head(1).with_columns(pl.lit("GW260801A").alias("event_name"))
        associations.upsert_rows(conn, one, 1)
        associations.renamed(conn, "S260801a", "GW260801A")
        assert associations.stale(conn, "GW260801A", 2)
        assert not associations.stale(conn, "GW260801A", 1)
    assert sky.rows() == {}
    assert set(sky.rows("GW260801A")) == {"ztf:0", "ztf:1"}


def test_pages_of_an_events_alerts(sky: Sky) -> None:
    places = [(40.0 + 0.3 * number, 10.0) for number in range(12)]
    sky.notice(1, from_cone(*HERE, 3.0))
    sky.survey(*places)
    whole = association_pages.page(sky.parts.store, "S260801a", limit=100)
    assert [row["alert_id"] for row in whole.alerts] == [f"ztf:{number}" for number in range(len(whole.alerts))]
    assert whole.cursor is None
    paged, cursor = [], None
    while True:
        page = association_pages.page(sky.parts.store, "S260801a", limit=5, cursor=cursor)
        paged += page.alerts
        cursor = page.cursor
        if cursor is None:
            break
    assert paged == whole.alerts
    inner = association_pages.page(sky.parts.store, "S260801a", level=0.5).alerts
    assert 0 < len(inner) < len(paged)
    assert all(row["credible_level"] <= 0.5 for row in inner)
    assert (inner[0]["object_id"], inner[0]["mag"], inner[0]["time"]) == ("ZTF0", 18.0, T0 + timedelta(hours=1))


def test_matches_of_several_filters_show_the_maps_of_now(sky: Sky) -> None:
    sky.notice(1, from_cone(*HERE, 3.0))
    sky.survey(HERE)
    sky.comes(2, from_cone(41.0, 10.0, 3.0))
    found = matches.latest(sky.parts.store)
    assert {match["filter"] for match in found} == {"inside", "anything", "bright"}
    assert {match["alert"]["skymaps"][0]["revision"] for match in found} == {2}


def test_the_event_is_asked_for_once_for_each_state(sky: Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = live_events.live_maps

    def counted(*args: Any, **more: Any) -> Any:
        asked.append(args)
        return real(*args, **more)

    monkeypatch.setattr(live_events, "live_maps", counted)
    live = LiveMapsNow(sky.parts)
    sky.notice(1, from_cone(*HERE, 3.0))
    for hours in range(5):
        assert len(live(T0 + timedelta(hours=hours), T0 + timedelta(hours=hours + 1))) == 1
    assert len(asked) == 1
    sky.notice(2, from_cone(*HERE, 2.0))
    assert live(T0, T0)[0].revision == 2
    assert len(asked) == 2
    assert live(T0 + timedelta(days=20), T0 + timedelta(days=20)) == []
