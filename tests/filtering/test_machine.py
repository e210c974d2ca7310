"""The compiled loop picks what Polars picks: that is what a filter means."""

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from benchmarks.many import conditions
from broker.alert import COMMON
from broker.decode.declaration import load_declarations
from broker.decode.schemas import LsstPackage
from broker.decode.survey import decode_survey
from broker.filtering.definition import FilterSpec, load_filters
from broker.filtering.evaluate import Condition, Plan, evaluate, make_plan, pick
from broker.filtering.expression import compile_expression
from broker.filtering.machine_link import link
from broker.filtering.parse import parse
from broker.paths import shipped
from broker.process.features import features, needs
from broker.record import Record
from broker.wiring import simulating

START = datetime(2026, 1, 1, tzinfo=UTC)
LISTED = pl.List(pl.Struct({"event": pl.String, "revision": pl.Int64, "credible_level": pl.Float64, "dt": pl.Float64}))
SCHEMA = {
    **dict.fromkeys(("a", "b", "ra", "dec"), pl.Float64),
    **dict.fromkeys(("s", "t"), pl.String),
    **dict.fromkeys(("p", "q"), pl.Boolean),
    "g": pl.Float32,
    "i": pl.Int64,
    "j": pl.Int32,
    "u": pl.UInt64,
    "time": pl.Datetime("us", "UTC"),
    "skymaps": LISTED,
}
TYPED = {
    **COMMON,
    "skymaps": LISTED,
    **dict.fromkeys(("diaSource.isDipole", "diaSource.pixelFlags_streak", "Trigger_ID.Def_NOT_a_GRB"), pl.Boolean),
    **dict.fromkeys(("diaSource.ssObjectId", "diaSource.diaObjectId", "coincidence.revision"), pl.Int64),
    **dict.fromkeys(("ngc.type", "notice_type", "pipeline", "Trigger_ID.Long_short", "duration_class"), pl.String),
    **dict.fromkeys(("coincidence.state", "coincidence.external.kind"), pl.String),
}
"""Of columns that shipped filters read; all others are numbers."""
doubles = (
    st.none() | st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.5, 0.5, math.nan, math.inf, -math.inf, 1e308, 5e-324]) | st.floats()
)
singles = st.none() | st.sampled_from([0.0, 1.0, 2.5, 0.1, math.nan, math.inf]) | st.floats(width=32)
longs = (
    st.none() | st.integers(-3, 3) | st.sampled_from([2**63 - 1, -(2**63), 2**53, 2**53 + 1]) | st.integers(-(2**63), 2**63 - 1)
)
texts = st.none() | st.sampled_from(["", "g", "r", "gr", "G", "supernova", "é"])
truths = st.none() | st.booleans()
maps = st.none() | st.lists(
    st.fixed_dictionaries(
        {
            "event": st.sampled_from(["S26a", "X"]),
            "revision": st.just(1),
            "credible_level": st.sampled_from([0.1, 0.5, 0.9]),
            "dt": st.sampled_from([-5.0, 100.0]),
        }
    ),
    max_size=2,
)
rows = st.lists(
    st.tuples(
        *(doubles, doubles, st.none() | st.floats(0, 360), st.none() | st.floats(-90, 90)),
        *(texts, texts, truths, truths),
        *(singles, longs, st.none() | st.integers(-5, 5), st.none() | st.integers(0, 2**64 - 1)),
        st.none() | st.integers(-(10**9), 10**9).map(lambda seconds: START + timedelta(seconds=seconds)),
        maps,
    ),
    min_size=2,  # of a frame of a single row Polars rounds quotients otherwise than of all others
    max_size=12,
)

_literals = st.sampled_from(["0", "1", "2", "-1", "0.5", "1.5", "9007199254740993", "9223372036854775807", "1e300", "0.1"])
_functions = ["abs", "sign", "sqrt", "exp", "ln", "log10", "floor", "ceil", "radians", "degrees", "sin", "cos"]
numbers = st.recursive(
    st.sampled_from(
        ["a", "b", "g", "i", "j", "u", "mjd()", "sep(10, 20)", "galactic_lat()", "galactic_lon()", "skymap_level()"]
    )
    | _literals,
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*/%"), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})")
        | st.tuples(st.sampled_from(_functions), inner).map(lambda x: f"{x[0]}({x[1]})")
        | st.tuples(inner, st.sampled_from(["0", "0.5", "1", "2", "3", "9", "10", "-2", "1.7", "b"])).map(
            lambda x: f"power({x[0]}, {x[1]})"
        )
        | st.tuples(st.sampled_from(["coalesce", "least", "greatest"]), inner, inner).map(lambda x: f"{x[0]}({x[1]}, {x[2]})")
        | inner.map(lambda x: f"(-({x}))")
        | inner.map(lambda x: f"round({x}, 1)")
        | st.tuples(st.sampled_from(["p", "a < b", "s = 'g'"]), inner, inner).map(
            lambda x: f"CASE WHEN {x[0]} THEN {x[1]} ELSE {x[2]} END"
        )
    ),
    max_leaves=4,
)
_compare = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
strings = st.sampled_from(["s", "t", "coalesce(s, t)", "coalesce(s, t, 'g')", "upper(s)", "lower(coalesce(t, 'G'))"])
atoms = (
    st.tuples(numbers, _compare, numbers).map(" ".join)
    | st.tuples(st.sampled_from("abgij"), _compare, _literals).map(" ".join)
    | st.tuples(numbers, numbers, numbers).map(lambda x: f"{x[0]} BETWEEN {x[1]} AND {x[2]}")
    | numbers.map(lambda x: f"{x} IS NULL")
    | st.tuples(numbers, numbers).map(lambda x: f"{x[0]} <=> {x[1]}")
    | st.sampled_from(
        [
            "i IN (1, 2, 9223372036854775807)",
            "j IN (0, -1)",
            "i NOT IN (0, 1)",
            "a IN (1, 2.0)",
            "a NOT IN (0, -1.5)",
            "i IN (1, NULL)",
        ]
    )
    | st.tuples(strings, st.sampled_from(["=", "<>", "<"]), st.sampled_from(["'g'", "''", "'GR'", "t"])).map(" ".join)
    | st.tuples(strings, st.sampled_from(["IN ('g', 'r')", "NOT IN ('é')", "IS NULL", "LIKE 'g%'", "LIKE '%n_v%'"])).map(
        " ".join
    )
    | st.sampled_from(
        ["p", "q", "p = TRUE", "p <> q", "p = 1", "p < q", "p <=> q", "TRUE", "FALSE", "p IS NULL", "lost > 3", "lost"]
    )
    | st.sampled_from(["time > '2026-01-01'", "time - INTERVAL '3 days' <= '2025-12-31T12:00:00'", "time IS NULL"])
    | st.sampled_from(["time - time = INTERVAL '0 days'", "jd() > 2461041.5", "mjd(time) < 61041"])
    | st.sampled_from(
        ["in_cone(10, 20, 90)", "in_cone(1, 2, 0.0001)", "in_skymap(0.5)", "in_skymap('S%', 0.9)", "sun_sep() > 60"]
    )
)
truth_values = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})")
        | st.tuples(inner, inner).map(" AND ".join)
        | inner.map(lambda x: f"NOT ({x})")
        | st.tuples(inner, st.sampled_from(["TRUE", "NOT TRUE", "FALSE", "NOT FALSE"])).map(lambda x: f"({x[0]}) IS {x[1]}")
        | st.tuples(inner, inner, inner).map(lambda x: f"CASE WHEN {x[0]} THEN {x[1]} ELSE {x[2]} END")
    ),
    max_leaves=5,
)


def specs(*wheres) -> list[FilterSpec]:
    return [FilterSpec(str(at), 1, ("*",), "", where, parsed=parse(where)) for at, where in enumerate(wheres)]


def both(plan, frame) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Rows by filter: as Polars has them, and as the loop has."""
    masks = evaluate(plan, frame, lambda *told: pytest.fail(str(told)))
    picked = pick(plan, frame, lambda *told: pytest.fail(str(told)))
    return {name: mask.arg_true().to_list() for name, mask in masks.items() if mask.any()}, {
        name: rows.tolist() for name, rows in picked.items()
    }


@settings(max_examples=400, deadline=None, derandomize=True)
@given(rows, st.lists(truth_values, min_size=1, max_size=8))
def test_picks_what_polars_picks(data, wheres):
    frame = pl.DataFrame(data, schema=SCHEMA, orient="row")
    plan = make_plan(specs(*wheres), frame.schema)
    polars, loop = both(plan, frame)
    for name in polars.keys() | loop.keys():
        note(f"{wheres[int(name)]}: Polars {polars.get(name)}, the loop {loop.get(name)}")
    assert loop == polars


@pytest.mark.parametrize(
    ("where", "made"),
    [
        ("a < 18.5 AND b >= 1 AND i = 0 AND s IN ('g', 'r') AND p AND NOT q", 0),
        ("(a < 2 AND b > 0.76) IS NOT TRUE AND coalesce(a, 1) > 0.6 AND p IS NOT TRUE", 0),
        ("abs(galactic_lat()) > 10 AND in_cone(10, 20, 3) AND sep(ra, dec, 1, 2) < 3 AND mjd() - a < 3", 0),
        ("sqrt(power(a - 1536, 2) + power(b - 1540, 2)) < 300 AND least(a, b) > 1.5 AND log10(a) > ln(b)", 0),
        ("CASE WHEN s = 'g' THEN a < 3 ELSE a < 2.7 END AND a BETWEEN i AND 20 AND g > 0.5", 0),
        ("time BETWEEN '2026-01-01' AND '2026-02-01' AND s IS NOT NULL AND ecliptic_lat() > 0", 0),
        ("sqrt(" * 10 + "a" + ")" * 10 + " < 3", 0),
        ("a < 3 AND s LIKE '%a_b%' AND in_skymap(0.9)", 1),
        ("s LIKE 'a%' AND s NOT LIKE '_.%' AND s LIKE '%50!%!_%' ESCAPE '!' AND a IN (1, 2.5)", 0),
        ("starts_with(s, 'ZTF') OR ends_with(s, '-x') OR contains(s, 'a.b')", 0),
        ("regexp_like(s, '^ZTF18') OR regexp_like(s, 'ab-c') OR regexp_like(s, 'x$')", 1),
        ("regexp_like(s, '^S[0-9]+') AND regexp_like(s, 'a.c') AND s ILIKE 'a%' AND contains(s, t)", 4),
        ("regexp_like(s, 'a*') AND regexp_like(s, '\\d') AND regexp_like(s, '^a|b$')", 3),
        (f"s LIKE '%{'a_' * 30}%' AND s NOT LIKE '%{'a_' * 32}%'", 1),
        ("a < 3 AND (in_skymap(0.9) OR skymap_dt() < 3 OR in_skymap(0.5))", 2),
        ("a < 3 AND altitude('rubin') > 30", 1),
    ],
)
def test_what_is_left_to_polars(where, made):
    ((condition),) = make_plan(specs(where), SCHEMA).conditions.values()
    assert len(frozenset().union(*(clause.made for clause in condition.program.clauses))) == made
    assert not condition.program.never


_letters = st.text("aab_%.é\n\\€", max_size=7)
_searches = st.tuples(
    st.sampled_from(["s LIKE {}", "s NOT LIKE {}", "s LIKE {} ESCAPE 'b'"]), st.text("aab_%%.é\n", max_size=6)
) | (
    st.tuples(
        st.sampled_from(["starts_with(s, {})", "ends_with(s, {})", "contains(s, {})", "lower(s) LIKE {}"]),
        st.text("ab.é\n", max_size=2),
    )
    | st.tuples(
        st.just("regexp_like(s, {})"),
        st.sampled_from(["a", "^a", "b$", "^ab$", "^$", "", "a.b", r"\.", r"\\", "a*", "(?s:a.)", "^(?s:a.*b)$", "^(?s:.é)$"]),
    )
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.none() | _letters, min_size=2, max_size=12), st.lists(_searches, min_size=1, max_size=6))
def test_finds_the_texts_that_polars_finds(data, searches):
    frame = pl.DataFrame({"s": data}, schema={"s": pl.String})
    wheres = [form.format("'" + pattern + "'") for form, pattern in searches]
    polars, loop = both(make_plan(specs(*wheres), frame.schema), frame)
    assert loop == polars


def test_a_shared_column_that_cannot_be_made_stops_who_reads_it():
    plan = make_plan(specs("a < 3", "a < 3 AND in_skymap(0.9)"), {"a": pl.Float64, "skymaps": pl.Float64})
    told = []
    frame = pl.DataFrame({"a": [1.0, 5.0], "skymaps": [1.0, None]})
    for _ in range(2):
        assert pick(plan, frame, lambda name, _: told.append(name)).keys() == {"0"}
    assert told == ["1", "1"]


def test_what_can_never_match_costs_nothing():
    ((condition),) = make_plan(specs("lost > 3 AND a < 1"), SCHEMA).conditions.values()
    assert condition.program.never


def test_polars_makes_only_what_is_asked_of_rows_that_are_left():
    """A text that is no number would stop the filter, were it looked at."""
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, None], "s": ["odd", "1", "3", "odd"]})
    slow = pl.col("s").cast(pl.Int64) > 2
    exprs = {"x": (pl.col("a") > 1.5) & slow, "y": (pl.col("a") > 5) & slow, "z": pl.col("a") > 2.5, "all": slow}
    plan = Plan({name: Condition(expr.fill_null(value=False), {}, frame.schema) for name, expr in exprs.items()}, {})
    less = Plan({name: condition for name, condition in plan.conditions.items() if name != "all"}, {})
    picked = pick(less, frame, lambda *told: pytest.fail(str(told)))
    assert {name: rows.tolist() for name, rows in picked.items()} == {"x": [2], "z": [2]}
    told = []
    assert pick(plan, frame, lambda name, _: told.append(name)).keys() == {"z"}
    assert told == ["x", "all"]


def test_a_column_that_is_promised_and_not_there():
    plan = make_plan(specs("a < 3", "b < 3"), SCHEMA)
    told = []
    assert pick(plan, pl.DataFrame({"a": [1.0, 5.0]}), lambda name, _: told.append(name))["0"].tolist() == [0]
    assert told == ["1"]


def test_trees_polars_writes_otherwise_are_left_to_polars(monkeypatch):
    frame = pl.DataFrame({"a": [1.0, 2.0, math.nan, None], "s": ["g", "r", "g", None]})
    condition = make_plan(specs("a < 1.5 AND s = 'g'"), frame.schema).conditions["0"]
    again = Plan({"0": Condition(condition.expr, condition.shared, condition.types)}, {})
    monkeypatch.setattr("broker.filtering.machine_program._written", lambda _: '{"New": {"left": 1}}')
    assert pick(again, frame, lambda *told: pytest.fail(str(told)))["0"].tolist() == [0]
    assert len(again.machine.made) == 1


def test_more_rows_than_a_block():
    frame = pl.DataFrame({"a": [float(n % 7) for n in range(5000)], "s": ["gri"[n % 3] for n in range(5000)]})
    plan = make_plan(specs("a > 2", "a > 2 AND s LIKE '%r%'", "s = 'g' AND a = 3", "TRUE", "a > 9"), frame.schema)
    polars, loop = both(plan, frame)
    assert loop == polars
    assert [len(loop.get(str(n), [])) for n in range(5)] == [2856, 952, 238, 5000, 0]


def test_a_filter_that_changes_costs_only_itself():
    wheres = [f"a < {n}" for n in range(5)]
    first, second = (
        [replace(spec, columns=frozenset({"a"})) for spec in specs(*some)] for some in (wheres, [*wheres[:4], "a < 17"])
    )
    before, after = make_plan(first, SCHEMA), make_plan(second, {**SCHEMA, "more": pl.Int64})
    same = [before.conditions[name] is after.conditions[name] for name in before.conditions]
    assert same == [True, True, True, True, False]


LEFT = re.compile(r"ListExpr|StringExpr|_skymap|Uppercase")
"""What of the shipped filters is left to Polars: lists of sky maps, and texts that are made."""


def test_shipped_filters_are_translated():
    """Should Polars write its trees otherwise, this fails, and not only the speed is gone."""
    for spec in load_filters(shipped("filters")):
        ((condition),) = make_plan([spec], {name: TYPED.get(name, pl.Float64) for name in spec.columns}).conditions.values()
        made = frozenset().union(*(clause.made for clause in condition.program.clauses))
        assert condition.program.clauses, spec.name
        assert all(LEFT.search(name) for name in made), (spec.name, made)
        assert any(not clause.made for clause in condition.program.clauses), spec.name


@pytest.fixture(scope="module", params=["ztf", "lsst"])
def night(request) -> tuple[str, pl.DataFrame]:
    """Simulated alerts, with light-curve features and columns of catalogues and sky maps."""
    stream = request.param
    names = {name for where in conditions(10, stream) for name in compile_expression(where).columns}
    declared = load_declarations(shipped("schemas") / "streams")[stream]
    start = datetime(2026, 11, 21, 4, tzinfo=UTC)
    packets = simulating.packets(stream, 3, 600, start, cutouts=False, history=10)
    records = [Record(f"raw.{stream}", 0, number, 0, None, packet.data) for number, packet in enumerate(packets)]
    wanted = frozenset(name for name in names if not name.startswith(("lightcurve.", "gw.", "ngc."))) | needs(names)
    frame = features(names)(decode_survey(declared, records, LsstPackage(), wanted)).frame
    near = pl.int_range(pl.len()) % 97
    return stream, frame.with_columns(
        pl.when(near < 40).then(near).cast(pl.Float64).alias("ngc.sep"),
        pl.when(near > 60).then(near / 97).alias("gw.credible_level"),
        pl.when(near > 60).then(near * 3600.0).alias("gw.dt"),
    )


def test_a_hundred_filters_of_people_over_a_simulated_night(night):
    stream, frame = night
    ours = [spec for spec in load_filters(shipped("filters")) if spec.sees(stream)]
    loose = [where.replace(" AND in_cone(", " AND NOT in_cone(") for where in conditions(100, stream)]
    plan = make_plan([*specs(*conditions(100, stream), *loose), *ours], frame.schema)
    assert not plan.faults
    assert not any(plan.conditions[str(number)].program.made for number in range(200))
    polars, loop = both(plan, frame)
    assert loop == polars
    assert len(loop) > 20


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("a", [1.5, None, math.nan, 0.0]),
        pl.Series("a", [1.5, None, math.nan, 0.0], dtype=pl.Float32),
        pl.Series("a", [2**60 + 1, None, -(2**62), 0]),
        pl.Series("a", [1, 2, None, 0], dtype=pl.UInt8),
        pl.Series("a", [True, None, False]),
        pl.Series("a", [None, None], dtype=pl.Boolean),
        pl.Series("a", ["a", None, ""]),
        pl.Series("a", [datetime(2024, 1, 1, tzinfo=UTC), None], dtype=pl.Datetime("us", "UTC")),
        pl.Series("a", [timedelta(days=1), None, timedelta()], dtype=pl.Duration("us")),
    ],
    ids=lambda series: str(series.dtype),
)
def test_tables_hold_what_the_columns_do(series):
    image = link([], {"a": 0})
    image = replace(
        image, integer_columns=["a"], flag_columns=[("a", False), *([("a", True)] if series.dtype == pl.Boolean else [])]
    )
    if series.dtype.is_float():
        image = replace(image, integer_columns=[])
    tables = image.tables({"a": series}.get, len(series))
    assert tables.flags[0].tolist() == series.is_null().to_list()
    if series.dtype == pl.Boolean:
        assert tables.flags[1].tolist() == series.cast(pl.UInt8).fill_null(2).to_list()
    if series.dtype == pl.String:
        assert tables.integers[0].tolist() == [0, -1, -1]
    elif not series.dtype.is_float():
        assert tables.integers[0].tolist() == series.to_physical().cast(pl.Int64).fill_null(0).to_list()


def test_a_constant_beside_nulls_alone():
    frame = pl.DataFrame([(None,) * len(SCHEMA)] * 2, schema=SCHEMA, orient="row")
    assert both(make_plan(specs("0 = round((-(abs(a))), 1)", "2 < round(abs(b), 1)"), frame.schema), frame) == ({}, {})
