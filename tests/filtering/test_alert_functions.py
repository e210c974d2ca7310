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
from broker.science import observing, sites
from broker.science.sites import SITES, Site

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


LISTED = pl.DataFrame(
    {
        "watchlist.sne.sep": [3.0, None, 100.0, None],
        "watchlist.sne.inside": [True, False, False, None],  # the last has no place
        "moc.lmc": [True, False, None, None],
        "lightcurve.rate.g": [-0.5, 0.25, None, 0.0],
        "lightcurve.n_det": [5, 3, 1, None],
        "lightcurve.n_det.g": [2, 0, 1, None],
        "classification.BNS": [0.9, 0.1, None, None],
        "classification": ["BNS", "BBH", None, None],
    }
)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("in_watchlist('sne')", [True, False, False, None]),
        ("in_watchlist('sne', 5)", [True, False, False, None]),
        ("in_watchlist('sne', 200)", [True, False, True, None]),
        ("NOT in_watchlist('sne', 5)", [False, True, True, None]),
        ("in_moc('lmc')", [True, False, None, None]),
        ("rise_rate('g')", [0.5, -0.25, None, 0.0]),
        ("n_det()", [5, 3, 1, None]),
        ("n_det('g') > 0", [True, False, True, None]),
        ("(classification['BNS'] > 0.5 AND classification = 'BNS')", [True, False, None, None]),
    ],
)
def test_what_steps_and_notices_fill(sql: str, expected: list[object]) -> None:
    assert values(sql, LISTED) == expected


@pytest.mark.parametrize("where", ["in_watchlist('none')", "in_watchlist('none', 9)", "in_moc('none')", "rise_rate('r') > 0"])
def test_what_is_not_there_is_unknown(where: str) -> None:
    for text, matched in ((where, []), (f"({where}) IS NOT TRUE", [0, 1, 2, 3])):
        spec = parse_filter(f'name = "x"\nversion = 1\nstream = "*"\ndescription = "x"\nwhere = "{text}"\n')
        mask = evaluate(make_plan([spec], FRAME.schema), FRAME, lambda *told: pytest.fail(str(told)))["x"]
        assert mask.arg_true().to_list() == matched


def test_columns_they_read() -> None:
    reads = compile_expression(
        "in_watchlist('a') AND in_watchlist('b', 3) AND in_moc('c') AND rise_rate('r') > n_det('g')"
    ).columns
    assert reads == {
        "watchlist.a.inside",
        "watchlist.b.sep",
        "watchlist.b.inside",
        "moc.c",
        "lightcurve.rate.r",
        "lightcurve.n_det.g",
    }


def test_sites_of_ones_own() -> None:
    sites.use({"Backyard": Site(10.0, 50.0, 100.0), "keck": Site(0.0, 0.0, 0.0)})
    try:
        assert values("altitude('backyard')")[0] == pytest.approx(values("altitude('BACKYARD')")[0])
        assert values("altitude('backyard')")[0] != values("altitude('greenwich')")[0]
        equator = values("altitude('keck')")
    finally:
        sites.use({})
    assert values("altitude('keck')") != equator
    with pytest.raises(ExpressionError, match="no site 'backyard'"):
        compile_expression("altitude('backyard') > 3")


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
        ("in_watchlist(object_id)", "must be written out"),
        ("in_watchlist('a b')", "cannot be the name of a watchlist"),
        ("in_watchlist('a', 3601)", "column 19: in_watchlist: a radius is 0 to 3600 arcseconds"),
        ("in_watchlist('a', '5')", "radius_arcsec of in_watchlist is a number"),
        ("in_moc('')", "cannot be the name of a region"),
        ("in_moc()", "is called as in_moc(name)"),
        ("rise_rate('Z') > 1", "column 11: rise_rate: no band 'Z' (did you mean z?)"),
        ("n_det('g', 3) > 1", "n_det() or n_det(band)"),
        ("altitude('keck', 3) > 1", "is called as altitude(site)"),
    ],
)
def test_what_is_wrong_is_told(sql: str, told: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_expression(sql)
    assert told in str(error.value)
