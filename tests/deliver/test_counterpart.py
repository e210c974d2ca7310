"""Counterparts as GCN's and SCiMMA's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import polars as pl
import pytest
from hop.io import Consumer as HopConsumer
from hop.io import Deserializer

from broker.decode.gcn_json import from_unified
from broker.deliver import gcn_json, hop_message
from broker.deliver.counterpart import DAYS, POINTS, Counterpart, Known, counterpart, points
from broker.paths import shipped

SCHEMA = shipped("schemas") / "gcn" / "optical_counterpart.schema.json"
WHEN = datetime(2026, 11, 20, 6, 30, 15, 250_000, tzinfo=UTC)
MJD = 61_364.0 + 6.5 / 24 + 15.25 / 86_400
EVENTS: dict[str, dict[str, Any]] = {
    "S261119ab": {"messenger": "GW", "mission": "LVK", "instrument": None, "alert_id": "lvk:S261119ab-3-Update", "real": True},
    "GRB261119A": {"messenger": "EM", "mission": "Fermi", "instrument": "GBM", "alert_id": "gcn:x:1", "real": True},
    "IC261119A": {"messenger": "Neutrino", "mission": "IceCube", "instrument": None, "alert_id": "", "real": True},
    "MS261119c": {"messenger": "GW", "mission": "LVK", "instrument": None, "alert_id": "lvk:MS", "real": False},
}


def match(**changes: Any) -> dict[str, Any]:
    """A record of ``matched.*``."""
    maps = [
        {"event": "S261119ab", "revision": 3, "credible_level": 0.42, "density": 9.0, "dt": 90_000.5},
        {"event": "GRB261119A", "revision": 1, "credible_level": 0.1, "density": 3.0, "dt": 86_400.0},
        {"event": "IC261119A", "revision": 1, "credible_level": 0.95, "density": 3.0, "dt": 86_400.0},
        {"event": "MS261119c", "revision": 1, "credible_level": 0.2, "density": 3.0, "dt": 86_400.0},
    ]
    return {
        "alert_id": "ztf:2481391320115015004",
        "stream": "ztf",
        "object_id": "ZTF26aabcdef",
        "time": WHEN,
        "ra": 150.1163,
        "dec": 2.2058,
        "mag": 18.42341,
        "mag_err": 0.06,
        "band": "r",
        "positive": True,
        "annotations": {"class.SN Ia": 0.75, "class.AGN": 0.25, "candidate.rb": 0.9},
        "skymaps": maps,
        "filters": [{"name": "young", "version": 1}],
        **changes,
    }


def curve(*rows: tuple[float, float | None, float | None, str, bool | None]) -> pl.DataFrame:
    """Light curve of days before the alert, magnitude, limit, kind and sign."""
    return pl.DataFrame(
        [(MJD - days, mag, 0.05 if mag else None, limit, "g", positive, kind) for days, mag, limit, kind, positive in rows],
        schema=["time", "mag", "mag_err", "limit", "band", "positive", "kind"],
        orient="row",
        infer_schema_length=None,
    )


def nothing(_object: str) -> pl.DataFrame:
    return pl.DataFrame()


KNOWN = Known(EVENTS.get, nothing)


def made(alert: Mapping[str, Any] | None = None, light: pl.DataFrame | None = None, **asked: Any) -> Counterpart:
    curves = (lambda _object: light) if light is not None else nothing
    before = asked.pop("before", 0.2)
    found = counterpart(alert or match(), WHEN, Known(EVENTS.get, curves, lambda _event, _alert: before), **asked)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    jsonschema_rs.meta.validate(schema)
    return jsonschema_rs.validator_for(schema)


def test_notice_is_as_gcn_has_it(validator: Any) -> None:
    told = gcn_json.notice(made(level=0.9), mission="Nuncius")
    validator.validate(told)
    assert (told["alert_datetime"], told["alert_tense"], told["alert_type"], told["mission"]) == (
        "2026-11-20T06:30:15.250Z", "current", "initial", "Nuncius",
    )  # fmt: skip
    (target,) = told["data"]["targets"]
    assert (target["event_name"], target["id"], target["ra"]) == ("ZTF26aabcdef", "ztf:2481391320115015004", 150.1163)
    assert target["classification_scores"] == {"SN Ia": 0.75, "AGN": 0.25}
    assert target["gcn_crossmatch"] == [
        {
            "ref_type": "GRB", "ref_instrument": "Fermi-GBM", "ref_ID": "GRB261119A", "reference": {"gcn": "x:1"},
            "revision": 1, "credible_level": 0.1, "time_offset": 86_400.0,
        },
        {
            "ref_type": "GW", "ref_instrument": "LVK", "ref_ID": "S261119ab", "reference": {"lvk": "S261119ab-3-Update"},
            "revision": 3, "credible_level": 0.42, "time_offset": 90_000.5,
        },
    ]  # fmt: skip
    assert told["data"]["photometry"] == [
        {
            "event_name": "ZTF26aabcdef", "observation_start": "2026-11-20T06:30:15.250Z", "telescope": "Palomar 1.2m Oschin",
            "instrument": "ZTF", "filter": "ztfr", "mag": 18.4234, "mag_error": 0.06, "mag_system": "AB",
        }
    ]  # fmt: skip


def test_we_read_it_ourselves() -> None:
    message = gcn_json.message(made(), "gcn.notices.nuncius.alert", mission="Nuncius")
    read = from_unified(json.loads(message.value))
    assert (read.event_name, read.mission, read.ra, read.alert_type) == ("ZTF26aabcdef", "Nuncius", 150.1163, "initial")
    assert read.deviations == ()
    assert message.key == b"ZTF26aabcdef"


@pytest.mark.data
def test_the_schema_of_ours_takes_what_others_send(data_dir: Path, validator: Any) -> None:
    files = sorted((data_dir / "gcn" / "json_schema_examples").rglob("boom/alert.example.json"))
    if not files:
        pytest.skip("no example of gcn.notices.boom.alert among the real data")
    told = json.loads(files[0].read_text("utf-8"))
    ours = gcn_json.notice(made(), mission="Nuncius")
    assert set(told) <= set(ours)
    assert set(told["data"]["targets"][0]) <= set(ours["data"]["targets"][0])
    assert set(told["data"]["targets"][0]["gcn_crossmatch"][0]) <= set(ours["data"]["targets"][0]["gcn_crossmatch"][0])
    for point in told["data"]["photometry"]:
        assert not list(validator.iter_errors(ours | {"data": {**ours["data"], "photometry": [_millis(point)]}}))


def _millis(point: dict[str, Any]) -> dict[str, Any]:
    return point | {"observation_start": f"{point['observation_start'][:19]}.000Z"}


def test_light_curve_up_to_the_alert(validator: Any) -> None:
    light = curve(
        (DAYS + 1, 20.0, None, "detection", True),
        (9.0, None, 20.5, "limit", None),
        (5.0, 19.0, None, "forced", True),
        (4.0, 19.5, None, "detection", False),
        (3.0, None, None, "forced", True),
        (0.0, 18.42, None, "detection", True),
        (-1.0, 18.0, None, "detection", True),
    )
    found = made(light=light)
    assert [(point.mag, point.limit) for point in found.points] == [(None, 20.5), (19.0, None), (18.42, None)]
    assert found.points[-1].time == WHEN
    told = gcn_json.notice(found, mission="Nuncius")
    validator.validate(told)
    assert told["data"]["photometry"][0]["limiting_mag"] == 20.5
    many = curve(*((day / 100, 18.0, None, "detection", True) for day in range(1000)))
    assert len(points(many, match())) == POINTS
    assert points(curve(), match(positive=False)) == ()
    assert points(curve(), match(mag=None)) == ()


def test_level_and_tests() -> None:
    assert [event.name for event in made(level=0.3).events] == ["GRB261119A"]
    assert [event.name for event in made(level=1.0).events] == ["GRB261119A", "S261119ab", "IC261119A"]
    tested = made(level=0.3, test=True)
    assert [event.name for event in tested.events] == ["GRB261119A", "MS261119c"]
    assert gcn_json.notice(tested, mission="Nuncius")["alert_tense"] == "test"
    assert ("_test", b"true") in hop_message.headers(tested, sender="nuncius")
    assert "_test" not in dict(hop_message.headers(made(), sender="nuncius"))
    for nowhere in (match(skymaps=[]), match(skymaps=None), match(skymaps=match()["skymaps"][3:])):
        assert counterpart(nowhere, WHEN, KNOWN) is None
    assert counterpart(match(), WHEN, KNOWN, level=0.05) is None


def test_updates_and_retractions(validator: Any) -> None:
    again = made(level=0.3, update="rescored", event="S261119ab")
    assert [(event.name, event.level) for event in again.events] == [("S261119ab", 0.42)]
    assert again.change == "update"
    # the alert came before the map, or was too far out on those before: nobody has been told, and nothing can be taken back
    assert made(level=0.5, update="rescored", event="S261119ab", before=None).change == "initial"
    assert counterpart(match(), WHEN, KNOWN, level=0.3, update="rescored", event="S261119ab") is None
    for maps in ([], match()["skymaps"][1:]):
        for update in ("retracted", "rescored"):
            assert counterpart(match(skymaps=maps), WHEN, KNOWN, update=update, event="S261119ab") is None
    # whoever was told is told that it has left, however far out it was meanwhile
    assert made(level=0.3, update="rescored", event="S261119ab", before=0.97).change == "update"
    left = made(match(skymaps=match()["skymaps"][1:]), update="rescored", event="S261119ab")
    assert (left.change, [event.name for event in left.events]) == ("retraction", ["S261119ab"])
    gone = made(match(skymaps=[]), update="retracted", event="S261119ab")
    told = gcn_json.notice(gone, mission="Nuncius")
    validator.validate(told)
    assert told["alert_type"] == "retraction"
    assert told["data"]["targets"][0]["gcn_crossmatch"][0]["ref_ID"] == "S261119ab"
    assert "no candidate for S261119ab any more" in hop_message.content(gone, "t", sender="n")["message_text"]
    heard = Known(EVENTS.get, nothing, lambda _event, _alert: 0.2)
    assert counterpart(match(skymaps=[]), WHEN, heard, update="retracted", event="MS261119c") is None
    assert left.id == gone.id
    newer = Known({"S261119ab": EVENTS["S261119ab"] | {"revision": 5}}.get, nothing, lambda _event, _alert: 0.2)
    later = counterpart(match(skymaps=[]), WHEN, newer, update="retracted", event="S261119ab")
    assert later is not None
    assert later.id != gone.id  # it was in again between


def test_the_same_has_the_same_id() -> None:
    first = made()
    assert made(match(mag=17.0, filters=[])).id == first.id
    later = made(match(skymaps=[match()["skymaps"][0] | {"revision": 4}]))
    others = [made(match(alert_id="ztf:2")), later, made(update="rescored", event="S261119ab")]
    assert len({first.id, *(other.id for other in others)}) == 4


def test_an_event_we_know_nothing_of_is_told_by_its_name(validator: Any) -> None:
    maps = [{"event": "X1", "revision": None, "credible_level": 0.1, "density": None, "dt": None}]
    found = counterpart(match(skymaps=maps, annotations={}), WHEN + timedelta(hours=1), Known(lambda _name: None, nothing))
    assert found is not None
    told = gcn_json.notice(found, mission="Nuncius")
    validator.validate(told)
    assert told["data"]["targets"][0]["gcn_crossmatch"] == [{"ref_ID": "X1", "credible_level": 0.1}]


class Delivered:
    """A message as hop-client is handed it."""

    def __init__(self, value: bytes, headers: Any) -> None:
        self._value, self._headers = value, headers

    def value(self) -> bytes:
        return self._value

    def headers(self) -> Any:
        return list(self._headers)


def test_hop_reads_what_we_write() -> None:
    found = made(test=True, level=0.9)
    message = hop_message.message(found, "nuncius.counterparts", sender="nuncius-user")
    delivered = Delivered(message.value, message.headers)
    assert HopConsumer.is_test(delivered)
    read = Deserializer.deserialize(delivered).content
    assert read["topic"] == "nuncius.counterparts"
    assert read["data"]["event_id"] == "GRB261119A"
    assert read["data"]["targets"][0]["name"] == read["data"]["photometry"][0]["target_name"] == "ZTF26aabcdef"
    assert read["data"]["photometry"][0] | {"date_obs": ""} == {
        "target_name": "ZTF26aabcdef", "date_obs": "", "telescope": "Palomar 1.2m Oschin", "instrument": "ZTF",
        "bandpass": "ztfr", "brightness": 18.42341, "brightness_error": 0.06, "brightness_unit": "AB mag",
    }  # fmt: skip
    assert [event["event_id"] for event in read["data"]["extra_data"]["events"]] == ["GRB261119A", "MS261119c", "S261119ab"]
    assert "10.0 % credible region of GRB261119A" in read["message_text"]
    sent = dict(message.headers)
    assert (len(sent["_id"]), sent["_sender"], sent["_format"]) == (16, b"nuncius-user", b"json")
