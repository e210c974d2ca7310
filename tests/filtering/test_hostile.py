"""Expressions that mean harm: each is refused in words, or costs no more than others do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from broker.alert import COMMON, conform
from broker.errors import ExpressionError, FilterError
from broker.filtering.definition import FilterSpec, load_filter, parse_filter
from broker.filtering.evaluate import evaluate, make_plan
from broker.filtering.expression import compile_expression
from broker.filtering.like import regex_fault
from broker.filtering.parse import parse

SCHEMA = {**COMMON, "candidate.rb": pl.Float64, "history.mag": pl.List(pl.Float64)}

REACHING = [
    "read_csv('/etc/passwd') IS NOT NULL",
    "readfile('/etc/passwd') = ''",
    "read_parquet('s3://bucket/x') = 1",
    "pg_sleep(1000) IS NULL",
    "pg_read_file('/etc/passwd') = ''",
    "load_extension('evil') = 1",
    "getenv('HOME') = ''",
    "__import__('os') = 1",
    "eval('1') = 1",
    "sqlite_version() = '3'",
    "version() = '3'",
    "current_user = 'root'",
    "SELECT 1",
    "(SELECT count(*) FROM alerts) > 0",
    "mag IN (SELECT mag FROM alerts)",
    "EXISTS (SELECT 1)",
    "mag < 1; DROP TABLE alerts",
    "mag < 1 UNION SELECT 1",
    "COPY alerts TO '/tmp/x'",
    "ATTACH DATABASE 'x' AS y",
    "PRAGMA writable_schema = 1",
    "INSERT INTO alerts VALUES (1)",
    "mag < 1 -- AND candidate.rb > 0.5\n; SELECT 1",
    "mag < 1 LIMIT 1",
    "mag < 1 ORDER BY mag",
    "WITH x AS (SELECT 1) SELECT * FROM x",
    "*",
    "alerts.*",
    "COLUMNS('.*') > 1",
    "mag < (VALUES (1))",
    "sum(mag) > 1",
    "row_number() OVER () = 1",
    "mag < random()",
    "now() > time",
    "_digest IS NULL",
]


@pytest.mark.parametrize("sql", REACHING)
def test_nothing_is_reached(sql: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(sql, SCHEMA)
    assert caught.value.message


HUGE = {
    "a million characters": "mag < 1 OR " * 100_000 + "TRUE",
    "brackets": "(" * 10_000 + "mag" + ")" * 10_000 + " > 1",
    "brackets of lists": "[" * 10_000,
    "functions in functions": "abs(" * 10_000 + "mag" + ")" * 10_000 + " > 1",
    "nots": "NOT " * 10_000 + "positive",
    "minuses": "- " * 10_000 + "mag > 1",
    "cases in cases": "CASE WHEN positive THEN " * 2_000 + "1" + " END" * 2_000 + " = 1",
    "dots": "a" + ".a" * 40_000 + " = 1",
    "a long name": "a" * 90_000 + " = 1",
    "a long text": "object_id = '" + "a" * 90_000 + "'",
    "a text in a list": "object_id IN ('" + "a" * 90_000 + "')",
    "terms": "mag" + " + 1" * 20_000 + " > 1",
    "operators": " AND ".join(["mag < 1"] * 4_001),
    "a number": "mag < " + "9" * 90_000,
    "a number out of all": "mag < 1e400",
    "one in a list": "mag IN (1, 1e400)",
    "an endless quote": "'" + "a" * 90_000,
    "an endless comment": "mag < 1 /* " + "a" * 90_000,
    "a wide LIKE": f"object_id LIKE '{'%a' * 20_000}'",
    "any characters": f"object_id LIKE '{'_' * 40_000}'",
    "many LIKEs": " OR ".join(f"object_id LIKE '%{number}%x%'" for number in range(1_000)),
    "many patterns": " OR ".join(f"regexp_like(object_id, 'a.*{number}')" for number in range(900)),
    "a heavy pattern": "regexp_like(object_id, '(a{90}){90}')",
    "a heavier one": "regexp_like(object_id, '(.{0,90}x){9}')",
    "heavy letters": r"regexp_like(object_id, '\w*a\w{60}$')",
    "heavy sets": r"regexp_like(object_id, '([^\d]{30}){30}')",
    "either case": r"regexp_like(object_id, '(?i)(abcdefghij){60}')",
    "blanks in a pattern": "regexp_like(object_id, '(?x)a {900}')",
    "too large a pattern": "regexp_like(object_id, '(a{1000}){1000}')",
    "a long CASE": "CASE " + " ".join(f"WHEN mag > {number} THEN {number}" for number in range(990)) + " END > 3",
    "joins": " || ".join(["object_id"] * 40) + " = 'x'",
    "many nights": " OR ".join(f"visible_tonight('rubin', {number})" for number in range(60)),
    "many maps": " OR ".join(f"in_skymap('S{number}%', 0.9)" for number in range(100)),
    "many separations": " OR ".join(f"sep({number}, 1) < 1" for number in range(300)),
    "many roots": " OR ".join(f"sqrt(mag + {number}) < 1" for number in range(900)),
    "roots of roots": "sqrt(" * 30 + "mag" + ")" * 30 + " < 1",
    "quotients of quotients": "mag / (" * 25 + "mag" + ")" * 25 + " < 1",
    "remainders": "mag % (" * 12 + "mag" + ")" * 12 + " < 1",
    "separations of separations": "sep(" * 5 + "1" + ", 2)" * 5 + " < 1",
    "many times": f"time IN ({', '.join(['TIMESTAMP 2026-01-01'.replace(' 2', ' ' + chr(39) + '2') + chr(39)] * 2_500)})",
}


@pytest.mark.parametrize("sql", HUGE.values(), ids=HUGE.keys())
def test_what_would_take_long_is_refused_before_it_runs(sql: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(sql, SCHEMA)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("sql", "word", "nearest"),
    [
        ("\u043cag < 18", "\u043cag", "mag"),  # a Cyrillic letter
        ("ma\u0261 < 18", "ma\u0261", "mag"),
        ("mag\u200b < 18", "mag", "mag"),  # and a space without width
        ("candidate.\u0433b > 0.5", "candidate.\u0433b", "candidate.rb"),
        ("\u8d85\u65b0\u661f > 1", "\u8d85\u65b0\u661f", ""),
    ],
)
def test_letters_that_look_alike(sql: str, word: str, nearest: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(sql, SCHEMA)
    assert (caught.value.line, caught.value.column, caught.value.word, caught.value.nearest) == (1, 1, word, nearest)


@pytest.mark.parametrize(
    "sql", ["band > 3", "mag = 'bright'", "mag < '18'", "band + 1 > 2", "positive = 'yes'", "lower(mag) = 'x'"]
)
def test_text_and_numbers_are_not_compared(sql: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(sql, SCHEMA)
    assert caught.value.line == 1
    assert "text" in caught.value.message


FRAME = conform(pl.DataFrame({"alert_id": ["a", "b", "c"], "mag": [17.0, 0.0, None], "object_id": ["ZTF1", "x" * 2_000, None]}))


def picked(sql: str) -> list[bool]:
    return FRAME.select(_=compile_expression(sql, FRAME.schema).expr)["_"].to_list()


@pytest.mark.parametrize(
    ("sql", "matches"),
    [
        ("TRUE", [True, True, True]),
        ("1 = 1", [True, True, True]),
        ("mag / 0 > 1", [False, False, False]),
        ("(mag / 0) IS NULL", [True, True, True]),
        ("0 / mag = 0", [True, False, False]),
        ("mag % 0 IS NULL", [True, True, True]),
        ("mag > 1e300 * 1e300", [False, False, False]),
        ("mag < 9999999999999999999999999", [True, True, False]),
        ("exp(mag * 1000) IS NULL", [True, False, True]),
        ("round(mag, 999999999999999999999) = 17", [True, False, False]),
        ("mag IN (" + ", ".join(str(number) for number in range(5_000)) + ")", [True, True, False]),
        ("mag IN (" + ", ".join(f"{number}.0" for number in range(5_000)) + ")", [True, True, False]),
        ("object_id IN (" + ", ".join(f"'ZTF{number}'" for number in range(5_000)) + ")", [True, False, False]),
        ("object_id LIKE '%T%1'", [True, False, False]),
        ("object_id LIKE '%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%1'", [True, False, False]),
        ("regexp_like(object_id, '(x+x+)+y')", [False, False, False]),
        ("regexp_like(object_id, '^(([a-z])+.)+[A-Z]([a-z])+$')", [False, False, False]),
        ("(" * 31 + "mag > 1" + ")" * 31, [True, False, False]),
        ("NOT " * 60 + "mag > 1", [True, False, False]),
        ("mag > 1 /* ; DROP TABLE alerts */ -- and more", [True, False, False]),
    ],
)
def test_what_is_strange_and_right(sql: str, matches: list[bool]) -> None:
    assert picked(sql) == matches


def test_the_dearest_that_is_taken_runs() -> None:
    cones = " OR ".join(f"sep({number}, 1) < 1" for number in range(79))
    assert picked(f"object_id = 'ZTF1' OR {cones}") == [True, False, False]
    with pytest.raises(ExpressionError, match="too much work"):
        compile_expression(f"{cones} OR sep(200, 1) < 1 OR sep(201, 1) < 1")


@pytest.mark.parametrize(
    "pattern", ["^S[0-9]{6}[a-z]+$", r"^(ZTF|LSST)\d{2}", "(?i)grb", r"\.fits?$", "[^a-z]{3}", r"[\]x]{5}", r"\x{61}{3}"]
)
def test_patterns_that_people_write_are_taken(pattern: str) -> None:
    assert regex_fault(pattern) is None


def spec(name: str, where: str) -> FilterSpec:
    return FilterSpec(name, 1, ("*",), "", where, parsed=parse(where))


def test_a_hostile_filter_costs_the_others_nothing() -> None:
    """One that is refused, one that fails on these alerts, and those beside them."""
    others = [spec(f"f{number}", f"mag < {number}") for number in range(20)]
    alone = evaluate(make_plan(others, FRAME.schema), FRAME, lambda *told: pytest.fail(str(told)))
    dear = spec("dear", " OR ".join(f"visible_tonight('rubin', {number})" for number in range(60)))
    odd = spec("odd", "object_id > 3")
    broken = replace(spec("broken", "mag < 1"), parsed=parse("strange < 1"))
    told: list[str] = []
    schema = {**FRAME.schema, "strange": pl.Float64}  # promised, and not there
    plan = make_plan([*others[:10], dear, broken, odd, *others[10:]], schema)
    for _ in range(2):
        beside = evaluate(plan, FRAME, lambda name, _why: told.append(name))
        assert {name: mask.to_list() for name, mask in beside.items()} == {name: mask.to_list() for name, mask in alone.items()}
    assert set(told) == {"dear", "odd", "broken"}


def test_files_that_mean_harm(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_bytes(b"# " + b"x" * (1 << 21))
    with pytest.raises(FilterError, match="2,097,154 bytes"):
        load_filter(large)
    with pytest.raises(FilterError, match="are taken: split the filter"):
        parse_filter("# " + "x" * 300_000)
    with pytest.raises(FilterError, match=r"nested too deep|not TOML"):
        parse_filter("name = " + "[" * 100_000)
    half = 'name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = """\nmag < '
    with pytest.raises(FilterError, match=re.escape("not TOML")) as caught:
        parse_filter(half)
    assert caught.value.message.startswith("not TOML")
