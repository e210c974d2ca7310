"""The folder of a catalogue on disk: written beside and swapped in, so that processes started at once never see half of one."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["locked", "mapped", "move_in", "write_folder"]

_reading = threading.Lock()


@contextmanager
def locked(root: Path, *, alone: bool) -> Iterator[None]:
    """Hold the folder of catalogues: together with others who open, or `alone` to swap one; a process that dies lets go."""
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def write_folder(root: Path, name: str, arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write a catalogue in place of what has its name: who has the old one open keeps it; who opens sees the old or the new."""
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{name}.", dir=root) as beside:
        fresh = Path(beside) / "new"
        fresh.mkdir()
        for column, values in arrays.items():
            np.save(fresh / f"{column}.npy", np.ascontiguousarray(values), allow_pickle=False)
        (fresh / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False), encoding="utf-8")
        with locked(root, alone=True):
            with suppress(FileNotFoundError):
                (root / name).rename(Path(beside) / "old")
            fresh.rename(root / name)


def move_in(built: Path, root: Path) -> None:
    """Move a catalogue built elsewhere on the same disk into `root`, unless one has its name."""
    with locked(root, alone=True):
        if not (root / built.name).exists():
            built.rename(root / built.name)


def mapped(path: Path, part: str, rows: int) -> npt.NDArray[Any]:
    """One column, memory-mapped and read-only.

    Raises
    ------
    OSError
        It is not there.
    ValueError
        It is no array of that many rows.
    """
    # A header is Python, and 3.11.7 was seen to miscount where two threads read Python at once, and to raise SystemError.
    with _reading:
        opened = np.load(path / f"{part}.npy", mmap_mode="r", allow_pickle=False)
    # a plain array over the mapping: numpy's own memmap class is slower to slice and no different to read
    values = np.asarray(opened)
    if values.shape != (rows,):
        message = f"{part} has shape {values.shape} instead of ({rows},)"
        raise ValueError(message)
    return values
