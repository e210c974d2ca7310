"""The features step reads the history columns of any shape and adds what is wanted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from broker.alert import BANDS, HISTORY, Batch, conform
from broker.process import features as step

NOW = datetime(2026, 8, 1, tzinfo=UTC)
MJD = 61253.0
G, R = BANDS.index("g"), BANDS.index("r")


def batch(rows: list[dict[str, object]], *, history: bool = True) -> Batch:
    wanted = list(HISTORY) if history else []
    frame = conform(pl.DataFrame(rows, schema_overrides=HISTORY if history else None, infer_schema_length=None))
    return Batch(
        "ztf", (), frame.select(*(n for n in frame.columns if n in wanted or not n.startswith("history."))), frame.height
    )


def alert(**history: object) -> dict[str, object]:
    empty: dict[str, object] = dict.fromkeys(HISTORY)
    named = {f"history.{name}": value for name, value in history.items()}
    return {"time": NOW, "mag": 18.0, "band": "g", "positive": True, **empty, **named}


RISER = alert(
    time=[MJD - 10, MJD - 2, MJD - 0.5], mag=[20.0, 19.0, 18.9], mag_err=[0.1] * 3, band=[G, G, R], positive=[True, None, True]
)


def test_ragged_histories_stay_with_their_rows() -> None:
    empty = alert(time=[], mag=[], mag_err=[], band=[], positive=[])
    got = step.features(list(step.COLUMNS))(batch([alert(), RISER, empty, RISER, alert()])).frame
    assert got["lightcurve.n_det"].to_list() == [1, 4, 1, 4, 1]
    assert got["lightcurve.age"].to_list() == pytest.approx([0, 10, 0, 10, 0])
    assert got["lightcurve.rate"].to_list() == [None, pytest.approx(-0.5), None, pytest.approx(-0.5), None]
    assert got["lightcurve.g_r"].to_list() == [None, pytest.approx(-0.9), None, pytest.approx(-0.9), None]
    assert got["lightcurve.peak_mag"].to_list() == [18.0] * 5
    assert got.schema["lightcurve.n_det"] == pl.Int64


def test_rows_of_a_slice_and_of_joined_frames() -> None:
    whole = batch([alert(), RISER, alert(), RISER])
    for frame in (
        whole.frame[1:3],
        pl.concat([whole.frame[1:2], whole.frame[2:3]], rechunk=False),
        whole.frame.filter(pl.Series([0, 1, 1, 0]) == 1),
    ):
        got = step.features(["lightcurve.n_det"])(Batch("ztf", (), frame, 2)).frame
        assert got["lightcurve.n_det"].to_list() == [4, 1]


def test_missing_values_in_a_history() -> None:
    row = alert(time=[None, MJD - 2], mag=[18.0, None], mag_err=[None, None], band=[None, G], positive=[None, None])
    got = step.features(list(step.COLUMNS))(batch([row])).frame
    assert got["lightcurve.n_det"].to_list() == [2]
    assert got["lightcurve.rate"].to_list() == [None]


def test_alerts_without_time_magnitude_or_band() -> None:
    rows = [{**RISER, "time": None}, {**RISER, "mag": None}, {**RISER, "band": None, "positive": None}]
    got = step.features(list(step.COLUMNS))(batch(rows)).frame
    assert got["lightcurve.n_det"].to_list() == [None, 4, 4]
    assert got["lightcurve.peak_mag"].to_list() == [None, 18.9, 18.0]
    assert got["lightcurve.rate"].to_list() == [None, None, None]


def test_a_stream_without_history() -> None:
    got = step.features(["lightcurve.n_det", "lightcurve.age"])(
        batch([{"time": NOW - timedelta(days=1), "mag": 18.0}], history=False)
    )
    assert got.frame["lightcurve.n_det"].to_list() == [1]
    assert [name for name in got.frame.columns if name.startswith("lightcurve.")] == ["lightcurve.n_det", "lightcurve.age"]


def test_only_what_is_wanted() -> None:
    given = batch([RISER])
    assert step.features(["candidate.rb"])(given) is given
    assert step.needs(["candidate.rb"]) == frozenset()
    assert step.needs(["lightcurve.age"]) == frozenset(HISTORY)
    empty = Batch("ztf", (), given.frame.clear(), 0)
    assert step.features(["lightcurve.age"])(empty).frame.schema["lightcurve.age"] == pl.Float64


def test_features_of_one_band() -> None:
    names = [f"lightcurve.{name}.{band}" for name in ("rate", "n_det") for band in ("g", "r", "K")]
    undated = {**RISER, "time": None}
    got = step.features(names)(batch([alert(), RISER, undated])).frame
    assert got["lightcurve.rate.g"].to_list() == [None, pytest.approx(-0.5), None]
    assert got["lightcurve.rate.r"].to_list() == [None, None, None]
    assert got["lightcurve.n_det.g"].to_list() == [1, 3, None]
    assert got["lightcurve.n_det.r"].to_list() == [0, 1, None]
    assert got["lightcurve.n_det.K"].to_list() == [0, 0, None]
    assert [name for name in got.columns if name.startswith("lightcurve.")] == [n for n in step.COLUMNS if n in names]
    assert got.schema["lightcurve.n_det.g"] == pl.Int64
    assert step.needs(["lightcurve.rate.g"]) == frozenset(HISTORY)
    bare = step.features(names)(batch([{"time": NOW, "mag": 18.0, "band": "r"}], history=False)).frame
    assert bare["lightcurve.n_det.r"].to_list() == [1]
