"""The step that asks every filter about every alert."""

from dataclasses import replace

import polars as pl
import pytest

from broker.alert import Batch, conform
from broker.decode.declaration import load_declarations
from broker.decode.notices import decode_notices
from broker.decode.schemas import LsstPackage
from broker.decode.survey import decode_survey
from broker.filtering.definition import FilterSpec, load_filters, parse_filter
from broker.filtering.evaluate import Condition, Plan, evaluate, make_plan, pick
from broker.filtering.expression import compile_expression
from broker.paths import shipped
from broker.process.select import select, wanted
from broker.record import Record
from broker.telemetry import FILTER_ERRORS


def spec(name, where, stream="ztf", select=()) -> FilterSpec:
    return parse_filter(
        f'name = "{name}"\nversion = 1\nstream = "{stream}"\ndescription = "x"\nwhere = """{where}"""\nselect = {list(select)}'
    )


def batch(stream="ztf", **columns) -> Batch:
    frame = conform(pl.DataFrame(columns))
    return Batch(stream, (), frame, frame.height)


def found(step, given) -> dict[str, list[int]]:
    return {name: rows.tolist() for name, rows in step(given).matches.items()}


def test_every_filter_of_the_stream_is_asked():
    filters = [
        spec("bright", "mag < 19"),
        spec("all", "TRUE"),
        spec("none", "FALSE"),
        spec("notices", "TRUE", stream="gcn"),
        replace(spec("asleep", "TRUE"), active=False),
    ]
    given = batch(mag=[18.0, None, 18.5, 20.0])
    assert found(select(filters), given) == {"bright": [0, 2], "all": [0, 1, 2, 3]}
    assert select(filters)(given).frame is given.frame


def test_columns_that_are_not_there_are_null():
    filters = [spec("far", "gaia.sep > 2"), spec("lonely", "gaia.sep IS NULL AND (ngc.sep < 3) IS NOT TRUE")]
    step = select(filters)
    assert found(step, batch(mag=[18.0])) == {"lonely": [0]}
    assert found(step, batch(mag=[18.0, 18.0], **{"gaia.sep": [3.0, None]})) == {"far": [0], "lonely": [1]}


def test_a_column_of_another_type_stops_its_filter_only():
    filters = [spec("bad", "candidate.rb > 0.5"), spec("good", "mag < 19")]
    step = select(filters)
    before = FILTER_ERRORS.labels("bad")._value.get()
    for _ in range(2):
        assert found(step, batch(mag=[18.0], **{"candidate.rb": ["high"]})) == {"good": [0]}
    assert FILTER_ERRORS.labels("bad")._value.get() == before + 2
    assert found(step, batch(mag=[18.0], **{"candidate.rb": [0.9]})) == {"bad": [0], "good": [0]}


def test_a_filter_that_fails_while_running_is_isolated():
    frame = batch(mag=[18.0], odd=[[1.0]])
    filters = [spec(f"f{i}", f"mag < {i}") for i in range(15, 25)]
    plan = make_plan(filters, frame.frame.schema)
    types = frame.frame.schema
    odd = {"broken": pl.col("odd") + pl.col("stream") > 1, "also": pl.col("gone") > 1}
    broken = Plan({**plan.conditions, **{name: Condition(expr, {}, types) for name, expr in odd.items()}}, {})
    good = {f"f{i}" for i in range(19, 25)}
    told = []
    for _ in range(2):
        masks = evaluate(broken, frame.frame, lambda name, _: told.append(name))
        assert {name for name, mask in masks.items() if mask[0]} == good
    assert sorted(told) == ["also", "also", "broken", "broken"]
    for _ in range(2):
        assert pick(broken, frame.frame, lambda name, _: told.append(name)).keys() == good
    assert sorted(told) == ["also"] * 4 + ["broken"] * 4


def test_an_empty_batch_passes():
    given = batch(mag=pl.Series([], dtype=pl.Float64))
    assert found(select([spec("all", "TRUE")]), given) == {}


@pytest.mark.parametrize("height", [1, 2, 7])
def test_nulls_throughout(height):
    where = "0 = coalesce(candidate.a, 0) AND positive IS NOT TRUE AND 3 = CASE WHEN positive THEN mag ELSE 3 END"
    given = batch(mag=[None] * height, **{"candidate.a": pl.Series([None] * height, dtype=pl.Int64)})
    assert found(select([spec("x", where)]), given) == {"x": list(range(height))}
    assert given.frame.select(_=compile_expression(where, given.frame.schema).expr)["_"].to_list() == [True] * height


def test_wanted_names():
    filters = [
        spec("a", "mag < 19 AND candidate.rb > 0.5 AND in_skymap(0.9)", select=["candidate.magpsf", "ra"]),
        spec("b", "lightcurve.rate < 0", stream="lsst"),
    ]
    assert wanted(filters, "ztf") == {"candidate.rb", "candidate.magpsf"}
    assert wanted(filters, "lsst") == {
        "lightcurve.rate",
        *("history.time", "history.mag", "history.mag_err", "history.band", "history.positive"),
    }
    assert wanted(filters, "gcn") == frozenset()


OURS = ("gaia.", "glade.", "ngc.", "gw.", "grb.", "neutrino.", "skymap.", "lightcurve.", "history.")


@pytest.mark.data
def test_shipped_filters_name_what_real_packets_have(data_dir):
    filters = load_filters(shipped("filters"))
    declarations = load_declarations(shipped("schemas") / "streams")
    told = {spec.name: FILTER_ERRORS.labels(spec.name)._value.get() for spec in filters}
    seen: set[str] = set()
    for stream, folder in {"ztf": "ztf", "lsst": "lsst", "gcn": "gcn/voevent", "lvk": "gcn/igwn"}.items():
        folders = [folder, "gcn/json_schema_examples"] if stream == "gcn" else [folder]
        paths = [path for name in folders for path in sorted((data_dir / name).rglob("*")) if path.is_file()]
        records = [Record(f"raw.{stream}", 0, i, 0, None, path.read_bytes()) for i, path in enumerate(paths)]
        names = wanted(filters, stream)
        if stream in declarations:
            given = decode_survey(declarations[stream], records, LsstPackage(), names)
        else:
            given = decode_notices(stream, records, names)
        select(filters)(given)
        seen |= {name for name in names & set(given.frame.columns) if given.frame[name].null_count() < given.frame.height}
    read = {name for stream in ("ztf", "lsst", "gcn", "lvk") for name in wanted(filters, stream)}
    assert {name for name in read if not name.startswith(OURS)} <= seen
    assert told == {spec.name: FILTER_ERRORS.labels(spec.name)._value.get() for spec in filters}


def test_what_stands_for_nothing_on_the_sky_is_for_those_who_ask_for_it():
    filters = [spec("all", "TRUE", stream="gcn"), replace(spec("tests", "TRUE", stream="gcn"), tests=True)]
    given = batch("gcn", alert_tense=["current", "test", None, "injection", "commanded", "archival"])
    assert found(select(filters), given) == {"all": [0, 2, 5], "tests": [0, 1, 2, 3, 4, 5]}
    text = 'name = "x"\nversion = 1\nstream = "gcn"\ndescription = "x"\nwhere = "TRUE"\n'
    assert parse_filter(text + "tests = true\n").tests
    assert not parse_filter(text).tests
