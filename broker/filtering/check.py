"""Whether a filter is right before it runs: its file, its words, its columns on the streams it sees, its worked examples."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

import polars as pl

from broker.errors import ExpressionError, FilterError
from broker.filtering.columns import LISTS, Known, dtypes
from broker.filtering.definition import FilterSpec, parse_filter
from broker.filtering.examples import lacking, run_examples
from broker.filtering.expression import compile_expression, compile_output
from broker.filtering.parse import Parsed, nearest, parse, shortened
from broker.filtering.places import Place
from broker.filtering.scope import DTypes

__all__ = ["Checked", "Fault", "check_condition", "check_filter"]

_LIKELY: Final = 0.8
"""Likeness from which a name is taken for a known one misspelt, where others than those known can be right."""
_OF_LISTS: Final[DTypes] = {"inside": pl.Boolean, "sep": pl.Float64, "id": pl.String}

Compile = Callable[[DTypes], object]
"""Compiles an expression, or a clause, with columns of those types; raises `ExpressionError`."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a filter.

    Parameters
    ----------
    message
        What is wrong and what would be right, without the place.
    line, column
        1-based place in the file, or in the condition where that is all there is; 0 where it has none.
    word
        What stands there.
    nearest
        The known name that is nearest to it, empty for none.
    key
        Key of the file it belongs to.
    """

    message: str
    line: int = 0
    column: int = 0
    word: str = ""
    nearest: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check.

    Parameters
    ----------
    spec
        The filter, where its file could be read.
    faults
        What is wrong: none means that it is right.
    warnings
        What it may be well to know.
    """

    spec: FilterSpec | None
    faults: tuple[Fault, ...]
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it is right."""
        return not self.faults


def check_filter(text: str, source: str = "<text>", known: Callable[[FilterSpec], Sequence[Known]] = lambda _: ()) -> Checked:
    """Check the file of a filter: all of it, and its columns where those of its streams are known.

    Parameters
    ----------
    text
        TOML.
    known
        Of a filter, what is known of the streams whose columns it may name: a column must be in one of them. Where that is
        nothing, columns are not looked up.
    """
    found = _Found()
    place = Place(source, text.replace("\r\n", "\n"))

    def add(key: str, value: str, error: ExpressionError) -> None:
        line, column = place.at(key, value, error.line, error.column) or (place.line_of(key), 0)
        found.add(Fault(error.message, line, column, error.word, error.nearest, key))

    try:
        spec = parse_filter(text, source, number=1)
    except FilterError as error:
        found.add(Fault(error.message, error.line, error.column, error.word, error.nearest, error.key))
        where = tomllib.loads(text)["where"] if error.key == "where" and error.line else None
        if isinstance(where, str):
            for wrong in _errors_of_clauses(where):
                add("where", where, wrong)
        return Checked(None, tuple(found.faults))
    streams = known(spec)
    for wrong in _errors_of_condition(spec.parsed, streams, found):
        add("where", spec.parsed.text, wrong)
    for chosen, entry in zip(spec.select, tomllib.loads(text).get("select", ()), strict=True):
        compiled = compile_output(chosen.sql)
        whole: Compile = lambda columns, sql=chosen.sql: compile_output(sql, columns)  # type: ignore[misc]  # noqa: E731
        for wrong in _errors(compiled.columns, whole, [whole], streams, found):
            add("select", entry, wrong)
    for failure in run_examples(spec):
        which = f"example {failure.number}{f' ({failure.note})' if failure.note else ''}: " if failure.number else ""
        line = place.line_of("example", failure.number) if failure.number else 0
        found.add(Fault(which + failure.reason, line, key="example"))
    for missing in lacking(spec):
        found.warn(missing)
    return Checked(spec, tuple(found.faults), tuple(found.warnings))


def check_condition(text: str, known: Sequence[Known] = ()) -> Checked:
    """Check a condition alone; see `check_filter`. Places are those in the condition."""
    found = _Found()
    try:
        parsed = parse(text)
        compile_expression(parsed)
        errors = list(_errors_of_condition(parsed, known, found))
    except ExpressionError as error:
        errors = [error, *_errors_of_clauses(text)]
    for wrong in errors:
        found.add(Fault(wrong.message, wrong.line, wrong.column, wrong.word, wrong.nearest, "where"))
    return Checked(None, tuple(found.faults), tuple(found.warnings))


@dataclass(slots=True)
class _Found:
    """What has been found so far, each thing once."""

    faults: list[Fault] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        if fault not in self.faults:
            self.faults.append(fault)

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def _errors_of_clauses(text: str) -> list[ExpressionError]:
    """What is wrong with each clause of a condition, whatever the columns; nothing more of one that cannot be parsed."""
    try:
        parsed = parse(text)
    except ExpressionError:
        return []
    alone = [Parsed(text, (clause,)) for clause in parsed.clauses]
    return [error for one in alone if (error := _wrong(lambda _, one=one: compile_expression(one), {})) is not None]  # type: ignore[misc]


def _errors_of_condition(parsed: Parsed, known: Sequence[Known], found: _Found) -> Iterator[ExpressionError]:
    clauses = [Parsed(parsed.text, (clause,)) for clause in parsed.clauses]
    parts: list[Compile] = [lambda columns, one=one: compile_expression(one, columns) for one in clauses]  # type: ignore[misc]
    reads = compile_expression(parsed).columns
    yield from _errors(reads, lambda columns: compile_expression(parsed, columns), parts, known, found)


def _errors(
    reads: frozenset[str], whole: Compile, parts: Sequence[Compile], known: Sequence[Known], found: _Found
) -> Iterator[ExpressionError]:
    """What is wrong with an expression that is right where nothing is known of its columns; warnings go to `found`.

    Parameters
    ----------
    reads
        Columns it names.
    parts
        Its clauses, each of which can be wrong in a way of its own.
    """
    if not known:
        return
    listed = {name: _type_in_list(name) for name in reads if name.partition(".")[0] in LISTS}
    everywhere = listed | {name: dtype for one in reversed(known) for name, dtype in dtypes(one).items()}
    unknown = sorted(reads - everywhere.keys())
    for name in unknown:
        others = {**everywhere, **dict.fromkeys((other for other in unknown if other != name), pl.Unknown)}
        error = _wrong(whole, others)
        assert error is not None  # the name is not among the columns
        if all(one.whole for one in known) or _misspelt(name, everywhere):
            yield error
        else:
            notes = "; ".join(dict.fromkeys(one.note for one in known if one.note))
            found.warn(f"{shortened(name)} is not among the columns known here ({notes}): it is null where a packet has none")
    for name in sorted(reads):
        _warn_of_absent(name, known, found)
        if name in listed:
            _warn_of_list(name, known, found)
    nothing = dict.fromkeys(unknown, pl.Unknown)
    for one in known:
        here = {**dict.fromkeys(everywhere, pl.Null), **nothing, **listed, **dtypes(one)}
        yield from (error for part in parts if (error := _wrong(part, here)) is not None)


def _wrong(compiled: Compile, columns: DTypes) -> ExpressionError | None:
    try:
        compiled(columns)
    except ExpressionError as error:
        return error
    return None


def _misspelt(name: str, columns: DTypes) -> bool:
    """Whether it is a known name but for case, or so like one of the same record that it must be meant."""
    lower = name.lower()
    before, _, last = name.rpartition(".")
    beside = [one.rpartition(".")[2] for one in columns if one.rpartition(".")[0] == before]
    return any(lower == one.lower() for one in columns) or bool(get_close_matches(last, beside, n=1, cutoff=_LIKELY))


def _type_in_list(name: str) -> pl.DataType | type[pl.DataType]:
    return pl.Boolean if name.startswith("moc.") else _OF_LISTS.get(name.rpartition(".")[2], pl.Unknown)


def _warn_of_absent(name: str, known: Sequence[Known], found: _Found) -> None:
    """Say so where a column can be named and is null on every stream."""
    reasons = [one.elsewhere[name][1] for one in known if name in one.elsewhere]
    if len(reasons) == len(known):
        found.warn(f"{name} is null on {', '.join(one.stream for one in known)}: {reasons[0]}")


def _warn_of_list(name: str, known: Sequence[Known], found: _Found) -> None:
    """Say so where a watchlist or a region is not there: what a filter asks of it is unknown until it is."""
    prefix, _, rest = name.partition(".")
    wanted = rest if prefix == "moc" else rest.rpartition(".")[0]
    lists = next((one.lists for one in known if one.lists is not None), None)
    if lists is not None and wanted not in lists.get(prefix, ()):
        shown = {each.name.split(".")[1] for one in known for each in one.columns if each.name.startswith(f"{prefix}.")}
        like = nearest(wanted, shown)
        found.warn(f"there is no {LISTS[prefix]} {wanted!r}{like}: what is asked of it is unknown until there is one")
