"""Sky maps on disk: the arrays of one, in one file, mapped into memory when read.

A file is an uncompressed Arrow IPC file, one column an array: a map of any size is open at once, its pages are shared by all
processes, and other tools can read it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from broker.errors import NotFoundError, StoreUnavailableError

__all__ = ["load", "save"]

Array = npt.NDArray[np.int64] | npt.NDArray[np.float64]

_FACTS = b"nuncius.facts"
_LONGEST = 150  # of a name, in characters


def save(
    root: Path, event_name: str, key: str, arrays: Mapping[str, Array | None], facts: Mapping[str, Any] | None = None
) -> str:
    """Keep a map; one of the same event and key is replaced, whole, under the eyes of its readers.

    Parameters
    ----------
    root
        Folder of maps.
    event_name, key
        What it is of, and which: the alert id of the notice that brought it, or a revision number.
    arrays
        All of one length; those that are ``None`` are left out.
    facts
        Whatever else belongs to it, as JSON.

    Returns
    -------
    str
        Path below `root`.

    Raises
    ------
    StoreUnavailableError
        The disk is full or away.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    table = pa.table({name: pa.array(array) for name, array in given.items()})
    table = table.replace_schema_metadata({_FACTS: json.dumps(dict(facts or {}))})
    name = f"{_slug(event_name)}/{_slug(key)}.arrow"
    path = root / name
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=max(1, table.num_rows))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StoreUnavailableError(f"sky map {path} cannot be written ({error}): it will be tried again") from error
    return name


def load(root: Path, name: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays of a map, read-only and read from disk as they are touched, and its facts.

    Raises
    ------
    NotFoundError
        There is no such map, or it is no map of ours.
    """
    try:
        with pa.memory_map(str(root / name)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise NotFoundError(f"no sky map {name} under {root} ({error})") from error
    facts = json.loads((table.schema.metadata or {}).get(_FACTS, b"{}"))
    return {column: _array(table[column]) for column in table.column_names}, facts


def _array(column: pa.ChunkedArray) -> Array:
    if column.num_chunks != 1:
        return np.asarray(column.combine_chunks())
    return np.asarray(column.chunk(0).to_numpy(zero_copy_only=True))


def _slug(name: str) -> str:
    """A file name for any text; different for different texts."""
    safe = quote(name, safe=" +:;=@,").replace(".", "%2E") or "%"
    if len(safe) <= _LONGEST:
        return safe
    return f"{safe[:_LONGEST]}~{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
