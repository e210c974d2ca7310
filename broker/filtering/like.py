"""SQL's LIKE patterns and regular expressions, checked when the filter is made.

Both run in Rust's engine, which takes time linear in the text whatever the pattern, and linear in the pattern written out:
``(a{90}){90}`` is one of 8,100 letters. That is bounded here.
"""

from __future__ import annotations

import re

import polars as pl

__all__ = ["MAX_PATTERN", "MAX_WEIGHT", "like", "like_fault", "like_to_regex", "pattern_cost", "regex_fault"]

MAX_PATTERN = 200
"""Longest regular expression."""
MAX_WEIGHT = 1_000
"""Heaviest pattern: letters, repetitions written out; wildcards and classes of letters count as several."""

_ANY, _CLASS = 10, 50  # what "." and "\w" weigh, whose Unicode is dozens of states
_ATOM = re.compile(
    r"""(?P<wide>\\[pP](?:\{[^}]*\}|.)|\\[wWdDsS])|(?P<one>\\x\{[^}]*\}|\\[uU]\{[^}]*\}|\\b\{[^}]*\}|\\.)"""
    r"""|(?P<open>\((?:\?(?:P?<\w+>|[imsUuRx-]*:|[imsUuRx-]+(?=\))))?)|(?P<close>\))|(?P<set>\[)"""
    r"""|(?P<times>\{(?P<low>\d*)(?P<comma>,?)(?P<high>\d*)\}|[*+?])|(?P<any>\.)|(?P<letter>.)""",
    re.DOTALL,
)


def like_to_regex(pattern: str, escape: str = "", *, ignore_case: bool = False) -> str:
    """Regular expression for a LIKE pattern: ``%`` any text, ``_`` any one character."""
    out, characters = [], iter(pattern)
    for character in characters:
        if escape and character == escape:
            out.append(re.escape(next(characters, escape)))
        elif character == "%" and out[-1:] == [".*"]:
            continue  # of several the first says it all
        else:
            out.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return f"^(?s{'i' if ignore_case else ''}:{''.join(out)})$"


def like_fault(pattern: str, escape: str = "", *, ignore_case: bool = False) -> str | None:
    """What is wrong with a LIKE pattern, or ``None``."""
    if _plain(pattern, escape, ignore_case=ignore_case):
        return None
    return _too_heavy(like_to_regex(pattern, escape, ignore_case=ignore_case))


def like(text: pl.Expr, pattern: str, escape: str = "", *, ignore_case: bool = False) -> pl.Expr:
    """Whether `text` is like `pattern`."""
    if _plain(pattern, escape, ignore_case=ignore_case):
        return text.str.starts_with(pattern[:-1]) if pattern.endswith("%") else text == pattern
    return text.str.contains(like_to_regex(pattern, escape, ignore_case=ignore_case))


def _plain(pattern: str, escape: str, *, ignore_case: bool) -> bool:
    """Whether it is a text, or the beginning of one."""
    return not ignore_case and "_" not in pattern and not (escape and escape in pattern) and "%" not in pattern[:-1]


def regex_fault(pattern: str) -> str | None:
    """What is wrong with a regular expression, or ``None``."""
    if len(pattern) > MAX_PATTERN:
        return f"the pattern is {len(pattern)} characters long; at most {MAX_PATTERN} are taken"
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        return f"not a regular expression of Rust's syntax: {_reason(str(error))}"
    if re.search(r"\(\?[a-zA-Z]*x", pattern):
        return "the x flag is not taken: write the pattern without blanks"
    return _too_heavy(pattern)


def _reason(message: str) -> str:
    told = [line for line in message.splitlines() if line.startswith("error: ")]
    return told[0].removeprefix("error: ") if told else message.splitlines()[0].removeprefix("regex error: ")


def pattern_cost(regex: str) -> int:
    """Operators that a search for an expression counts as."""
    return 20 + _weight(regex) * 3 // 5


def _too_heavy(regex: str) -> str | None:
    heavy = _weight(regex)
    if heavy <= MAX_WEIGHT:
        return None
    return (
        f"the pattern would take too long: written out it weighs {heavy}, and {MAX_WEIGHT} are taken; "
        "a letter weighs 1, any character 10, a class such as \\w 50, and repeated so many times as much"
    )


def _weight(regex: str) -> int:
    """Letters of a valid expression with its repetitions written out."""
    sums, last = [0], 0  # of the groups that are open; of what a repetition would repeat
    place = 0
    while place < len(regex):
        found = _ATOM.match(regex, place)
        assert found is not None  # its last branch takes any character
        place = found.end()
        if found["open"]:
            sums.append(0)
            last = 0
            continue
        if found["times"]:
            most = max(int(found["low"] or 0), int(found["high"] or 0), 1) if found["low"] is not None else 1
            sums[-1] += last * (most - 1)
            last *= most
            continue
        if found["close"]:
            last = sums.pop() if len(sums) > 1 else 0
        elif found["set"]:
            place, last = _set(regex, place)
        else:
            last = _CLASS if found["wide"] else _ANY if found["any"] else 1
        sums[-1] += last
    whole = sum(sums)
    return whole * 2 if re.search(r"\(\?[a-zA-Z]*i", regex) else whole


def _set(regex: str, place: int) -> tuple[int, int]:
    """End and weight of a set ``[...]`` whose bracket stands before `place`."""
    depth, weight, first = 1, 1, place
    while depth and place < len(regex):
        character = regex[place]
        if character == "\\":
            weight = _CLASS if regex[place + 1 : place + 2] in set("pPwWdDsS") else weight
            place += 1
        elif character == "[":
            depth += 1
        elif character == "]" and place > first and regex[first:place] != "^":
            depth -= 1
        place += 1
    negated = regex[first : first + 1] == "^"
    return place, max(weight, _ANY) if negated else weight
