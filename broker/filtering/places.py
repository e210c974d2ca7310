"""Where in a TOML text the words of its values stand, so that what is wrong with an expression is shown in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from broker.errors import ExpressionError, FilterError

__all__ = ["Place"]

_QUOTES = ('"""', "'''", '"', "'")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(\s*\n\s*)|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a filter, to say where in it things are.

    Parameters
    ----------
    source
        What it is called.
    text
        TOML, its lines ended as TOML ends them: by line feeds alone.
    """

    source: str
    text: str

    def fail(self, key: str, message: str, *, near: str = "") -> NoReturn:
        """Raise a `FilterError` at the line of a key.

        Parameters
        ----------
        near
            The known name that is nearest to the one at fault.
        """
        line = self.line_of(key)
        told = f"{self.source}{f', line {line}' if line else ''}, {key}: {message}"
        raise FilterError(told, message=message, line=line, nearest=near, key=key)

    def fail_in(self, key: str, value: str, error: ExpressionError) -> NoReturn:
        """Raise a `FilterError` at the word of an expression that is at fault; see `at`."""
        found = self.at(key, value, error.line, error.column)
        if found is None:
            of = f"line {error.line}, column {error.column} of the expression: " if error.line else ""
            self.fail(key, of + error.message, near=error.nearest)
        line, column = found
        raise FilterError(
            f"{self.source}, line {line}, column {column}, {key}: {error.message}",
            message=error.message,
            line=line,
            column=column,
            word=error.word,
            nearest=error.nearest,
            key=key,
        )

    def line_of(self, key: str, number: int = 1) -> int:
        """Line of a key, or of the table of that name: of the first, the second, ...; 0 where there is none."""
        found = list(re.finditer(rf"(?m)^[ \t]*(?:\[\[?[ \t]*)?{re.escape(key)}\b", self.text))
        return self.text[: found[number - 1].start()].count("\n") + 1 if len(found) >= number else 0

    def at(self, key: str, value: str, line: int, column: int) -> tuple[int, int] | None:
        """Line and column in the file of a place in a key's value, or in one of its list; all are counted from 1.

        ``None`` where it cannot be told.

        Parameters
        ----------
        value
            The text the key stands for, as a TOML reader has it.
        """
        for begin in re.finditer(rf"(?m)^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=[ \t]*(\[?)", self.text):
            starts = [begin.end()]
            if begin[1]:
                starts = [begin.end() + quote.start() for quote in re.finditer(r"[\"']", self.text[begin.end() :])]
            for start in starts:
                offsets = _offsets(self.text, start, value)
                if offsets is not None:
                    return _place(self.text, offsets, value, line, column)
        return None


def _place(text: str, offsets: list[int], value: str, line: int, column: int) -> tuple[int, int] | None:
    lines = value.split("\n")
    if not (1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1):
        return None
    index = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
    offset = offsets[index] if index < len(offsets) else offsets[-1] + 1 if offsets else 0
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _offsets(text: str, start: int, value: str) -> list[int] | None:
    """Where each character of `value` stands, if a string of that value begins at `start`; else ``None``."""
    quote = next((each for each in _QUOTES if text.startswith(each, start)), None)
    if quote is None:
        return None
    start += len(quote)
    if len(quote) == 3 and text.startswith("\n", start):
        start += 1
    offsets: list[int] = []
    # A character beyond the value is its end.
    for (offset, character), wanted in zip(_characters(text, start, quote), [*value, ""], strict=False):
        if wanted == "":
            return offsets if text.startswith(quote, offset) else None
        if character != wanted:
            return None
        offsets.append(offset)
    return None


def _characters(text: str, start: int, quote: str) -> Iterator[tuple[int, str]]:
    """Characters of a string from `start` on, each with its place; the quote that ends it is given as it stands."""
    at = start
    while at < len(text):
        escape = _ESCAPE.match(text, at) if quote[0] == '"' else None
        if escape is None:
            yield at, text[at]
            at += 1
            continue
        short, long, newline, one = escape.groups()
        if newline is None:
            yield at, chr(int(short or long, 16)) if short or long else _ESCAPED.get(one, one)
        at = escape.end()
