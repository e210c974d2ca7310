"""What makes two texts of a filter the same version, and the number in a text."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from typing import Any

from broker.errors import FilterError
from broker.filtering.definition import MOST_TEXT, FilterSpec

__all__ = ["MOST_TEXT", "digest", "name_of", "numbered"]

_VERSION = re.compile(r"(?m)^([ \t]*version[ \t]*=[ \t]*)[+0-9_]+")


def digest(spec: FilterSpec) -> str:
    """Digest of what a filter says; its number, comments and layout are no part.

    Its examples and whether it is active are: a version never changes, and one that a wrong example holds back, or that is not
    active, could otherwise never go live.
    """
    said: dict[str, Any] = {
        "name": spec.name,
        "streams": list(spec.streams),
        "description": spec.description,
        "where": spec.where,
        "select": [[chosen.name, chosen.sql] for chosen in spec.select],
        "packet": spec.packet,
        "tests": spec.tests,
    }
    if spec.examples:
        said["examples"] = [[dict(one.alert), one.matches] for one in spec.examples]
    if not spec.active:
        said["active"] = False
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def name_of(text: str, source: str = "<text>") -> tuple[str, int]:
    """Name and number in a filter's text, whatever else is wrong with it; number 1 where it has none.

    Raises
    ------
    FilterError
        It is no TOML, or names no filter.
    """
    table = _table(text, source)
    name, version = table.get("name"), table.get("version", 1)
    if not isinstance(name, str) or not isinstance(version, int) or isinstance(version, bool):
        raise FilterError(f"{source}: name (text) or version (a whole number) is missing or of the wrong kind")
    return name, version


def numbered(text: str, version: int, source: str = "<text>") -> str:
    """The text with this number for its version, and nothing else changed.

    Raises
    ------
    FilterError
        It is no TOML.
    """
    before = _table(text, source)
    if before.get("version") == version:
        return text
    tries = [text[: at.start()] + at[1] + str(version) + text[at.end() :] for at in _VERSION.finditer(text)]
    for changed in (*tries, f"version = {version}\n{text}"):  # a description may have such a line too
        try:
            after = tomllib.loads(changed)
        except tomllib.TOMLDecodeError:
            continue
        if after == before | {"version": version}:
            return changed
    raise FilterError(f"{source}: version cannot be counted up: write it on a line of its own, version = {version}")


def _table(text: str, source: str) -> dict[str, Any]:
    if len(text) > MOST_TEXT:
        raise FilterError(f"{source}: has {len(text):,} characters, {MOST_TEXT:,} are taken: split the filter")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FilterError(f"{source}: not TOML: {error}") from error
    except RecursionError as error:
        raise FilterError(f"{source}: nested too deep") from error
