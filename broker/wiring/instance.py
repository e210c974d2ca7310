"""A name for this process that the next one after a crash takes over.

Kafka holds back readers behind a transaction that a crash left open until its time is up, or until a publisher of the same name
appears. So names are numbered places: the lowest that no living process of this folder holds.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

__all__ = ["instance_name"]


@contextmanager
def instance_name(data: Path) -> Iterator[str]:
    """Name such as ``host-0``, held while the block runs; the kernel lets go of it however the process ends."""
    folder = data / "instances"
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        handle = os.open(folder / str(number), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        try:
            yield f"{socket.gethostname()}-{number}"
        finally:
            os.close(handle)
        return
