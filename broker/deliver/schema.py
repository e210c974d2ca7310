"""Schemas of what we publish, and the ids they stand under in the Confluent wire format."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from broker.errors import NotFoundError
from broker.paths import shipped

__all__ = ["ALERT", "Published", "alert_schema_id", "framing", "load_published", "newest"]

ALERT = "nuncius.alert"
"""Name of the record on ``alerts.*`` and ``matched.*``."""


@dataclass(frozen=True, slots=True)
class Published:
    """A schema we write with.

    Parameters
    ----------
    id
        In the Confluent framing.
    version
        ``major.minor``: a minor version only adds fields with defaults.
    topics
        Globs of the topics whose values it describes.
    """

    id: int
    name: str
    version: str
    schema: dict[str, Any]
    topics: tuple[str, ...]


def load_published(folder: Path) -> tuple[Published, ...]:
    """The schemas listed in ``ids.toml`` of a folder, by id.

    Raises
    ------
    NotFoundError
        The list, or a schema it names, is not there.
    """
    try:
        listed = tomllib.loads((folder / "ids.toml").read_text("utf-8"))["schema"]
        found = [
            Published(
                entry["id"],
                entry["name"],
                entry["version"],
                json.loads((folder / entry["file"]).read_text("utf-8")),
                tuple(entry["topics"]),
            )
            for entry in listed
        ]
    except FileNotFoundError as error:
        raise NotFoundError(f"{error.filename} is missing: it belongs to the installation, install Nuncius again") from error
    return tuple(sorted(found, key=lambda entry: entry.id))


@cache
def alert_schema_id() -> int:
    """Id of the newest alert schema shipped."""
    return newest(ALERT).id


@cache
def newest(name: str) -> Published:
    """The newest version shipped of the schema of that name."""
    return max((entry for entry in load_published(shipped("schemas")) if entry.name == name), key=lambda entry: entry.id)


def framing(schema_id: int) -> bytes:
    """First five bytes of a value in the Confluent wire format."""
    return b"\x00" + schema_id.to_bytes(4, "big")
