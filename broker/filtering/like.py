"""SQL's LIKE patterns and regular expressions, checked when the filter is made.

Both run in Rust's engine, which takes time linear in the text whatever the pattern.
"""

from __future__ import annotations

import re

import polars as pl

__all__ = ["MAX_PATTERN", "like", "like_to_regex", "regex_fault"]

MAX_PATTERN = 200
"""Longest regular expression."""


def like_to_regex(pattern: str, escape: str = "", *, ignore_case: bool = False) -> str:
    """Regular expression for a LIKE pattern: ``%`` any text, ``_`` any one character."""
    out, characters = [], iter(pattern)
    for character in characters:
        if escape and character == escape:
            out.append(re.escape(next(characters, escape)))
        else:
            out.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return f"^(?s{'i' if ignore_case else ''}:{''.join(out)})$"


def like(text: pl.Expr, pattern: str, escape: str = "", *, ignore_case: bool = False) -> pl.Expr:
    """Whether `text` is like `pattern`."""
    plain = not ignore_case and "_" not in pattern and not (escape and escape in pattern)
    if plain and "%" not in pattern[:-1]:
        return text.str.starts_with(pattern[:-1]) if pattern.endswith("%") else text == pattern
    return text.str.contains(like_to_regex(pattern, escape, ignore_case=ignore_case))


def regex_fault(pattern: str) -> str | None:
    """What is wrong with a regular expression, or ``None``."""
    if len(pattern) > MAX_PATTERN:
        return f"the pattern is {len(pattern)} characters long; at most {MAX_PATTERN} are taken"
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        return f"not a regular expression of Rust's syntax: {_reason(str(error))}"
    return None


def _reason(message: str) -> str:
    told = [line for line in message.splitlines() if line.startswith("error: ")]
    return told[0].removeprefix("error: ") if told else message.splitlines()[0].removeprefix("regex error: ")
