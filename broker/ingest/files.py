"""Files, folders and tarballs, told by their content, into ``raw.<stream>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from broker.errors import UsageError
from broker.ingest.raw import Bounds, Received, Sniff, read_bounded, to_message
from broker.ingest.tarballs import DAMAGE, is_tarball, members
from broker.record import Message
from broker.telemetry import INGESTED, get_logger
from broker.topics import stream_of

__all__ = ["EXTENSIONS", "Ingested", "check_paths", "ingest_files", "read_paths"]

log = get_logger(__name__)

EXTENSIONS = frozenset({".avro", ".xml", ".json", ".bin", ".fits", ".fit", ".fz", ".gz", ".eml"})
BATCH_RECORDS = 500
BATCH_BYTES = 32 << 20
ARCHIVE_KEPT = 8 << 30  # bytes put aside of all members of a tarball

Fault = Callable[[str, OSError], None]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What went in.

    Parameters
    ----------
    records
        By stream.
    skipped
        Files passed over, because nothing in them is an alert or they could not be read.
    unread
        Those among `skipped` that could not be read, or not to their end.
    """

    records: dict[str, int]
    skipped: tuple[str, ...]
    unread: tuple[str, ...] = ()


def check_paths(paths: Iterable[Path]) -> None:
    """See that all paths are there, before anything below the first of them is taken in.

    Raises
    ------
    UsageError
        Where one does not exist.
    """
    for path in paths:
        _there(path)


def read_paths(paths: Iterable[Path], bounds: Bounds, on_fault: Fault) -> Iterator[tuple[Received, bool]]:
    """Bytes of every file and tarball member, and whether each was asked for by name or by its extension.

    Folders are read in order of name; symbolic links to folders are not followed.

    Parameters
    ----------
    on_fault
        Told of each file or folder that cannot be read, and of a tarball that cannot to its end; the others are.

    Raises
    ------
    UsageError
        Where a path does not exist.
    """
    for path in paths:
        for file in _walk(_there(path), on_fault):
            try:
                if is_tarball(file):
                    yield from _members(file, bounds, on_fault)
                else:
                    yield _whole(file, bounds), file == path or _is_expected(file)
            except OSError as error:
                on_fault(f"file:{file}", error)


def ingest_files(
    paths: Iterable[Path],
    append: Callable[[list[Message]], None],
    sniff: Sniff,
    bounds: Bounds,
    on_batch: Callable[[str, int], None] = lambda _origin, _records: None,
) -> Ingested:
    """Append everything below the paths that is an alert, or should have been one.

    A file of no known extension whose content is no alert is passed over; one of a known extension goes to ``raw.unknown``, to
    be rejected there with its bytes.

    Parameters
    ----------
    append
        Puts messages into the log, durably.
    sniff
        Tells what bytes are.
    on_batch
        Told of each batch: the last origin and how many records.
    """
    records: dict[str, int] = {}
    skipped: list[str] = []
    unread: list[str] = []

    def on_fault(origin: str, error: OSError) -> None:
        skipped.append(origin)
        unread.append(origin)
        log.warning("cannot be read", origin=origin, error=str(error))

    def messages() -> Iterator[Message]:
        for received, expected in read_paths(paths, bounds, on_fault):
            kind = sniff(received.value)
            if kind is None and not expected:
                skipped.append(received.origin)
                log.info("passed over: not an alert of any kind known", origin=received.origin)
            else:
                yield to_message(received, kind, bounds)

    for batch in _batches(messages()):
        append(batch)
        for message in batch:
            stream = stream_of(message.topic)
            records[stream] = records.get(stream, 0) + 1
            INGESTED.labels(stream).inc()
        on_batch(batch[-1].headers[0][1].decode(), len(batch))
    return Ingested(records, tuple(skipped), tuple(unread))


def _is_expected(file: Path) -> bool:
    return file.suffix.lower() in EXTENSIONS


def _whole(file: Path, bounds: Bounds) -> Received:
    with file.open("rb") as stream:
        return read_bounded(stream, f"file:{file}", bounds)


def _there(path: Path) -> Path:
    if not path.exists():
        raise UsageError(f"no file or folder {path}")
    return path


def _walk(path: Path, on_fault: Fault) -> Iterator[Path]:
    try:
        if path.is_file():
            found = [path]
        elif path.is_dir():
            found = sorted(entry for entry in path.iterdir() if not (entry.is_symlink() and entry.is_dir()))
        else:
            found = []
            on_fault(f"file:{path}", OSError("neither a file nor a folder, or no longer there"))
    except OSError as error:
        found = []
        on_fault(f"file:{path}", error)
    for entry in found:
        if entry == path:
            yield path
        else:
            yield from _walk(entry, on_fault)


def _members(file: Path, bounds: Bounds, on_fault: Fault) -> Iterator[tuple[Received, bool]]:
    left = ARCHIVE_KEPT
    try:
        for name, content in members(file):
            room = replace(bounds, keep_bytes=min(bounds.keep_bytes, left))
            received = read_bounded(content, f"file:{file}#{name}", room)
            left -= received.kept
            yield received, _is_expected(Path(name))
    except DAMAGE as error:
        # What came before the damage is in; the tarball itself then goes the way of all that cannot be read.
        on_fault(f"file:{file}", OSError(f"the tarball is damaged ({error}): what could be read of it is in"))
        yield _whole(file, bounds), True


def _batches(messages: Iterator[Message]) -> Iterator[list[Message]]:
    while batch := list(islice(_until_full(messages), BATCH_RECORDS)):
        yield batch


def _until_full(messages: Iterator[Message]) -> Iterator[Message]:
    size = 0
    for message in messages:
        yield message
        size += len(message.value)
        if size >= BATCH_BYTES:
            return
