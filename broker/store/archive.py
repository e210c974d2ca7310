"""The archive: packets exactly as received, each found by (file, offset, length).

A file is an uncompressed Avro object container that any Avro reader opens, one block a batch, and an address points straight at
the packet's bytes inside it. Files are made by day and rolled by size, and each belongs to one writer: processes never share
one. On a local folder a batch is appended in place, and the tail that a crash tears is cut off by `repair`. Stores that cannot
append (S3 and the like, by any fsspec URL) get one object a batch, whole or not at all: set batches accordingly large there.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from broker.errors import NotFoundError, StoreUnavailableError, UsageError
from broker.record import Record
from broker.store import ocf
from broker.store.tail import LocalFile, repair

__all__ = ["Address", "Archive", "Placed", "repair"]


class Address(NamedTuple):
    """Where a packet's bytes are.

    Parameters
    ----------
    file
        Path below the archive's root, with slashes.
    offset, length
        Bytes.
    """

    file: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Placed:
    """Packets on their way into a file.

    Parameters
    ----------
    addresses
        One a record: where the packets will be.
    block
        What to write; ``None`` where there are no packets.
    name
        Of the file.
    """

    addresses: list[Address]
    block: ocf.Block | None
    name: str


class Archive:
    """Append-only store of packets; use one a process, from one thread at a time, and `close` it.

    Parameters
    ----------
    root
        Folder, or any fsspec URL.
    writer
        Name of the process, part of its files' names.
    roll_bytes
        Size at which a new file is begun.
    durable
        Wait for the disk before `write` returns, so that what it wrote survives a power cut.
    options
        Passed to fsspec.
    """

    def __init__(
        self, root: str, writer: str, *, roll_bytes: int = 1 << 30, durable: bool = True, options: dict[str, Any] | None = None
    ) -> None:
        self._writer = re.sub(r"[^A-Za-z0-9_]+", "_", writer) or "writer"
        self._roll_bytes = roll_bytes
        self._durable = durable
        try:
            self._fs, path = fsspec.core.url_to_fs(root, **(options or {}))
        except (ValueError, ImportError) as error:
            raise UsageError(f"archive {root!r} cannot be opened ({error}): give a folder or an fsspec URL") from error
        self._root = path.rstrip("/")
        self._local = "file" in ((self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol)
        self._file: LocalFile | None = None

    def append(self, records: Sequence[Record]) -> list[Address]:
        """Keep a batch's packets: `place`, then `write`."""
        placed = self.place(records)
        self.write(placed)
        return placed.addresses

    def place(self, records: Sequence[Record]) -> Placed:
        """Decide where a batch's packets will be; one that is never written leaves its place to the next.

        Raises
        ------
        StoreUnavailableError
            No file can be begun.
        """
        if not records:
            return Placed([], None, "")
        block = ocf.block(records)
        try:
            name, base = self._place_local() if self._local else self._place_remote()
        except OSError as error:
            raise self._failed(error) from error
        addresses = [Address(name, base + at, len(record.value)) for at, record in zip(block.starts, records, strict=True)]
        return Placed(addresses, block, name)

    def write(self, placed: Placed) -> None:
        """Put the packets where they were placed, to be done before the next is; on return they are there.

        Raises
        ------
        StoreUnavailableError
            The disk is full or the store is away; nothing of the batch is left behind.
        """
        if placed.block is None:
            return
        try:
            if self._file is not None:
                self._file.append(placed.block)
            else:
                self._write_remote(placed.name, placed.block)
        except OSError as error:
            raise self._failed(error) from error

    def read(self, address: Address) -> bytes:
        """A packet's bytes; nothing else of the file is read.

        Raises
        ------
        NotFoundError
            The file is gone or shorter than the address.
        StoreUnavailableError
            The store is away.
        """
        path = f"{self._root}/{address.file}"
        try:
            if self._local:
                with Path(path).open("rb") as file:
                    data = os.pread(file.fileno(), address.length, address.offset)
            else:
                data = self._fs.cat_file(path, start=address.offset, end=address.offset + address.length)
        except FileNotFoundError as error:
            raise NotFoundError(f"the archive has no file {address.file}: was it moved from {self._root}?") from error
        except OSError as error:
            raise StoreUnavailableError(f"the archive at {self._root} cannot be read ({error})") from error
        if len(data) != address.length:
            raise NotFoundError(f"{address.file} ends before byte {address.offset + address.length}: is it cut short?")
        return bytes(data)

    def repair(self) -> dict[Path, int]:
        """Mend what writers that died left torn, to be done on start; see `repair`. Stores that cannot append need none."""
        return repair(self._root) if self._local else {}

    def close(self) -> None:
        """End the file that is being written; the next batch begins another."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _name(self, day: str) -> str:
        # Nanoseconds and a random word: no two files ever have the same name, whoever writes them.
        return f"{day}/{self._writer}-{time.time_ns():x}-{secrets.token_hex(3)}.avro"

    def _failed(self, error: OSError) -> StoreUnavailableError:
        self.close()
        return StoreUnavailableError(f"the archive at {self._root} cannot be written ({error}): it will be tried again")

    def _place_local(self) -> tuple[str, int]:
        day = datetime.now(UTC).strftime("%Y/%m/%d")
        if self._file is not None and (self._file.size >= self._roll_bytes or not self._file.name.startswith(day)):
            self.close()
        if self._file is None:
            self._file = LocalFile(Path(self._root), self._name(day), durable=self._durable)
        return self._file.name, self._file.size

    def _place_remote(self) -> tuple[str, int]:
        return self._name(datetime.now(UTC).strftime("%Y/%m/%d")), len(ocf.header(b"")) + ocf.SYNC_SIZE

    def _write_remote(self, name: str, block: ocf.Block) -> None:
        sync = secrets.token_bytes(ocf.SYNC_SIZE)
        path = f"{self._root}/{name}"
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self._fs.pipe_file(path, b"".join([ocf.header(sync), *block.parts, sync]))
