"""A received thing as a message for ``raw.<stream>``: the bytes untouched, where they came from in the headers."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO

from broker import topics
from broker.record import Headers, Message

__all__ = ["UNKNOWN", "Bounds", "Kind", "Received", "Sniff", "read_bounded", "to_message"]

UNKNOWN = "unknown"
OVERSIZE_KEPT = 65_536


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
    """How many bytes a record may have, and the folder that keeps whole what has more."""

    max_bytes: int
    keep: Path


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
    """

    value: bytes
    origin: str
    key: bytes | None = None
    headers: Headers = ()
    oversize: str = ""


def read_bounded(stream: IO[bytes], origin: str, bounds: Bounds) -> Received:
    """What a file holds, without ever holding more of it in memory than a record may have.

    Bytes over the bound do not fit the log: they go whole to a file of their own, and a record with the first 64 KiB and the
    name of that file goes on in their place, to be rejected by ``process`` like anything else that cannot be read.
    """
    value = stream.read(bounds.max_bytes + 1)
    if len(value) <= bounds.max_bytes:
        return Received(value, origin)
    file, size = _put_aside(value, stream, bounds.keep)
    reason = f"{size} bytes, more than the {bounds.max_bytes} a record may have; all of them are in {file}"
    return Received(value[: min(OVERSIZE_KEPT, bounds.max_bytes)], origin, oversize=reason)


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


def _put_aside(head: bytes, rest: IO[bytes], folder: Path) -> tuple[Path, int]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as partial:
        partial.write(head)
        shutil.copyfileobj(rest, partial, 1 << 20)
        size = partial.tell()
    with Path(partial.name).open("rb") as written:
        name = hashlib.file_digest(written, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return Path(partial.name).replace(folder / name), size
