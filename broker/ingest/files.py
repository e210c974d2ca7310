"""Files, folders and tarballs, told by their content, into ``raw.<stream>``."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from broker.errors import UsageError
from broker.ingest.raw import Bounds, Received, Sniff, read_bounded, to_message
from broker.record import Message
from broker.telemetry import INGESTED, get_logger
from broker.topics import stream_of

__all__ = ["EXTENSIONS", "Ingested", "check_paths", "ingest_files", "read_paths"]

log = get_logger(__name__)

EXTENSIONS = frozenset({".avro", ".xml", ".json", ".bin", ".fits", ".fit", ".fz", ".gz", ".eml"})
COMPRESSIONS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
LONGEST_HEADER = 1 << 20
_LONG_HEADERS = {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
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
        Those among `skipped` that could not be read.
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
        Told of each file or folder that cannot be read; the others are.

    Raises
    ------
    UsageError
        Where a path does not exist.
    """
    for path in paths:
        for file in _walk(_there(path), on_fault):
            try:
                if _is_tarball(file):
                    yield from _members(file, bounds)
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
        log.warning("passed over: cannot be read", origin=origin, error=str(error))

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


def _is_tarball(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(262)
    if not (head.startswith(tuple(COMPRESSIONS)) or head[257:] == b"ustar"):
        return False
    try:
        with tarfile.open(file, tarinfo=_Member):
            return True
    except _EndlessHeaderError:
        return True  # and damaged, as reading it will tell
    except (tarfile.TarError, EOFError):  # the latter: compressed, and cut off before anything could be told
        return False


class _EndlessHeaderError(tarfile.ReadError):
    """A header larger than any name."""


class _Member(tarfile.TarInfo):
    """Member whose name is no longer than names are: tarfile reads headers of long ones whole, whatever they claim."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_HEADERS and self.size > LONGEST_HEADER:
            raise _EndlessHeaderError(f"a header of {self.size:,} bytes: names have up to {LONGEST_HEADER:,}")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return found


def _members(file: Path, bounds: Bounds) -> Iterator[tuple[Received, bool]]:
    try:
        # Decompressed here because tarfile takes a compressed file that ends too early for one that ends.
        left = ARCHIVE_KEPT
        with _decompressed(file) as plain, tarfile.open(fileobj=plain, mode="r|", tarinfo=_Member) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    room = replace(bounds, keep_bytes=min(bounds.keep_bytes, left))
                    received = read_bounded(content, f"file:{file}#{member.name}", room)
                    left -= received.kept
                    yield received, _is_expected(Path(member.name))
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        # What came before the damage is in; the tarball itself then goes the way of all that cannot be read.
        log.warning("tarball is damaged: what could be read of it is in", file=str(file), error=str(error))
        yield _whole(file, bounds), True


def _decompressed(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        head = stream.read(6)
    opener = next((opener for magic, opener in COMPRESSIONS.items() if head.startswith(magic)), None)
    plain: IO[bytes] = opener(file) if opener else file.open("rb")
    return plain


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
