"""Our own coincidences as notices."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from broker.decode.notices import decode_notices
from broker.deliver.coincidences import raw_coincidence
from broker.filtering.definition import parse_filter
from broker.paths import shipped
from broker.process.select import wanted
from broker.record import Message, Record

T0 = datetime(2026, 8, 1, 3, 4, 5, 250_000, tzinfo=UTC)


def row(**more: Any) -> dict[str, Any]:
    """A revision as the database has it."""
    event = {"revision": 3, "kind": "gw", "messenger": "GW", "mission": "LVK", "time": T0, "far": 1e-9}
    external = {"revision": 2, "kind": "grb", "messenger": "EM", "mission": "Fermi", "time": T0, "far": None}
    return {
        "id": "S260801a+GRB_260801A",
        "revision": 2,
        "state": "live",
        "message": None,
        "real": True,
        "publishable": True,
        "event": "S260801a",
        "external": "GRB 260801A",
        "external_name": "GRB 260801A",
        "classification": "BNS",
        **{f"event_{name}": value for name, value in event.items()},
        **{f"external_{name}": value for name, value in external.items()},
        "dt": 2.0,
        "window": "grb_cbc",
        "window_from": -1.0,
        "window_to": 5.0,
        "far_temporal": 6e-14,
        "far_space_time": 2e-15,
        "overlap": 30.0,
        "ra": 41.5,
        "dec": -9.25,
        "area50": 3.0,
        "area90": 12.0,
        "distmean": 110.0,
        "diststd": 20.0,
        "computed": T0,
        **more,
    }


def frame(message: Message, *names: str) -> pl.DataFrame:
    record = Record(message.topic, 0, 0, 0, message.key, message.value, message.headers)
    batch = decode_notices("coincidence", [record], frozenset(names))
    assert batch.rejected == ()
    return batch.frame


def test_a_coincidence_is_a_notice_of_its_event() -> None:
    message = raw_coincidence(row())
    assert message.topic == "raw.coincidence"
    names = ("coincidence.far_space_time", "coincidence.overlap", "coincidence.external.name", "coincidence.publishable")
    (found,) = frame(message, *names).to_dicts()
    assert found["alert_id"] == "coincidence:S260801a+GRB_260801A:2"
    assert (found["event_name"], found["time"], found["alert_type"], found["alert_tense"]) == (
        "S260801a",
        T0,
        "update",
        "current",
    )
    assert (found["ra"], found["dec"], found["ra_dec_error"]) == (41.5, -9.25, None)
    assert (found["far"], found["classification"], found["messenger"]) == (2e-15, "BNS", None)
    assert [found[name] for name in names] == [2e-15, 30.0, "GRB 260801A", True]
    assert found["_skymap"] is None


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"revision": 1}, {"alert_type": "initial"}),
        ({"state": "retracted"}, {"alert_type": "retraction"}),
        ({"real": False}, {"alert_tense": "test"}),
        ({"far_space_time": None}, {"far": 6e-14}),
        ({"ra": None, "dec": None}, {"ra": None, "hpx": None}),
    ],
)
def test_what_it_is_of(more: dict[str, Any], expected: dict[str, Any]) -> None:
    (found,) = frame(raw_coincidence(row(**more))).to_dicts()
    assert {name: found[name] for name in expected} == expected


def test_what_is_null_in_all_is_no_text() -> None:
    """A filter that compares it with a number would fail on a column of texts."""
    spec = parse_filter((shipped("filters") / "joint_candidates.toml").read_text("utf-8"))
    names = wanted([spec], "coincidence")
    found = frame(raw_coincidence(row(far_space_time=None, overlap=None)), *names)
    assert "coincidence.far_space_time" not in found.columns
    assert found.schema["coincidence.far_temporal"] == pl.Float64


@pytest.mark.parametrize("lacking", ["id", "revision", "event"])
def test_without_what_it_is_known_by(lacking: str) -> None:
    value = json.loads(raw_coincidence(row()).value)
    del value["coincidence"][lacking]
    batch = decode_notices("coincidence", [Record("raw.coincidence", 0, 0, 0, None, json.dumps(value).encode())], frozenset())
    assert [each.reason for each in batch.rejected] == ["a coincidence without id, revision or events: it is known by them"]
