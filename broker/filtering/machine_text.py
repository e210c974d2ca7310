"""Patterns over a text column that the compiled loop finds by itself: LIKE, parts of texts, and what is written like these.

A regular expression that is more than letters and wildcards is left to Polars.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from broker.filtering import machine_kernel as k
from broker.filtering.machine_parts import Part, Untranslated

__all__ = ["searched"]

_LONGEST = 64
"""Tokens of a pattern: a text takes at worst as many steps as it has letters times these."""

_ANY = (k.ANY_TEXT,)
_SPECIAL = frozenset("\\.+*?()|[]{}^$#&-~")
_ALL_OF_IT = re.compile(r"\^\(\?s:(.*)\)\$", re.DOTALL)


def searched(option: Any, parts: Sequence[Part]) -> Part:
    """Whether a text column is like a pattern, contains a part, or begins or ends with it.

    Raises
    ------
    Untranslated
        It is no column, or the pattern is not known here or too long.
    """
    text, wanted = parts
    if text.kind != "s" or text.column is None or not isinstance(wanted.value, str):
        raise Untranslated
    if option == "StartsWith":
        tokens = (*wanted.value.encode(), *_ANY)
    elif option == "EndsWith":
        tokens = (*_ANY, *wanted.value.encode())
    elif option["Contains"]["literal"]:
        tokens = (*_ANY, *wanted.value.encode(), *_ANY)
    else:
        tokens = _tokens(wanted.value)
    if len(tokens) > _LONGEST:
        raise Untranslated
    code = (k.LIKE, ("T", text.column), ("N", text.column), ("like", tokens), ("like end", tokens))
    return Part("b", code, cost=20 + len(tokens), made=text.made)


def _tokens(regex: str) -> tuple[int, ...]:
    """Bytes and wildcards of a regular expression, whose whole match they are.

    Raises
    ------
    Untranslated
        It is more than that.
    """
    whole = _ALL_OF_IT.fullmatch(regex)
    if whole:
        return _written(whole[1], dots=True)
    start, end = regex.startswith("^"), regex.endswith("$")
    inner = _written(regex[start : len(regex) - end], dots=False)
    return (*(() if start else _ANY), *inner, *(() if end else _ANY))


def _written(regex: str, *, dots: bool) -> tuple[int, ...]:
    tokens: list[int] = []
    characters = iter(regex)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if escaped not in _SPECIAL and not escaped.isspace():  # a class, a boundary, or nothing
                raise Untranslated
            tokens.extend(escaped.encode())
        elif character == "." and dots:
            tokens.append(k.ANY_CHARACTER)
        elif character == "*" and tokens[-1:] == [k.ANY_CHARACTER]:
            tokens[-1] = k.ANY_TEXT
        elif character in _SPECIAL:
            raise Untranslated
        else:
            tokens.extend(character.encode())
    return tuple(tokens)
