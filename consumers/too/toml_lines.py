"""Where in a TOML file a key stands, so that an error can name the line: `tomllib` does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["Path", "lines_of"]

Path = tuple[str | int, ...]
_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')"
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"^\s*({_DOTTED})\s*=")


def lines_of(text: str) -> dict[Path, int]:
    r"""Line of each table and key, by its path; entries of arrays of tables have their number in the path.

    Examples
    --------
    >>> lines_of('[[rule]]\nname = "a"\n[rule.limits]\nmin_altitude = 30\n')[("rule", 0, "limits", "min_altitude")]
    4
    """
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            names = list(_parts(header[2]))
            here = _resolve((), names[:-1], counts)
            if header[1] == "[[":
                place = (*here, names[-1])
                found.setdefault(place, number)
                counts[place] = counts.get(place, -1) + 1
                here = (*place, counts[place])
            else:
                here = _resolve(here, names[-1:], counts)
            found.setdefault(here, number)
        elif key := _KEY.match(line):
            found.setdefault((*here, *_parts(key[1])), number)
    return found


def _parts(dotted: str) -> Iterator[str]:
    for part in re.findall(_PART, dotted):
        yield part.strip("\"'")


def _resolve(start: Path, names: list[str], counts: dict[Path, int]) -> Path:
    """A path whose arrays of tables stand for their latest entry."""
    here = start
    for name in names:
        here = (*here, name)
        if here in counts:
            here = (*here, counts[here])
    return here
