"""What a filter is, and the TOML file it is written in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from broker.errors import ExpressionError, FilterError
from broker.filtering.expression import compile_expression, compile_output
from broker.filtering.parse import Parsed, meant, near, nearest, parse
from broker.filtering.places import Place

__all__ = ["Example", "FilterSpec", "Selected", "load_filter", "load_filters", "parse_filter", "read_filter", "wanted"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_ALIAS = re.compile(r"(?is)(.+?)\s+AS\s+([A-Za-z_][A-Za-z0-9_.]*)\s*")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")

_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "version": int,
    "stream": (str, list),
    "description": str,
    "where": str,
    "select": list,
    "active": bool,
    "packet": bool,
    "tests": bool,
    "example": list,
}
MOST_TEXT = 262_144
"""Characters of the longest filter."""
_REQUIRED = ("name", "version", "stream", "description", "where")
_KINDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list"}


@dataclass(frozen=True, slots=True)
class Example:
    """An alert worked by hand, and whether the filter picks it.

    Parameters
    ----------
    alert
        Values by dotted column name; what is left out is null.
    note
        Why.
    """

    alert: Mapping[str, Any]
    matches: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Selected:
    """A value a filter sends along under a name."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """A filter.

    Parameters
    ----------
    name
        Also the topic ``matched.<name>``.
    version
        Stamped on every match.
    streams
        Names or globs of the streams it sees.
    where
        The condition as written; `parsed` is its tree.
    select
        What its matches carry beside the common columns; empty for all there is.
    active
        Whether it runs.
    packet
        Whether its matches carry the whole packet.
    tests
        Whether it sees notices of tests, mock data, injections and commanded events.
    columns
        Names that `where` and `select` read.
    source
        File it comes from.
    """

    name: str
    version: int
    streams: tuple[str, ...]
    description: str
    where: str
    select: tuple[Selected, ...] = ()
    active: bool = True
    packet: bool = False
    tests: bool = False
    examples: tuple[Example, ...] = ()
    columns: frozenset[str] = frozenset()
    source: str = ""
    parsed: Parsed = field(default=Parsed("", ()), repr=False, compare=False)

    def sees(self, stream: str) -> bool:
        """Whether it runs on that stream."""
        return self.active and any(fnmatchcase(stream, pattern) for pattern in self.streams)


def wanted(filters: Sequence[FilterSpec], stream: str) -> frozenset[str]:
    """Names that the filters of a stream read."""
    return frozenset().union(*(spec.columns for spec in filters if spec.sees(stream)))


def load_filters(folder: Path) -> tuple[FilterSpec, ...]:
    """Every ``*.toml`` of a folder, by name.

    Raises
    ------
    FilterError
        A file is wrong, or two have one name.
    """
    if not folder.is_dir():
        raise FilterError(f"no folder of filters at {folder}: make it, or name another in the settings")
    found: dict[str, FilterSpec] = {}
    for path in sorted(folder.glob("*.toml")):
        spec = load_filter(path)
        if spec.name in found:
            raise FilterError(f"{path}: the name {spec.name!r} is taken by {found[spec.name].source}: choose another")
        found[spec.name] = spec
    return tuple(found[name] for name in sorted(found))


def load_filter(path: Path) -> FilterSpec:
    """The filter in a file.

    Raises
    ------
    FilterError
        It cannot be read or is wrong; names the file, the key and the line.
    """
    return parse_filter(read_filter(path), str(path))


def read_filter(path: Path) -> str:
    """The text of a file.

    Raises
    ------
    FilterError
        It cannot be read, is no text, or is too large.
    """
    try:
        if (size := path.stat().st_size) > 4 * MOST_TEXT:
            raise FilterError(f"{path}: {size:,} bytes, and {4 * MOST_TEXT:,} are taken: split the filter")
        return path.read_text("utf-8")
    except OSError as error:
        raise FilterError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FilterError(f"{path}: not UTF-8 text, from byte {error.start} on") from error


def parse_filter(text: str, source: str = "<text>", *, number: int | None = None) -> FilterSpec:
    """The filter in a TOML text.

    Parameters
    ----------
    number
        Its version where the text has none.

    Raises
    ------
    FilterError
        As `load_filter`.
    """
    if len(text) > MOST_TEXT:
        raise FilterError(f"{source}: has {len(text):,} characters, and {MOST_TEXT:,} are taken: split the filter")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        told = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        lines = text.split("\n")
        line, column = (int(told[1]), int(told[2])) if told else (len(lines), len(lines[-1]) + 1)
        raise FilterError(f"{source}: not TOML: {error}", message=f"not TOML: {error}", line=line, column=column) from error
    except RecursionError as error:
        raise FilterError(f"{source}: nested too deep", message="nested too deep") from error
    if number is not None:
        table.setdefault("version", number)
    place = Place(source, text.replace("\r\n", "\n"))
    _check_keys(table, place)
    parsed, columns = _where(table["where"], place)
    select = tuple(_selected(entry, place) for entry in table.get("select", []))
    names = [chosen.name for chosen in select]
    if len(set(names)) < len(names):
        place.fail("select", f"{max(names, key=names.count)!r} is there twice: give one of them another name with AS")
    entries = zip(select, table.get("select", ()), strict=True)
    read = columns.union(*(_output_columns(chosen, entry, place) for chosen, entry in entries))
    return FilterSpec(
        name=table["name"],
        version=table["version"],
        streams=_streams(table["stream"], place),
        description=" ".join(table["description"].split()),
        where=table["where"].strip(),
        select=select,
        active=table.get("active", True),
        packet=table.get("packet", False),
        tests=table.get("tests", False),
        examples=tuple(_example(entry, read, place) for entry in table.get("example", [])),
        columns=read,
        source=source,
        parsed=parsed,
    )


def _check_keys(table: Mapping[str, Any], place: Place) -> None:
    for key, value in table.items():
        if key not in _KEYS:
            like = near(key, _KEYS)
            place.fail(key, f"there is no such key{meant(like)}; there are {', '.join(_KEYS)}", near=like)
        kinds = _KEYS[key]
        allowed = kinds if isinstance(kinds, tuple) else (kinds,)
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            place.fail(key, f"must be {' or '.join(_KINDS[kind] for kind in allowed)}")
    for key in _REQUIRED:
        if key not in table:
            raise FilterError(f"{place.source}: {key} is missing; a filter needs {', '.join(_REQUIRED)}")
    if not _NAME.fullmatch(table["name"]):
        place.fail("name", f"{table['name']!r} cannot be part of a topic's name: use up to 200 letters, digits, '.', '_', '-'")
    if not 1 <= table["version"] < 2**31:
        place.fail("version", f"{table['version']} is not a version: count from 1 up")
    if not table["description"].strip():
        place.fail("description", "is empty: say in a sentence what the filter finds")


def _streams(value: str | list[Any], place: Place) -> tuple[str, ...]:
    streams = [value] if isinstance(value, str) else value
    if not streams or not all(isinstance(stream, str) and stream for stream in streams):
        place.fail("stream", "must name a stream, or list some; globs such as '*' are taken")
    return tuple(streams)


def _where(sql: str, place: Place) -> tuple[Parsed, frozenset[str]]:
    try:
        parsed = parse(sql)
        return parsed, compile_expression(parsed).columns
    except ExpressionError as error:
        return place.fail_in("where", sql, error)


def _selected(entry: object, place: Place) -> Selected:
    if not isinstance(entry, str):
        place.fail("select", f"{entry!r} is not text: list column names or 'expression AS name'")
    named = _ALIAS.fullmatch(entry.strip())
    if named is None and not _PLAIN.fullmatch(entry.strip()):
        place.fail("select", f"{entry!r} needs a name: write '{entry} AS name'")
    return Selected(named[2], named[1]) if named else Selected(entry.strip(), _quoted(entry.strip()))


def _quoted(name: str) -> str:
    """A name whose parts may be SQL's own words."""
    return ".".join(f'"{part}"' for part in name.split("."))


def _output_columns(chosen: Selected, entry: str, place: Place) -> frozenset[str]:
    try:
        return compile_output(chosen.sql).columns
    except ExpressionError as error:
        return place.fail_in("select", entry, error)


def _example(entry: object, read: frozenset[str], place: Place) -> Example:
    if not isinstance(entry, dict) or not isinstance(entry.get("alert"), dict) or not isinstance(entry.get("matches"), bool):
        place.fail("example", "an example has alert = { column = value, ... }, matches = true or false, and perhaps a note")
    unknown = set(entry) - {"alert", "matches", "note"}
    if unknown:
        place.fail(
            "example", f"there is no {min(unknown)!r} in an example{nearest(min(unknown), ['alert', 'matches', 'note'])}"
        )
    alert = _flat(entry["alert"])
    strange = sorted(set(alert) - read)
    if strange:
        like = near(strange[0], read)
        place.fail("example", f"the filter does not read {strange[0]!r}{meant(like)}: leave it out", near=like)
    return Example(alert, entry["matches"], str(entry.get("note", "")))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables, which is how TOML reads ``candidate.rb = 0.9``, as dotted names."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
