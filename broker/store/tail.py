"""The archive's file on a local disk: appended to by one process, mended after a crash.

Beside a file that is being written stands ``<file>.open``, and its writer holds a lock on the file, which ends with the
process however that dies: a file with the mark and without the lock is one to mend, and nothing else need be looked at.
"""

from __future__ import annotations

import fcntl
import os
from itertools import islice
from pathlib import Path

from broker.store import ocf
from broker.telemetry import get_logger

__all__ = ["LocalFile", "repair"]

log = get_logger(__name__)

_OPEN = ".open"
_BUFFERS = min(256, os.sysconf("SC_IOV_MAX"))  # handed to the kernel in one call


class LocalFile:
    """A container being written.

    Parameters
    ----------
    root, name
        Folder of the archive, and path below it, which must be new.
    durable
        Wait for the disk at the end of each append.
    """

    def __init__(self, root: Path, name: str, *, durable: bool) -> None:
        self.name = name
        self.size = 0
        self._path = root / name
        self._durable = durable
        self._sync = os.urandom(ocf.SYNC_SIZE)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # The lock comes before the mark: a mark without a lock always means that the writer is gone.
        self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _mark(self._path).touch()
            self._write([ocf.header(self._sync)])
            if durable:
                os.fsync(self._fd)
                for folder in (self._path.parent, *self._path.parent.parents[: len(Path(name).parts) - 1]):
                    _sync_folder(folder)
        except OSError:
            os.close(self._fd)
            raise

    def append(self, block: ocf.Block) -> None:
        """Write a block at the end.

        Raises
        ------
        OSError
            It could not be written; what was is cut off again.
        """
        start = self.size
        try:
            self._write([*block.parts, self._sync])
            if self._durable:
                os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, start)
            self.size = start
            raise

    def close(self) -> None:
        """Nothing more will be appended."""
        os.close(self._fd)
        _mark(self._path).unlink(missing_ok=True)

    def _write(self, parts: list[bytes]) -> None:
        buffers = iter(parts)
        while chunk := list(islice(buffers, _BUFFERS)):
            left: list[bytes | memoryview] = list(chunk)
            while left:
                written = os.writev(self._fd, left)
                self.size += written
                left = _unwritten(left, written)


def repair(root: Path | str) -> dict[Path, int]:
    """Cut what a crash tore off the files under a local archive; those of living writers are left alone.

    Returns
    -------
    dict
        Bytes cut, by file, of those that were not whole. A file without a whole header is removed.
    """
    cut: dict[Path, int] = {}
    for mark in sorted(Path(root).rglob(f"*.avro{_OPEN}")):
        path = mark.with_suffix("")
        try:
            lost = _repair_file(path)
        except BlockingIOError:
            continue
        except FileNotFoundError:
            lost = 0
        mark.unlink(missing_ok=True)
        if lost:
            cut[path] = lost
            log.warning("archive file mended", file=str(path), bytes_cut=lost)
    return cut


def _repair_file(path: Path) -> int:
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = path.stat().st_size
        good = ocf.whole(file, size)
        if good == 0:
            path.unlink()
        elif good < size:
            file.truncate(good)
            os.fsync(file.fileno())
        return size - good


def _unwritten(parts: list[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    for number, part in enumerate(parts):
        if written < len(part):
            return [memoryview(part)[written:], *parts[number + 1 :]]
        written -= len(part)
    return []


def _mark(path: Path) -> Path:
    return path.with_name(path.name + _OPEN)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
