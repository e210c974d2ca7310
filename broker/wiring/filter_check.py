"""The check of a filter against the streams there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from broker.filtering.check import Checked, check_condition, check_filter
from broker.filtering.columns import Known
from broker.filtering.definition import FilterSpec
from broker.filtering.parse import nearest
from broker.wiring.column_list import AtHand, known_of, streams

__all__ = ["check", "check_where"]

_GLOB: Final = "*?["


def check(text: str, source: str, found: AtHand, stream: str | None = None) -> Checked:
    """Check a filter's file, its columns with it.

    Parameters
    ----------
    text
        TOML.
    source
        What the file is called in errors.
    stream
        Whose columns it may name; those the filter sees where not given.

    Raises
    ------
    UsageError
        There is no such stream.
    """
    only = None if stream is None else known_of(stream, found)
    notes: list[str] = []

    def known(spec: FilterSpec) -> Sequence[Known]:
        if not spec.columns:
            notes.append("the condition reads nothing of an alert: it is the same for all of them")
        return (only,) if only is not None else _seen(spec.streams, found, notes)

    checked = check_filter(text, source, known)
    return replace(checked, warnings=(*dict.fromkeys(notes), *checked.warnings))


def check_where(where: str, found: AtHand, stream: str | None = None) -> Checked:
    """Check a condition; without a stream its columns are not looked up."""
    return check_condition(where, () if stream is None else (known_of(stream, found),))


def _seen(patterns: Sequence[str], found: AtHand, notes: list[str]) -> list[Known]:
    """What is known of the streams that a filter sees; those that are not there are told to `notes`."""
    there = streams(found)
    for pattern in patterns:
        if not any(fnmatchcase(stream, pattern) for stream in there):
            like = "" if any(character in pattern for character in _GLOB) else nearest(pattern, there)
            notes.append(f"no stream {pattern!r} is declared here{like}: its columns are not looked up")
    if len(notes) and any("is declared here" in note for note in notes):
        return []
    return [known_of(stream, found) for stream in there if any(fnmatchcase(stream, pattern) for pattern in patterns)]
