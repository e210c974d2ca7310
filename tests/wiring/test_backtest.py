"""A backtest finds what the live filters picked, alert for alert, maps that came later and all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from broker.errors import RefusedError
from broker.filtering.definition import FilterSpec, parse_filter
from broker.ingest.raw import Kind, Received, to_message
from broker.paths import shipped
from broker.process.associate import COLUMNS
from broker.settings import BacktestTable, LogTable, ProcessTable, Settings, StoreTable
from broker.simulate import lvk, ztf
from broker.simulate.survey import Packet
from broker.store import columns, filter_life, filters, tables
from broker.store.compaction import compact
from broker.store.engine import connection
from broker.wiring import running, simulating
from broker.wiring.backtest import Share, backtest, expected_share, refuse
from broker.wiring.explain import funnel
from broker.wiring.parts import Parts, open_parts

START = datetime(2026, 8, 1, 4, tzinfo=UTC)
OWN = {
    "anywhere": ('["ztf", "lsst"]', "in_skymap(0.99)", ""),
    "mergers": ('["ztf", "lsst"]', "gw.credible_level <= 0.9 AND mag < 21", ""),
    "deep": ('"ztf"', "gw.credible_level <= 0.5 AND candidate.rb > 0.3", ""),
    "best_of_two": ('["ztf", "lsst"]', "skymap_level('S%') < 0.7 AND (grb.credible_level < 0.9) IS NOT TRUE", ""),
    "with_tests": ('"*"', "time IS NOT NULL AND mag IS NULL", "tests = true\n"),
    "kept_by_none": ('"ztf"', "candidate.magnr < 20 AND candidate.rb > 0.3", ""),
    "risers": ('"ztf"', "lightcurve.n_det > 2 AND lightcurve.rate < 0", ""),
}


def own(name: str) -> FilterSpec:
    stream, where, more = OWN[name]
    return parse_filter(f'name = "{name}"\nversion = 2\nstream = {stream}\ndescription = "x"\n{more}where = """{where}"""\n')


def night_of_maps() -> list[Packet]:
    """A simulated night with a merger whose map gets better, and another that is taken back, each where alerts are."""
    with_galaxies = np.array([[20.0, 10.0], [310.0, -20.0]])
    night = simulating.night(11, START, 3600.0, {"ztf": 0.12, "lsst": 0.06, "gcn": 0.005}, with_galaxies)
    packets = list(night.packets())
    truth = next(truth for truth in night.truth if truth.kind == "grb")
    rng = np.random.default_rng(3)
    wrong = lvk.make_event(rng, START - timedelta(hours=2), place=(truth.ra, truth.dec), width=1.0, length=1.5)
    delays = tuple(7200.0 + delay for delay in (700.0, 1500.0, 2100.0, 2700.0, 3300.0))
    packets += lvk.notices(wrong, delays=delays, retract=True)
    mock = lvk.make_event(rng, START, place=(truth.ra, truth.dec), mock=True)
    packets += [
        packet._replace(time=packet.time + timedelta(minutes=20)) for packet in lvk.notices(mock, delays=(0, 1, 2, 3, 4))
    ]
    return sorted(packets, key=lambda packet: packet.time)


def settings(data: Path, names: Sequence[str], log: LogTable | None = None, **store: str) -> Settings:
    folder = data / "filters"
    folder.mkdir(parents=True)
    for file in shipped("filters").glob("*.toml"):
        (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
    for name in names:
        stream, where, more = OWN[name]
        text = f'name = "{name}"\nversion = 2\nstream = {stream}\ndescription = "x"\n{more}where = """{where}"""\n'
        (folder / f"{name}.toml").write_text(text, "utf-8")
    return Settings(
        filters="filters",
        log=log or LogTable(durable=False, partitions=2),
        store=StoreTable(durable=False, **store),  # type: ignore[arg-type]
        process=ProcessTable(max_records=60),
    )


def take_in(parts: Parts, packets: Sequence[Packet], slices: int) -> None:
    bounds = running.bounds(parts)
    kinds = {".json": "application/json", ".xml": "application/xml"}
    edges = np.linspace(0, len(packets), slices + 1).astype(int)
    for first, last in pairwise(edges.tolist()):
        parts.log.append(
            [
                to_message(
                    Received(packet.data, f"simulated:{packet.name}"),
                    Kind(packet.stream, kinds.get(packet.suffix, "application/avro"), ordered=packet.stream in {"gcn", "lvk"}),
                    bounds,
                )
                for packet in packets[first:last]
            ]
        )
        running.drain(parts, lambda _records: None)


def picked(parts: Parts, spec: FilterSpec) -> set[str]:
    match = tables.matches.c
    with connection(parts.store) as conn:
        rows = conn.execute(select(match.alert_id).where(match.filter == spec.name, match.version == str(spec.version)))
        return set(rows.scalars())


def later(parts: Parts, spec: FilterSpec) -> set[str]:
    """Alerts picked though no map held them when they came."""
    rows = columns.scan(parts.frames, None, ["alert_id", "skymaps"]).collect()
    return picked(parts, spec) & set(rows.filter(rows["skymaps"].is_null())["alert_id"])


@dataclass(frozen=True)
class Sky:
    parts: Parts
    packets: list[Packet]


LIVE = ("anywhere", "mergers", "deep", "best_of_two", "with_tests")


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sky]:
    data = tmp_path_factory.mktemp("backtest") / "data"
    packets = night_of_maps()
    with open_parts(settings(data, LIVE), data) as parts:
        take_in(parts, packets, 30)
        yield Sky(parts, packets)


def held(parts: Parts) -> dict[str, set[str]]:
    """What each live filter picked, held against the backtest of it."""
    found = {}
    for spec in parts.filters:
        told = backtest(parts, spec)
        assert set(told.matches) == picked(parts, spec), spec.name
        assert len(set(told.matches)) == len(told.matches) == told.matched
        found[spec.name] = set(told.matches)
    return found


def test_it_finds_what_live_filters_picked(sky: Sky) -> None:
    found = held(sky.parts)
    for name in ("anywhere", "mergers", "best_of_two", "with_tests", "ztf_bright_transients", "gw_neutron_star"):
        assert found[name], name  # or nothing was held against anything
    for name in ("anywhere", "mergers", "best_of_two"):
        spec = next(spec for spec in sky.parts.filters if spec.name == name)
        assert later(sky.parts, spec), name
        assert later(sky.parts, spec) < found[name], name


def test_maps_of_arrival_alone_would_not_do(sky: Sky) -> None:
    spec = own("mergers")
    assert spec.columns & set(COLUMNS)
    assert len(backtest(sky.parts, spec).matches) > expected_share(sky.parts, spec).matched > 0


def test_files_merged_say_the_same(tmp_path: Path) -> None:
    data = tmp_path / "data"
    packets = night_of_maps()
    parts_of = settings(data, LIVE)
    with open_parts(parts_of, data) as parts:
        take_in(parts, packets, 2)  # many alerts and all notices at once: worked off in another order than they were sent
        before = held(parts)
        merged = compact(parts.frames, 0.0, grace=0.0, durable=False)
        assert merged.merged > merged.into > 0
        assert held(parts) == before
        assert any(later(parts, spec) for spec in parts.filters)


@pytest.mark.kafka
@pytest.mark.postgres
def test_it_finds_what_live_filters_picked_on_kafka_and_postgresql(own_kafka: str, fresh_postgres: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = LogTable(engine="kafka", bootstrap_servers=own_kafka, partitions=2)
    with open_parts(settings(data, LIVE, log, url=fresh_postgres), data) as parts:
        take_in(parts, night_of_maps(), 10)
        found = held(parts)
        for name in ("anywhere", "mergers", "best_of_two"):
            spec = next(spec for spec in parts.filters if spec.name == name)
            assert later(parts, spec), name
            assert later(parts, spec) < found[name], name


def test_what_nobody_kept_comes_from_the_packets(sky: Sky, tmp_path: Path) -> None:
    """Filters that were not live find what they find where they were; of files merged from before and after too."""
    data = tmp_path / "data"
    survey = [packet for packet in sky.packets if packet.stream in {"ztf", "lsst"}]
    half = len(survey) // 2
    with open_parts(settings(data, ("kept_by_none", "risers")), data) as parts:
        for one in filters.live(parts.store):
            filter_life.retire(parts.store, one.name, one.version, "tester")
        take_in(parts, survey[:half], 2)
        for one in filters.every(parts.store):
            filter_life.go_live(parts.store, one.name, one.version, "tester", lambda _spec: None)
        take_in(parts, survey[half:], 2)
        both = {name: backtest(parts, own(name)) for name in ("kept_by_none", "risers")}
        for name, told in both.items():
            there = picked(parts, own(name))
            assert there, name
            assert there < set(told.matches)  # what came before it was live, too
            assert told.matches == backtest(sky.parts, own(name)).matches
            assert told.warnings == ()
        compact(parts.frames, 0.0, grace=0.0, durable=False)
        assert {name: backtest(parts, own(name)) for name in both} == both


def test_what_counts_is_when_alerts_were_worked_off(tmp_path: Path) -> None:
    """Alerts received before a wide map, and worked off after a narrow one has taken its place, were never held against it."""
    data = tmp_path / "data"
    survey = list(ztf.packets(5, 120, START, cutouts=False, history=2))
    with open_parts(settings(data, LIVE), data) as parts:
        take_in(parts, survey[:40], 1)
        spot = columns.scan(parts.frames, ["ztf"], ["ra", "dec"]).collect().row(0)
        event = lvk.make_event(np.random.default_rng(3), START - timedelta(hours=2), place=spot, width=0.6, length=1.0)
        take_in(parts, list(lvk.notices(event)), 4)
        kind = Kind("ztf", "application/avro")
        late = [to_message(Received(packet.data, packet.name), kind, running.bounds(parts)) for packet in survey[40:]]
        parts.log.append([replace(message, timestamp=round(START.timestamp() * 1000)) for message in late])
        running.drain(parts, lambda _records: None)
        found = held(parts)["anywhere"]
        fresh = {f"ztf:{packet.name}" for packet in survey[40:]}
        assert found & fresh
        assert found - fresh


def test_windows_are_those_of_explain(sky: Sky) -> None:
    edges = [None, *(START + timedelta(minutes=minutes) for minutes in (10, 25, 40)), None]
    for name in ("kept_by_none", "anywhere"):
        whole = backtest(sky.parts, own(name))
        found: list[str] = []
        for start, end in pairwise(edges):
            part = backtest(sky.parts, own(name), start, end)
            assert part.evaluated == funnel(sky.parts, own(name), start=start, end=end).evaluated
            found += part.matches
        assert found == list(whole.matches)
    assert funnel(sky.parts, own("kept_by_none")).matched == backtest(sky.parts, own("kept_by_none")).matched


def test_what_is_told(sky: Sky) -> None:
    told = backtest(sky.parts, own("anywhere"))
    assert (told.filter, told.version, told.since, told.until) == ("anywhere", 2, None, None)
    assert told.share == told.matched / told.evaluated
    assert sum(night.matched for night in told.nights) == told.matched == told.per_night * len(told.nights)
    assert sum(night.evaluated for night in told.nights) == told.evaluated
    assert 0 < sum(one.matched for one in told.magnitudes) < told.matched  # of a source that fades LSST gives none
    others = {spec.name: len(picked(sky.parts, spec) & set(told.matches)) for spec in sky.parts.filters}
    assert told.overlap == {name: count for name, count in others.items() if count and name != "anywhere"}
    assert {sample.alert_id for sample in told.samples} <= set(told.matches)
    assert told.samples[0].link.startswith("/alerts/")
    unkept = parse_filter('name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "(gaia.sep < 2) IS NOT TRUE"\n')
    (said,) = backtest(sky.parts, unkept).warnings
    assert said == f"gaia.sep was not kept for {backtest(sky.parts, unkept).evaluated} alerts: null for them"
    paused = backtest(sky.parts, replace(own("anywhere"), active=False))
    assert paused.matches == told.matches


def test_too_much_is_refused(sky: Sky) -> None:
    everything = parse_filter('name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "mag IS NOT NULL"\n')
    share = expected_share(sky.parts, everything)
    assert share.matched == share.evaluated > 100
    with pytest.raises(RefusedError, match=r"100\.0%.*backtest\.most_share allows 10\.0%.*--force"):
        refuse(share, sky.parts.settings)
    refuse(Share(99, 99), sky.parts.settings)
    refuse(Share(1000, 100), sky.parts.settings)
    refuse(share, Settings(backtest=BacktestTable(most_share=1.0)))
    unread = expected_share(sky.parts, own("kept_by_none"))
    assert unread == Share(*(getattr(backtest(sky.parts, own("kept_by_none")), name) for name in ("evaluated", "matched")))


@pytest.mark.data
def test_over_real_packets(data_dir: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    names = ("ztf", "lsst", "gcn/igwn", "gcn/igwn_avro", "gcn/json_schema_examples", "gcn/voevent")
    folders = [data_dir / name for name in names]
    with open_parts(settings(data, LIVE), data) as parts:
        running.ingest_paths(parts, [folder for folder in folders if folder.is_dir()], lambda _name, _count: None)
        running.drain(parts, lambda _records: None)
        found = held(parts)
        assert sum(bool(ids) for ids in found.values()) > 5
