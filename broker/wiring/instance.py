"""A name for this process that the next one after a crash takes over.

Kafka holds back readers behind a transaction that a crash left open until its time is up, or until a publisher of the same name
appears. So names are numbered places: the lowest that no living process of this folder holds.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

__all__ = ["instance_name", "place_of"]


@contextmanager
def instance_name(data: Path) -> Iterator[str]:
    """Name such as ``host-1f3a-0``, held while the block runs; the kernel lets go of it however the process ends."""
    folder = data / "instances"
    folder.mkdir(parents=True, exist_ok=True)
    place = _place(folder)
    for number in count():
        handle = os.open(folder / str(number), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        try:
            yield f"{socket.gethostname()}-{place}-{number}"
        finally:
            os.close(handle)
        return


def place_of(data: Path) -> str:
    """A word of this data folder's own, the same for good."""
    folder = data / "instances"
    folder.mkdir(parents=True, exist_ok=True)
    return _place(folder)


def _place(folder: Path) -> str:
    """A word of this folder's own: two folders on one machine, or two installations on one Kafka, must not share a name."""
    file = folder / "place"
    if not file.exists():
        made = folder / f"place-{secrets.token_hex(4)}"
        made.write_text(secrets.token_hex(4))
        with suppress(FileExistsError):
            os.link(made, file)  # whole or not at all, and the first one stays
        made.unlink()
    return file.read_text()
