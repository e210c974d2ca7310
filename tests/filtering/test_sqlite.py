"""What an expression means, held against SQLite on the same rows."""

import sqlite3
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from broker.filtering.definition import FilterSpec
from broker.filtering.evaluate import evaluate, make_plan
from broker.filtering.expression import compile_expression
from broker.filtering.parse import parse

SCHEMA = {"a": pl.Float64, "b": pl.Float64, "i": pl.Int32, "j": pl.Int64, "s": pl.String, "t": pl.String, "p": pl.Boolean}

small = st.integers(-9, 9)
# Halves and quarters are exact, so that rounding is nobody's fault.
quarters = st.integers(-40, 40).map(lambda n: n / 4)
texts = st.sampled_from(["", "a", "A", "ab", "aB", "b%", "_b", "é", "a'b"])
rows = st.lists(
    st.tuples(
        *(st.none() | kind for kind in (quarters, quarters, small, small, texts, texts, st.booleans())),
    ),
    min_size=1,
    max_size=6,
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


numbers = st.recursive(
    st.sampled_from(["a", "b", "i", "j", "NULL"]) | small.map(str) | quarters.map(str),
    lambda inner: (
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})")
        | st.tuples(inner, inner).map(lambda x: f"({x[0]} * 1.0 / {x[1]})")
        | inner.map(lambda x: f"(- {x})")
        | st.tuples(st.sampled_from(["abs", "floor", "ceil"]), inner).map(lambda x: f"{x[0]}({x[1]})")
        | st.tuples(inner, inner).map(lambda x: f"coalesce({x[0]}, {x[1]})")
        | st.tuples(inner, st.sampled_from(["i", "j", "3"])).map(lambda x: f"CASE WHEN p THEN {x[0]} ELSE {x[1]} END")
    ),
    max_leaves=5,
)
strings = (
    st.sampled_from(["s", "t", "NULL"])
    | texts.map(quoted)
    | st.sampled_from(["s", "t"]).map(lambda name: f"lower({name})")
    | st.just("(s || t)")
)
comparisons = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
patterns = st.text("aAb%_", max_size=4).map(quoted)
atoms = (
    st.tuples(numbers, comparisons, numbers).map(lambda x: f"{x[0]} {x[1]} {x[2]}")
    | st.tuples(strings, comparisons, strings).map(lambda x: f"{x[0]} {x[1]} {x[2]}")
    | st.tuples(numbers, st.sampled_from(["", "NOT "]), numbers, numbers).map(
        lambda x: f"{x[0]} {x[1]}BETWEEN {x[2]} AND {x[3]}"
    )
    | st.tuples(st.sampled_from(["i", "j", "a"]), st.sampled_from(["", "NOT "]), st.lists(numbers, min_size=1, max_size=3)).map(
        lambda x: f"{x[0]} {x[1]}IN ({', '.join(x[2])})"
    )
    | st.tuples(st.sampled_from("st"), st.sampled_from(["", "NOT "]), st.lists(strings, min_size=1, max_size=3)).map(
        lambda x: f"{x[0]} {x[1]}IN ({', '.join(x[2])})"
    )
    | st.tuples(st.sampled_from("st"), st.sampled_from(["", "NOT "]), patterns).map(lambda x: f"{x[0]} {x[1]}LIKE {x[2]}")
    | st.tuples(st.sampled_from(["a", "s", "p"]), st.sampled_from(["IS NULL", "IS NOT NULL"])).map(" ".join)
    | st.sampled_from(
        [
            "p",
            "TRUE",
            "FALSE",
            "NULL",
            "NULL IS TRUE",
            "p IS TRUE",
            "p IS NOT TRUE",
            "p IS FALSE",
            "p = 1",
            "i % 3 = j % 4",
            "length(s) > 1",
        ]
    )
)
conditions = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda x: f"({x[0]} {x[1]} {x[2]})")
        | st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda x: f"{x[0]} {x[1]} {x[2]}")
        | inner.map(lambda x: f"NOT {x}")
        | inner.map(lambda x: f"({x}) IS NOT TRUE")
        | st.tuples(inner, inner).map(lambda x: f"CASE WHEN {x[0]} THEN {x[1]} ELSE FALSE END")
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(rows, conditions)
def test_means_what_sqlite_means(data, sql):
    frame = pl.DataFrame(data, schema=SCHEMA, orient="row")
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA case_sensitive_like = ON")
    connection.execute("CREATE TABLE x (a REAL, b REAL, i INTEGER, j INTEGER, s TEXT, t TEXT, p INTEGER)")
    connection.executemany("INSERT INTO x VALUES (?, ?, ?, ?, ?, ?, ?)", data)
    # Whether each row matches, and whether it is unknown: the clauses keep three values, the whole has two.
    truth = [value for (value,) in connection.execute(f"SELECT ({sql}) FROM x ORDER BY rowid")]
    connection.close()
    expression = compile_expression(sql, SCHEMA)
    known = [None if value is None else bool(value) for value in truth]
    note(repr((data, sql, known)))
    got = frame.with_columns(_=expression.expr)["_"].to_list()
    assert got == [value is True for value in known]
    spec = FilterSpec("x", 1, ("*",), "", sql, parsed=parse(sql))
    together = evaluate(make_plan([spec, replace(spec, name="y")], frame.schema), frame, lambda *told: pytest.fail(str(told)))
    assert together["y"].to_list() == got
    if len(expression.clauses) == 1:
        assert frame.with_columns(_=expression.clauses[0].expr)["_"].to_list() == known
