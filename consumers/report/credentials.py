"""Credentials, from the environment or from a file that only its owner reads; never from the command line."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consumers.errors import RequestError

__all__ = ["needed", "table"]


def table(path: Path | None, name: str) -> Mapping[str, Any]:
    """A table of a TOML file; empty where no file is given.

    Raises
    ------
    RequestError
        The file cannot be read, or is no TOML.
    """
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text("utf-8")).get(name, {})
    except OSError as error:
        raise RequestError(f"--config {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"--config {path} is no TOML: {error}") from error
    if not isinstance(found, Mapping):
        raise RequestError(f"--config {path}: {name} is no table; write [{name}]")
    return found


def needed(variable: str, path: Path | None, name: str, key: str) -> str:
    """A credential: of the environment, else of the file's table.

    Raises
    ------
    RequestError
        There is none, or others can read the file it is in.
    """
    if given := os.environ.get(variable, "").strip():
        return given
    found = table(path, name).get(key)
    if found is None:
        raise RequestError(f"{variable} is not set: put it into the environment, or {key} into [{name}] of --config FILE")
    assert path is not None
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RequestError(f"{path} holds {key} and others can read it: chmod 600 {path}")
    return str(found)
