"""Events of different messengers that are near in time: found, weighed, told, taken back, on both databases."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from broker.alert import EVENT_DTYPE, conform
from broker.record import Message, Record
from broker.science.circle import Circle
from broker.science.overlap import combine, overlap
from broker.science.skymap import SkyMap, area, build, from_cone
from broker.settings import CoincidencesTable, LogTable, Settings, StoreTable
from broker.store import alerts, coincidences, revisions
from broker.store.coincidences import DISJOINT, LIVE, RETRACTED
from broker.store.engine import transaction
from broker.store.revisions import EventChange
from broker.wiring.coincide import coincide
from broker.wiring.live_maps import keep_map, load_map
from broker.wiring.parts import Parts, open_parts
from consumers.schemas import SchemaBook

T0 = datetime(2026, 8, 1, 3, 4, 5, tzinfo=UTC)
YEAR = 365 * 86_400.0
HERE = (40.0, 10.0)


@dataclass
class Sky:
    """Parts, and what was given to them."""

    parts: Parts
    number: Iterator[int] = field(default_factory=itertools.count)

    def notice(
        self, event: str, messenger: str = "EM", after: float = 0.0, skymap: SkyMap | Circle | None = None, **more: Any
    ) -> list[EventChange]:
        """A notice of an event so many seconds after `T0`, in the database."""
        number = next(self.number)
        stated = {"names": [event], "type": None, "search_group": None, "search": None}
        stated |= {name: more.pop(name) for name in list(more) if name in EVENT_DTYPE.to_schema()}
        missions = {"GW": "LVK", "Neutrino": "IceCube", "EM": "Fermi"}
        row = {
            "alert_id": f"test:{event}-{number}",
            "stream": "gcn",
            "event_name": event,
            "messenger": messenger,
            "mission": missions.get(messenger),
            "alert_type": "initial",
            "alert_tense": "current",
            "time": T0 + timedelta(seconds=after),
            **more,
        }
        frame = conform(pl.DataFrame([row]).with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))).with_columns(
            pl.Series("_event", [{name: stated.get(name) for name in EVENT_DTYPE.to_schema()}], EVENT_DTYPE),
            pl.Series("_record", [0], pl.UInt32),
            pl.Series("_unit", [0], pl.UInt32),
        )
        record = Record("raw.gcn", 0, number, round(T0.timestamp() * 1000) + number, None, b"")
        alert_id = row["alert_id"]
        maps = {alert_id: keep_map(self.parts, event, alert_id, skymap)} if skymap is not None else {}
        with transaction(self.parts.store) as conn:
            alerts.write(conn, frame, [record], ())
            return revisions.upsert_notices(conn, frame, [record], maps)

    def comes(self, event: str, messenger: str = "EM", after: float = 0.0, **more: Any) -> list[dict[str, Any]]:
        return told(coincide(self.parts, self.notice(event, messenger, after, **more)))

    def gw(self, after: float = 0.0, **more: Any) -> list[dict[str, Any]]:
        given = {"far": 1e-9, "search_group": "CBC", "search": "AllSky", "classification": "BNS"}
        return self.comes("S260801a", "GW", after, **(given | more))

    def grb(self, after: float = 2.0, **more: Any) -> list[dict[str, Any]]:
        return self.comes("GRB 260801A", "EM", after, **more)

    def now(self) -> list[dict[str, Any]]:
        return coincidences.list_coincidences(self.parts.store).coincidences


def told(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """What went out on ``coincidences``; each has its counterpart on ``raw.coincidence``."""
    book = SchemaBook(None, None)
    records = [message for message in messages if message.topic == "coincidences"]
    raw = [json.loads(message.value)["coincidence"] for message in messages if message.topic == "raw.coincidence"]
    found = [book.read(message.value) for message in records]
    assert [(each["id"], each["revision"]) for each in raw] == [(each["id"], each["revision"]) for each in found]
    for message, each in zip(records, found, strict=True):
        assert message.key == each["event"]["event_name"].encode()
    return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Sky]]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")
    with ExitStack() as stack:

        def opened(**table: Any) -> Sky:
            settings = Settings(
                log=LogTable(durable=False), store=StoreTable(url=url, durable=False), coincidences=CoincidencesTable(**table)
            )
            return Sky(stack.enter_context(open_parts(settings, tmp_path / "data")))

        yield opened


@pytest.fixture
def sky(make: Callable[..., Sky]) -> Sky:
    return make()


@pytest.mark.parametrize("first", ["gw", "grb"])
def test_found_whichever_comes_last(sky: Sky, first: str) -> None:
    one, other = (sky.gw, sky.grb) if first == "gw" else (sky.grb, sky.gw)
    assert one() == []
    (found,) = other()
    assert found["id"] == "S260801a+GRB_260801A"
    assert (found["revision"], found["state"], found["real"]) == (1, LIVE, True)
    assert (found["event"]["name"], found["event"]["messenger"], found["event"]["revision"]) == ("S260801a", "GW", 1)
    assert (found["external"]["name"], found["external"]["kind"]) == ("GRB 260801A", "grb")
    assert found["dt"] == 2.0
    assert (found["window"], found["window_from"], found["window_to"]) == ("grb_cbc", -1.0, 5.0)
    assert found["far_temporal"] == pytest.approx(6.0 * 325 / YEAR * 1e-9)
    assert (found["far_space_time"], found["overlap"], found["publishable"]) == (None, None, False)


def test_light_and_neutrino(sky: Sky) -> None:
    sky.comes("IceCube-260801A", "Neutrino", far=2.0 / YEAR)
    (found,) = sky.grb(-300.0)
    assert (found["event"]["kind"], found["external"]["kind"], found["dt"]) == ("neutrino", "grb", -300.0)
    assert found["far_temporal"] == pytest.approx(1000.0 * 325 / YEAR * 2.0 / YEAR)
    sky.comes("IceCube-260801B", "Neutrino", 1.0)
    (other,) = coincidences.list_coincidences(sky.parts.store, event="IceCube-260801B").coincidences
    assert other["far_temporal"] == pytest.approx(1000.0 * 325 / YEAR * 15 / YEAR)


def test_with_both_maps(sky: Sky) -> None:
    wide, narrow = from_cone(*HERE, 12.0), Circle(42.0, 11.0, 3.0, 0.9)
    sky.gw(skymap=wide, far=1e-8)
    (found,) = sky.grb(skymap=narrow)
    circle = from_cone(42.0, 11.0, 3.0)
    expected, both = overlap(wide, circle), combine(wide, circle)
    assert found["overlap"] == pytest.approx(expected)
    assert found["far_space_time"] == pytest.approx(found["far_temporal"] / expected)
    assert found["publishable"]
    assert found["area90"] == pytest.approx(area(both, 0.9))
    assert (found["ra"], found["dec"]) == (pytest.approx(41.9, abs=0.5), pytest.approx(10.9, abs=0.5))
    (row,) = sky.now()
    kept = load_map(sky.parts, row["map_path"])
    assert kept.start.tolist() == both.start.tolist()
    assert kept.density.tolist() == both.density.tolist()


def test_a_supernova_stands_for_itself(sky: Sky) -> None:
    sky.comes("SNEWS 1", "Neutrino", mission="SNEWS")
    (found,) = sky.gw(far=1e-6)  # 7 trials: 0.6 a day
    assert (found["far_temporal"], found["publishable"]) == (None, True)
    assert "supernova" in found["message"]
    (later,) = sky.gw(far=2e-6)
    assert not later["publishable"]


def test_targeted_by_its_own_formula_though_it_is_kept_with_the_event_it_followed(sky: Sky) -> None:
    guano = {"mission": "Swift", "instrument": "BAT-GUANO", "names": ["Swift 7100"], "refers": ["S260801a"], "far": 1e-5}
    assert sky.gw(far=1e-7) == []
    (found,) = sky.comes("Swift 7100", after=3.0, **guano)
    assert found["id"] == "S260801a+Swift_7100"
    assert (found["external"]["event_name"], found["external"]["name"]) == ("S260801a", "Swift 7100")
    z, most = 30.0 * 1e-7 * 1e-5, 30.0 * 16 / 86_400 * 1e-3
    assert found["far_temporal"] == pytest.approx(z * (1 - math.log(z / most)))
    (gone,) = sky.comes("Swift 7100", after=3.0, alert_type="retraction", **guano)
    assert (gone["state"], gone["revision"]) == (RETRACTED, 2)


def test_a_follow_up_alone_is_no_detection_of_what_it_followed(sky: Sky) -> None:
    """Searches at the time of a superevent can be told before it."""
    guano = {"mission": "Swift", "instrument": "BAT-GUANO", "names": ["Swift 7100"], "refers": ["S260801a"], "far": 1e-5}
    assert sky.comes("S260801a", after=1.0, **guano) == []
    assert sky.comes("S260801a", "Neutrino", after=2.0, type="icecube.lvk_nu_track_search") == []
    assert sky.now() == []
    (found,) = sky.gw(far=1e-7)
    assert found["id"] == "S260801a+Swift_7100"


def test_a_burst_whose_first_notice_was_a_hasty_position(sky: Sky) -> None:
    assert sky.comes("Swift 9", mission="Swift", type="SWIFT_BAT_QL_POS") == []
    assert sky.comes("Swift 9", mission="Swift", type="SWIFT_BAT_GRB_POS_ACK") == []
    (found,) = sky.gw(-1.0)
    assert (found["window"], found["dt"]) == ("grb_cbc", 1.0)


def test_near_in_time_on_other_sides_of_the_sky(sky: Sky) -> None:
    sky.gw(skymap=cap(0))
    (found,) = sky.grb(skymap=cap(5))
    assert (found["state"], found["overlap"], found["far_space_time"]) == (DISJOINT, 0.0, None)
    assert "do not overlap" in found["message"]
    assert not found["publishable"]
    (again,) = sky.grb(skymap=from_cone(*HERE, 20.0), alert_type="update")
    assert (again["state"], again["revision"], again["message"]) == (LIVE, 2, None)


def cap(base: int) -> SkyMap:
    """One of the twelve base cells, and nothing else."""
    width = 1 << 58
    return build(np.array([base * width]), np.array([(base + 1) * width]), np.array([12 / (4 * np.pi)]))


def test_a_revised_event_revises_its_coincidence(sky: Sky) -> None:
    sky.gw(skymap=from_cone(*HERE, 12.0))
    (first,) = sky.grb(skymap=from_cone(*HERE, 9.0))
    (second,) = sky.grb(2.5, skymap=from_cone(*HERE, 3.0), alert_type="update")
    assert second["id"] == first["id"]
    assert (second["revision"], second["external"]["revision"], second["dt"]) == (2, 2, 2.5)
    assert second["overlap"] > first["overlap"]
    assert sky.grb(2.5, alert_type="update") == []  # nothing new
    whole = coincidences.get_coincidence(sky.parts.store, first["id"])
    assert [row["revision"] for row in whole["revisions"]] == [1, 2]
    assert [row["revision"] for row in sky.now()] == [2]


def test_a_retraction_is_told(sky: Sky) -> None:
    sky.gw()
    sky.grb()
    (gone,) = sky.gw(alert_type="retraction")
    assert (gone["state"], gone["revision"], gone["message"]) == (RETRACTED, 2, "S260801a retracted")
    assert sky.grb(alert_type="update") == []
    assert sky.gw(1.0) == []


def test_a_time_put_right_makes_it_none(sky: Sky) -> None:
    sky.gw()
    sky.grb()
    (gone,) = sky.grb(100.0, alert_type="update")
    assert gone["state"] == RETRACTED
    assert "no coincidence" in gone["message"]
    (back,) = sky.grb(1.0, alert_type="update")
    assert (back["state"], back["revision"], back["id"]) == (LIVE, 3, gone["id"])


def test_a_batch_done_again_says_the_same(sky: Sky) -> None:
    sky.gw(skymap=from_cone(*HERE, 12.0))
    changes = sky.notice("GRB 260801A", after=2.0, skymap=from_cone(*HERE, 3.0))
    first = coincide(sky.parts, changes)
    assert len(first) == 2
    assert coincide(sky.parts, changes) == first
    later = sky.grb(2.5, alert_type="update")
    assert [each["revision"] for each in later] == [2]
    assert coincide(sky.parts, changes) == first  # even after the next
    assert [row["revision"] for row in sky.now()] == [2]
    retraction = sky.notice("GRB 260801A", after=2.0, alert_type="retraction")
    taken_back = coincide(sky.parts, retraction)
    assert [each["state"] for each in told(taken_back)] == [RETRACTED]
    assert coincide(sky.parts, retraction) == taken_back


def test_tests_and_the_sky_never_meet(make: Callable[..., Sky]) -> None:
    sky = make()
    sky.comes("MS260801a", "GW", far=1e-9, search_group="CBC")
    assert sky.grb() == []
    assert sky.grb(alert_tense="test") == []
    assert sky.now() == []


def test_tests_meet_their_like_where_wanted(make: Callable[..., Sky]) -> None:
    sky = make(tests=True)
    sky.comes("MS260801a", "GW", far=1e-9, search_group="CBC", skymap=from_cone(*HERE, 12.0))
    assert sky.comes("GRB 260801B") == []
    (found,) = sky.grb(alert_tense="test", skymap=from_cone(*HERE, 3.0))
    assert (found["real"], found["publishable"]) == (False, False)


def test_a_coincidence_follows_its_event_to_another_name(sky: Sky) -> None:
    sky.gw()
    (first,) = sky.comes("Fermi 807", after=2.0)
    (second,) = sky.comes("GRB 260801A", after=2.0, mission="Swift")
    # A notice that has both names makes them one.
    changes = sky.notice("Fermi 807", after=2.0, names=["Fermi 807", "GRB 260801A"], alert_type="update")
    messages = coincide(sky.parts, changes)
    (gone,) = told(messages)
    assert gone["state"] == RETRACTED
    assert "become one" in gone["message"]
    (live,) = [row for row in sky.now() if row["state"] == LIVE]
    assert {gone["id"], live["id"]} == {first["id"], second["id"]}
    assert live["external"] == changes[0].event_name
    assert coincide(sky.parts, changes) == messages


def test_several_at_once(sky: Sky) -> None:
    sky.gw()
    sky.comes("S260801b", "GW", 1.0, far=1e-6, search_group="CBC")
    found = sky.grb()
    assert [each["id"] for each in found] == ["S260801a+GRB_260801A", "S260801b+GRB_260801A"]
    best = coincidences.of_event(sky.parts.store, "GRB 260801A")
    assert [row["event"] for row in best] == ["S260801a", "S260801b"]


def test_pages_and_what_is_asked_for(sky: Sky) -> None:
    sky.gw()
    for number in range(5):
        sky.comes(f"GRB 26080{number}A", after=float(number))
    seen, cursor = [], None
    while True:
        page = coincidences.list_coincidences(sky.parts.store, limit=2, cursor=cursor)
        seen += [row["id"] for row in page.coincidences]
        if (cursor := page.cursor) is None:
            break
    assert len(seen) == len(set(seen)) == 5
    asked = coincidences.list_coincidences
    assert len(asked(sky.parts.store, event="GRB 260802A").coincidences) == 1
    assert len(asked(sky.parts.store, state=RETRACTED).coincidences) == 0
    assert len(asked(sky.parts.store, start=T0, end=T0 + timedelta(seconds=1)).coincidences) == 5
    assert len(asked(sky.parts.store, end=T0).coincidences) == 0
