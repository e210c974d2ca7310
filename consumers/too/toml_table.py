"""A table of the rules, taken apart key by key; what is wrong is told with its line and its word."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from consumers.too.errors import RulesError
from consumers.too.toml_lines import Path

__all__ = ["REQUIRED", "Table"]

REQUIRED: Any = object()


class Table:
    """Takes values out of a table by kind; `end` complains of what nobody took.

    Parameters
    ----------
    data
        The table.
    path
        Where it stands.
    lines
        Line by path.
    """

    def __init__(self, data: Mapping[str, Any], path: Path = (), lines: Mapping[Path, int] | None = None) -> None:
        self._data, self._path, self._lines = data, path, lines or {}
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def wrong(self, key: str, message: str) -> RulesError:
        """An error at a key of this table."""
        path: Path = (*self._path, key)
        while path and path not in self._lines:
            path = path[:-1]
        return RulesError(message, line=self._lines.get(path, 0), word=key)

    def text(
        self, key: str, default: Any = REQUIRED, *, choices: Sequence[str] = (), pattern: str = "", longest: int = 2000
    ) -> Any:
        """Text; one of `choices`, or of the form `pattern`, where given."""
        value = self._take(key, default)
        if value is default:
            return value
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise self.wrong(key, f"{value!r} is no text of 1 to {longest} characters")
        if choices and value not in choices:
            raise self.wrong(key, f"{value!r} is none of {', '.join(choices)}{_near(value, choices)}")
        if pattern and not re.fullmatch(pattern, value):
            raise self.wrong(key, f"{value!r} is not of the form {pattern}")
        return value

    def number(
        self, key: str, default: Any = REQUIRED, *, low: float = -math.inf, high: float = math.inf, above: float = -math.inf
    ) -> Any:
        """A number from `low` to `high` and more than `above`."""
        value = self._take(key, default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise self.wrong(key, f"{value!r} is no number")
        if not low <= value <= high or not value > above:
            least = f"more than {above:g}" if above >= low else f"{low:g}"
            raise self.wrong(key, f"{value!r} is out of range: {least} to {high:g}")
        return float(value)

    def whole(self, key: str, default: Any = REQUIRED, *, low: int = 0, high: int = 10**9) -> Any:
        """A whole number from `low` to `high`."""
        value = self._take(key, default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, f"{value!r} is no whole number")
        if not low <= value <= high:
            raise self.wrong(key, f"{value!r} is out of range: {low} to {high}")
        return value

    def flag(self, key: str, default: Any = REQUIRED) -> Any:
        """True or false."""
        value = self._take(key, default)
        if value is not default and not isinstance(value, bool):
            raise self.wrong(key, f"{value!r} is neither true nor false")
        return value

    def texts(self, key: str, default: Any = REQUIRED) -> Any:
        """A list of texts, at least one."""
        value = self._take(key, default)
        if value is default:
            return value
        if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value):
            raise self.wrong(key, f'{value!r} is no list of texts: write it like ["one", "two"]')
        return tuple(value)

    def wholes(self, key: str, default: Any = REQUIRED) -> Any:
        """A list of whole numbers."""
        value = self._take(key, default)
        if value is default:
            return value
        if not isinstance(value, list) or not all(isinstance(one, int) and not isinstance(one, bool) for one in value):
            raise self.wrong(key, f"{value!r} is no list of whole numbers")
        return tuple(value)

    def free(self, key: str) -> dict[str, Any]:
        """A table of anything, empty where it is not given."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"{value!r} is no table")
        return value

    def table(self, key: str, *, needed: bool = False) -> Table:
        """A table below, an empty one where it is not given."""
        value = self._take(key, REQUIRED if needed else {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"{value!r} is no table: write it below a line [{self._name(key)}]")
        return Table(value, (*self._path, key), self._lines)

    def tables(self, key: str, *, needed: bool = False) -> list[Table]:
        """Tables below, written with double brackets."""
        value = self._take(key, REQUIRED if needed else [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value) or (needed and not value):
            raise self.wrong(key, f"is no list of tables: write each below a line [[{self._name(key)}]]")
        return [Table(one, (*self._path, key, number), self._lines) for number, one in enumerate(value)]

    def names(self) -> list[str]:
        """Names of its keys."""
        return list(self._data)

    def end(self) -> None:
        """Complain of a key that nobody took.

        Raises
        ------
        RulesError
            There is one.
        """
        for key in self._data:
            if key not in self._known:
                raise self.wrong(key, f"is no key here{_near(key, self._known)}; there are {', '.join(sorted(self._known))}")

    def _take(self, key: str, default: Any) -> Any:
        self._known.append(key)
        if key in self._data:
            return self._data[key]
        if default is REQUIRED:
            raise self.wrong(key, "is missing")
        return default

    def _name(self, key: str) -> str:
        return ".".join([*(str(part) for part in self._path if isinstance(part, str)), key])


def _near(word: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, known, 1)
    return f" (do you mean {found[0]}?)" if found else ""
