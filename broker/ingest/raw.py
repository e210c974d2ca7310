"""A received thing as a message for ``raw.<stream>``: the bytes untouched, where they came from in the headers."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import IO

from broker import topics
from broker.errors import StoreUnavailableError
from broker.record import Headers, Message

__all__ = ["UNKNOWN", "Bounds", "Kind", "Received", "Sniff", "read_bounded", "to_message"]

UNKNOWN = "unknown"
OVERSIZE_KEPT = 65_536
FILE_KEPT = 1 << 30  # bytes of one thing that are put aside: a kilobyte of archive can unpack to a disk full
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Kind:
    """What some bytes are.

    Parameters
    ----------
    stream, content_type
        What they belong to, and what they are.
    ordered
        Whether the stream is worked off in the order it came, in one partition, as revisions of events must be.
    """

    stream: str
    content_type: str
    ordered: bool = False


Sniff = Callable[[bytes], Kind | None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many bytes a record may have, the folder for what has more, and how many bytes of one such thing go there."""

    max_bytes: int
    keep: Path
    keep_bytes: int = FILE_KEPT


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes from outside.

    Parameters
    ----------
    value
        As received.
    origin
        Where from: ``kafka://host/topic/partition/offset`` or ``file:name``, ``file:name#member``.
    key, headers
        The upstream's own.
    oversize
        Where the bytes are only the beginning: how many there were, and where they are.
    kept
        How many were put aside.
    """

    value: bytes
    origin: str
    key: bytes | None = None
    headers: Headers = ()
    oversize: str = ""
    kept: int = 0


def read_bounded(stream: IO[bytes], origin: str, bounds: Bounds) -> Received:
    """What a file holds, without ever holding more of it in memory than a record may have.

    Bytes over the bound do not fit the log: they go to a file of their own, whole unless they are very many, and a record with
    the first 64 KiB and the name of that file goes on in their place, to be rejected by ``process`` like anything else that
    cannot be read.

    Raises
    ------
    StoreUnavailableError
        That file cannot be written. What is raised by reading is raised as it is.
    """
    value = stream.read(bounds.max_bytes + 1)
    if len(value) <= bounds.max_bytes:
        return Received(value, origin)
    begin = value[: min(OVERSIZE_KEPT, bounds.max_bytes)]
    if bounds.keep_bytes <= 0:
        reason = f"more than the {bounds.max_bytes} bytes a record may have; none are put aside, too many of its archive are"
        return Received(begin, origin, oversize=reason)
    file, size, whole = _put_aside(value, stream, bounds)
    counted, all_of_them = (f"{size} bytes", "all of them") if whole else (f"over {size} bytes", f"the first {size}")
    reason = f"{counted}, more than the {bounds.max_bytes} a record may have; {all_of_them} are in {file}"
    return Received(begin, origin, oversize=reason, kept=size)


def to_message(received: Received, kind: Kind | None, bounds: Bounds | None = None) -> Message:
    """Message for the raw topic of its stream; ``raw.unknown`` where nobody knows what it is. What we write has no bounds."""
    kind = kind or Kind(UNKNOWN, "application/octet-stream")
    if bounds is not None and len(received.value) > bounds.max_bytes:
        short = read_bounded(BytesIO(received.value), received.origin, bounds)
        received = replace(short, key=received.key, headers=received.headers)
    ours: Headers = (
        (topics.HEADER_ORIGIN, received.origin.encode()),
        (topics.HEADER_CONTENT_TYPE, kind.content_type.encode()),
        (topics.HEADER_RECEIVED, datetime.now(UTC).isoformat(timespec="microseconds").encode()),
    )
    if received.oversize:
        ours += ((topics.HEADER_OVERSIZE, received.oversize.encode()),)
    # A name of ours from outside would be taken for what we say: a topic to put a dead letter back to, bytes cut short.
    theirs = tuple(pair for pair in received.headers if not pair[0].startswith(topics.OURS))
    key = kind.stream.encode() if kind.ordered else received.key
    return Message(topics.raw(kind.stream), received.value, key, ours + theirs)


def _put_aside(head: bytes, rest: IO[bytes], bounds: Bounds) -> tuple[Path, int, bool]:
    """File with the bytes, how many it has, and whether that is all of them."""
    with _writing(bounds.keep):
        bounds.keep.mkdir(parents=True, exist_ok=True)
        partial = tempfile.NamedTemporaryFile(dir=bounds.keep, delete=False)  # noqa: SIM115  closed below
    digest = hashlib.blake2b(digest_size=16)
    size = seen = 0
    try:
        for chunk in chain([head], iter(lambda: rest.read(CHUNK), b"")):
            seen += len(chunk)
            kept = chunk[: bounds.keep_bytes - size]
            digest.update(kept)
            with _writing(bounds.keep):
                partial.write(kept)
            size += len(kept)
            if size < seen:
                break
        with _writing(bounds.keep):
            partial.close()
            file = Path(partial.name).replace(bounds.keep / digest.hexdigest())
    except BaseException:
        with suppress(OSError):
            partial.close()
        Path(partial.name).unlink(missing_ok=True)
        raise
    return file, size, size == seen


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell what fails in writing from what fails in reading, which says something of what is read."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(f"cannot keep in {folder} what is too large for the log ({error}): make room") from error
