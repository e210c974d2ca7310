"""Functions of an observer's sky, of events and of the light curve, in expressions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from broker.alert import SKYMAPS_DTYPE
from broker.errors import ExpressionError
from broker.filtering.definition import parse_filter
from broker.filtering.evaluate import evaluate, make_plan
from broker.filtering.expression import compile_expression, compile_output
from broker.science import observing
from broker.science.sites import SITES

T0 = datetime(2026, 3, 1, 7, tzinfo=UTC)
MAP = {"event": "S260301a", "revision": 1, "credible_level": 0.4, "density": 1.0, "dt": 5.0, "volume_level": None}
FRAME = pl.DataFrame(
    {
        "ra": [10.0, 150.0, 250.0, None],
        "dec": [-20.0, 30.0, 60.0, 5.0],
        "time": [T0, T0 + timedelta(hours=3), None, T0],
        "mag_err": [0.1, 0.0, None, 0.5],
        "lightcurve.age": [1.5, None, 3.0, 0.0],
        "skymaps": pl.Series([[MAP], [MAP | {"event": "S260301_"}], None, []], dtype=SKYMAPS_DTYPE),
    },
    schema_overrides={"time": pl.Datetime("us", "UTC")},
)


def values(sql: str, frame: pl.DataFrame = FRAME) -> list[object]:
    out = compile_output(sql, dict(frame.schema))
    return frame.lazy().select(pl.int_range(pl.len()).alias(""), out.expr.alias("x")).collect()["x"].to_list()


@pytest.mark.parametrize(
    ("sql", "of"),
    [
        ("sun_sep()", observing.sun_separation),
        ("moon_sep()", observing.moon_separation),
        ("altitude('Palomar')", lambda mjd, towards: observing.altitude(mjd, towards, SITES["palomar"])),
    ],
)
def test_angles_are_those_of_the_alerts_own_time(sql: str, of: object) -> None:
    assert callable(of)
    rows = FRAME[:2]
    a, d = (np.radians(rows[name].to_numpy()) for name in ("ra", "dec"))
    towards = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)
    mjd = np.array([(time - datetime(1858, 11, 17, tzinfo=UTC)).total_seconds() / 86_400 for time in rows["time"]])
    found = values(sql)
    assert found[:2] == pytest.approx(of(mjd, towards).tolist(), abs=1e-6)
    assert found[2:] == [None, None]  # no time, no place


def test_conditions() -> None:
    assert values("visible_tonight('rubin', 20)")[2:] == [None, None]
    assert values("visible_tonight('rubin', -90)")[:2] == [True, True]
    assert values("visible_tonight('rubin', 90)")[:2] == [False, False]
    assert values("age()") == [1.5, None, 3.0, 0.0]
    assert values("snr()") == [pytest.approx(10.857362), None, None, pytest.approx(2.1714724)]
    assert values("in_event('S260301a', 0.9)")[:2] == [True, None]
    assert values("in_event('S260301a', 0.3)")[:2] == [False, None]
    assert values("in_event('S260301_', 0.9)")[:2] == [None, True]  # a name, and not a pattern


def test_in_one_pass_with_others_and_over_nothing() -> None:
    texts = ["altitude('palomar') > 20", "altitude('palomar') > 20 AND sun_sep() > 60", "mag_err < 1", "n_det() > 3"]
    specs = [
        parse_filter(f'name = "f{number}"\nversion = 1\nstream = "*"\ndescription = "x"\nwhere = "{text}"\n')
        for number, text in enumerate(texts)
    ]
    faults: list[str] = []
    for frame in (FRAME, FRAME[:0]):
        masks = evaluate(make_plan(specs, frame.schema), frame, lambda name, why: faults.append(f"{name}: {why}"))
        assert {name: len(mask) for name, mask in masks.items()} == {f"f{number}": frame.height for number in range(4)}
    assert faults == []
    assert specs[0].columns == {"ra", "dec", "time"}
    assert specs[3].columns == {"lightcurve.n_det"}


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("altitude('palomer') > 3", "did you mean palomar?"),
        ("altitude(ra) > 3", "must be written out"),
        ("visible_tonight('rubin') = TRUE", "is called as visible_tonight(site, min_alt)"),
        ("sun_sep(3) > 1", "is called as sun_sep()"),
    ],
)
def test_what_is_wrong_is_told(sql: str, told: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_expression(sql)
    assert told in str(error.value)
