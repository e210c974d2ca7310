"""What is wrong with a filter is told with the word, its place in the file, and the nearest name."""

from __future__ import annotations

import pytest

from broker.filtering.check import Checked, Fault, check_condition, check_filter
from broker.filtering.columns import ColumnInfo, Known
from broker.filtering.places import Place

HEAD = 'name = "x"\nversion = 1\nstream = "a"\ndescription = "x"\n'
EXAMPLES = "[[example]]\nalert = {}\nmatches = false\n"


def known(stream: str, *, whole: bool = True, **types: str) -> Known:
    columns = {"mag": "number", "band": "text", "stream": "text", "watchlist.supernovae.inside": "boolean"} | {
        name.replace("__", "."): kind for name, kind in types.items()
    }
    return Known(
        stream,
        tuple(ColumnInfo(name, kind, "", "", "") for name, kind in columns.items()),
        whole=whole,
        note="" if whole else "it can have any",
        elsewhere={"old.field": ("number", "only older packets have it")},
        lists={"watchlist": ("supernovae",), "moc": ()},
    )


A = known("a", p__rb="number", p__id="integer", p__ok="boolean", p__when="time", p__odd="unknown", p__text="text")
B = known("b", q__snr="number", p__text="number")
OPEN = known("open", whole=False, p__rb="number")


def checked(where: str, *streams: Known, select: str = "") -> Checked:
    text = f'{HEAD}where = """\nstream = stream\nAND {where}\n"""\n{select}\n{EXAMPLES}'
    return check_filter(text, "x.toml", lambda _: streams)


@pytest.mark.parametrize(
    ("where", "column", "word", "nearest", "message"),
    [
        ("p.rbb > 1", 5, "p.rbb", "p.rb", "unknown column 'p.rbb' (did you mean p.rb?)"),
        ("mag > 1 AND P.RB > 1", 17, "P.RB", "p.rb", "unknown column 'P.RB' (did you mean p.rb?)"),
        ("p['rc'] > 1", 5, "p['rc']", "p.rb", "unknown column 'p.rc' (did you mean p.rb?)"),
        ("p.rb > 'x'", 5, "p.rb", "", "kinds do not go together: p.rb (a number) with 'x' (text)"),
        ("p.text > 3", 5, "p.text", "", "kinds do not go together: p.text (text) with 3 (a number)"),
        ("p.rb", 5, "p.rb", "", "p.rb is a number, not a condition: compare it with something"),
        ("p.when > 5", 5, "p.when", "", "kinds do not go together: p.when (a time) with 5 (a number)"),
        ("lower(p.rb) = 'x'", 11, "p.rb", "", "text of lower is text; p.rb is a number"),
    ],
)
def test_columns_are_those_of_the_stream(where: str, column: int, word: str, nearest: str, message: str) -> None:
    assert checked(where, A).faults == (Fault(message, 7, column, word, nearest, "where"),)


def test_every_clause_and_every_name_is_told() -> None:
    found = checked("p.rbb > 1 AND p.idd = 3 AND p.text > 3 AND p.id < 'x'", A)
    assert [(fault.word, fault.nearest) for fault in found.faults] == [
        ("p.idd", "p.id"),
        ("p.rbb", "p.rb"),
        ("p.text", ""),
        ("p.id", ""),
    ]
    assert not found.ok


def test_every_clause_is_told_where_none_is_right_anywhere() -> None:
    where = "sqrtt(mag) > 3 AND mag < 'x' AND mag < 18 AND alttitude('rubin') > 3"
    found = checked(where, A)
    told = [(7, 5, "sqrtt", "sqrt"), (7, 24, "mag", ""), (7, 51, "alttitude", "altitude")]
    assert [(fault.line, fault.column, fault.word, fault.nearest) for fault in found.faults] == told
    alone = check_condition(where)
    assert [(fault.line, fault.column - 1, fault.word) for fault in alone.faults] == [
        (1, at - 5, word) for _, at, word, _ in told
    ]
    assert len(check_condition("sqrtt(mag) > 3 AND (mag < 3").faults) == 1


@pytest.mark.parametrize("value", ["5", "2026-01-01", "[1]"])
def test_a_condition_that_is_no_text_is_one_fault(value: str) -> None:
    (fault,) = check_filter(HEAD + f"where = {value}\n").faults
    assert fault.key == "where"


def test_what_is_right() -> None:
    for where in ("p.rb > 0.5", "p.odd = 'x' AND p.odd > 3", "p.ok", "p.when > '2026-01-01'", "p.id = 2481391320115015004"):
        found = checked(where, A)
        assert (found.faults, found.warnings) == ((), ("no example that matches: add an [[example]]",))
        assert found.spec is not None


def test_a_column_of_one_stream_is_enough() -> None:
    assert checked("p.rb > 1 OR q.snr > 3", A, B).ok
    assert not checked("p.rb > 1 OR q.snr > 3", A).ok
    assert [fault.word for fault in checked("p.text = 'x'", A, B).faults] == ["p.text"]  # a number on the other


def test_where_there_can_be_others_they_are_warned_of() -> None:
    found = checked("p.whatever > 1 AND colour = 3", OPEN)
    assert found.ok
    assert ["'p.whatever'" in found.warnings[1], "'colour'" in found.warnings[0]] == [True, True]
    for misspelt, meant in (("p.rB > 1", "p.rb"), ("streem = 'x'", "stream")):
        (fault,) = checked(misspelt, OPEN).faults
        assert fault.nearest == meant


def test_what_is_null_and_what_is_not_there_is_warned_of() -> None:
    assert checked("old.field > 1", A).warnings[0] == "old.field is null on a: only older packets have it"
    assert checked("in_watchlist('supernovae', 5)", A).warnings == ("no example that matches: add an [[example]]",)
    told = checked("in_watchlist('supernova') AND in_moc('lmc')", A).warnings
    assert "there is no region 'lmc'" in told[0]
    assert "there is no watchlist 'supernova' (did you mean supernovae?)" in told[1]


def test_what_is_sent_along_is_checked_too() -> None:
    found = checked("p.rb > 1", A, select='select = ["mag", "p.rbb", "mag - p.text AS odd"]')
    assert [(fault.key, fault.line, fault.column, fault.nearest) for fault in found.faults] == [
        ("select", 9, 19, "p.rb"),
        ("select", 9, 34, ""),
    ]


def test_examples_that_fail_are_in_the_line_they_begin() -> None:
    text = f'{HEAD}where = "mag < 18"\n{EXAMPLES}[[example]]\nnote = "faint"\nalert = {{ mag = 20 }}\nmatches = true\n'
    (fault,) = check_filter(text).faults
    assert (fault.line, fault.message, fault.key) == (9, "example 2 (faint): a match expected, none came", "example")


@pytest.mark.parametrize(
    "where",
    [
        "where = 'mag < zz(1)'",
        'where = "mag < zz(1)"',
        "where='''mag < zz(1)'''",
        'where = """mag\n < zz(1)"""',
        'where = """\nmag\n < zz(1)"""',
        'where = "\\"mag\\" < zz(1)"',
        'where = "\\u006dag\\t<\\U00000020zz(1)"',
        'where = """\nmag \\\n   < zz(1)"""',
        '"where" = "mag < zz(1)"',
        "'where' = \"mag < zz(1)\"",
        'where = """\r\nmag <\r\n zz(1)"""',
    ],
)
def test_places_in_the_file(where: str) -> None:
    text = HEAD + where + "\n"
    (fault,) = check_filter(text).faults
    assert fault.word == "zz"
    assert text.replace("\r\n", "\n").split("\n")[fault.line - 1][fault.column - 1 :].startswith("zz(")


def test_a_line_of_a_description_is_not_taken_for_the_key() -> None:
    description = "description = '''\nwhere = \"mag > zz(1)\"\n'''"
    text = HEAD.replace('description = "x"', description) + 'where = "mag < zz(1)"\n'
    (fault,) = check_filter(text).faults
    assert fault.line == text[: text.rindex("where")].count("\n") + 1


def test_a_value_that_cannot_be_found_has_no_place() -> None:
    assert Place("x", 'where = "mag"').at("where", "ra", 1, 1) is None
    assert Place("x", "where = 3").at("where", "3", 1, 1) is None
    assert Place("x", 'where = "mag').at("where", "mag", 1, 1) is None


def test_a_condition_alone() -> None:
    assert check_condition("mag < 18").ok
    assert check_condition("mag <\n 'x'").faults[0].line == 1
    (fault,) = check_condition("mag < 3 AND\n p.rbb > 1", [A]).faults
    assert (fault.line, fault.column, fault.word, fault.nearest) == (2, 2, "p.rbb", "p.rb")
    assert check_condition("").faults[0].message == "the expression is empty: write TRUE to match everything"


@pytest.mark.parametrize(("text", "line", "column"), [('name = "x', 1, 10), (HEAD + "where =\n", 5, 8), ("", 0, 0)])
def test_a_file_half_written(text: str, line: int, column: int) -> None:
    (fault,) = check_filter(text).faults
    assert (fault.line, fault.column) == (line, column)
