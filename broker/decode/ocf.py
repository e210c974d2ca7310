"""Avro object containers in the hot path: headers recognised, blocks found, unpacked where they are compressed.

A header is parsed once; the next container with the same bytes before its sync marker costs one comparison.
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from broker.decode.instructions import MESSAGES
from broker.errors import DecodeError

__all__ = ["MAGIC", "MAX_HELD", "MAX_UNPACKED", "Header", "Spans", "address_of", "find_spans", "header_of", "unpack"]

MAGIC = b"Obj\x01"
MAX_UNPACKED = 64 << 20
"""Bytes the blocks of one container may unpack to."""
MAX_HELD = 512 << 20
"""Bytes that many containers unpack to at a time."""

_KEPT_HEADERS = 64
_MAX_KEPT_HEADER = 1 << 20
_MAX_HEADER_ENTRIES = 1000


@dataclass(frozen=True, eq=False, slots=True)
class Header:
    """What a container says of itself.

    Parameters
    ----------
    prefix
        Its bytes up to, and without, the sync marker.
    schema
        The writer's, as parsed JSON.
    codec
        Its name, ``null`` for none.
    """

    prefix: bytes
    schema: Any
    codec: str


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of records to decode, and where they stop short.

    Parameters
    ----------
    source
        By span: index of the packet it is of; in order.
    address, size, count
        By span: its bytes in memory, and the records they must hold.
    failed
        Reason by packet, for one that breaks or is empty; it broke behind all of its spans given here.
    keep
        Memory the addresses point into.
    taken
        How many of the packets these are of, the first ones: the rest would unpack to more than is held at a time.
    """

    source: npt.NDArray[np.int64]
    address: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    failed: dict[int, str]
    keep: tuple[object, ...]
    taken: int = 0


_recent: list[Header] = []


def header_of(data: bytes) -> Header:
    """Header of a container.

    Raises
    ------
    DecodeError
        It is damaged, or its schema is not JSON.
    """
    for place, known in enumerate(_recent):
        if data.startswith(known.prefix):
            if place > 4:
                _recent[:] = [known, *(other for other in _recent if other is not known)]
            return known
    header = _parse(data)
    if len(header.prefix) <= _MAX_KEPT_HEADER:
        _recent[:] = [header, *_recent[: _KEPT_HEADERS - 1]]
    return header


def address_of(data: bytes) -> int:
    """Where bytes are in memory; they must be kept there by whoever asks."""
    return int(pa.py_buffer(data).address)


def find_spans(packets: Sequence[bytes], header: Header) -> Spans:
    """Blocks of containers that share `header`, in order, each unpacked.

    What they unpack to together is bounded too: see `Spans.taken`, and ask again for the rest.

    A packet fails at its first block that is none; a block that does not end with the sync marker is none.
    """
    from broker.decode import kernel  # noqa: PLC0415 - as the compiler behind it is slow to load

    count = len(packets)
    addresses = np.fromiter((address_of(data) for data in packets), np.int64, count)
    sizes = np.fromiter((len(data) for data in packets), np.int64, count)
    starts = np.full(count, len(header.prefix), np.int64)
    broken, where = np.zeros(count, np.int32), np.zeros(count, np.int64)
    room = 2 * count
    while True:
        source, at, size, held = (np.zeros(room, np.int64) for _ in range(4))
        found = kernel.find_blocks(addresses, sizes, starts, source, at, size, held, broken, where)
        if found <= room:
            break
        room = found
    failed = {
        int(number): f"the container {MESSAGES[int(broken[number])]}, at byte {where[number]}"
        for number in np.flatnonzero(broken)
    }
    spans = Spans(source[:found], at[:found], size[:found], held[:found], failed, tuple(packets), count)
    empty = np.setdiff1d(np.arange(count), spans.source[spans.count > 0])
    for number in empty.tolist():
        failed.setdefault(number, "the container holds no record")
    return spans if header.codec == "null" else _unpacked(spans, packets, addresses, header.codec)


def unpack(block: bytes, codec: str, most: int = MAX_UNPACKED) -> bytes:
    """A block's records.

    Raises
    ------
    DecodeError
        The codec is unknown, the block damaged, or larger than `most` bytes when unpacked.
    """
    try:
        data = _unpack(block, codec, most)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, cramjam.DecompressionError) as error:
        raise DecodeError(f"the container has a block that is not {codec}: {error}") from error
    if data is None:
        raise DecodeError(f"the container unpacks to more than {most} bytes")
    return data


def _unpack(block: bytes, codec: str, most: int) -> bytes | None:
    """The bytes, or ``None`` if they are more than `most`."""
    if codec == "null":
        return block
    if codec == "snappy":
        return _unsnap(block, most)
    if codec == "zstandard":
        space: Any = np.empty(most + 1, np.uint8)  # memory is taken only as it is written
        try:
            size = cramjam.zstd.decompress_into(block, space)
        except cramjam.DecompressionError as error:
            if "failed to write whole buffer" in str(error):
                return None
            raise
        return bytes(space[:size]) if size <= most else None
    if codec == "deflate":
        inflater = zlib.decompressobj(-15)
        data = inflater.decompress(block, most + 1)
        if not inflater.eof and len(data) <= most:
            raise EOFError("it ends before its data does")
        return data if len(data) <= most else None
    if codec in {"bzip2", "xz"}:
        reader = bz2.BZ2Decompressor() if codec == "bzip2" else lzma.LZMADecompressor()
        data = reader.decompress(block, most + 1)
        if not reader.eof and len(data) <= most:
            raise EOFError("it ends before its data does")
        return data if len(data) <= most else None
    raise DecodeError(
        f"the container is compressed with {codec!r}, which is none of null, deflate, snappy, zstandard, bzip2, xz"
    )


def _unsnap(block: bytes, most: int) -> bytes | None:
    claimed, at = 0, 0
    for at in range(min(5, len(block))):
        claimed |= (block[at] & 0x7F) << (7 * at)
        if block[at] < 0x80:
            break
    if claimed > most:
        return None
    data = bytes(cramjam.snappy.decompress_raw(block[:-4]))
    if zlib.crc32(data) != int.from_bytes(block[-4:], "big"):
        raise ValueError("its checksum is wrong")
    return data


def _unpacked(spans: Spans, packets: Sequence[bytes], addresses: npt.NDArray[np.int64], codec: str) -> Spans:
    """The spans with their blocks unpacked; what cannot be ends its packet."""
    failed = dict(spans.failed)
    held, last, taken = 0, -1, len(packets)
    left = dict.fromkeys(range(len(packets)), MAX_UNPACKED)
    broken: set[int] = set()
    good: list[int] = []
    keep: list[bytes] = []
    for number, (source, at, size) in enumerate(
        zip(spans.source.tolist(), spans.address.tolist(), spans.size.tolist(), strict=True)
    ):
        if source in broken:
            continue
        if source > last and source > 0 and held + MAX_UNPACKED > MAX_HELD:
            taken = source
            break
        last = source
        begin = at - int(addresses[source])
        try:
            data = unpack(packets[source][begin : begin + size], codec, left[source])
        except DecodeError as error:
            failed[source] = f"{error}, at byte {begin}"
            broken.add(source)
            continue
        left[source] -= len(data)
        held += len(data)
        good.append(number)
        keep.append(data)
    pick = np.array(good, np.int64)
    return Spans(
        spans.source[pick],
        np.fromiter((address_of(data) for data in keep), np.int64, len(keep)),
        np.fromiter((len(data) for data in keep), np.int64, len(keep)),
        spans.count[pick],
        {source: reason for source, reason in failed.items() if source < taken},
        tuple(keep),
        taken,
    )


def _parse(data: bytes) -> Header:
    if not data.startswith(MAGIC):
        raise DecodeError("the bytes are no Avro container")
    entries: dict[str, bytes] = {}
    at = len(MAGIC)
    while True:
        count, at = _long(data, at)
        if count < 0:
            _, at = _long(data, at)
            count = -count
        if count == 0:
            break
        if count > _MAX_HEADER_ENTRIES or len(entries) > _MAX_HEADER_ENTRIES:
            raise DecodeError("the container's header is damaged: it claims too many entries")
        for _ in range(count):
            key, at = _bytes(data, at)
            entries[key.decode("utf-8", "replace")], at = _bytes(data, at)
    if "avro.schema" not in entries:
        raise DecodeError("the container's header has no schema")
    try:
        schema = json.loads(entries["avro.schema"])
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the container's schema is not JSON: {error}") from error
    return Header(data[:at], schema, entries.get("avro.codec", b"null").decode("utf-8", "replace") or "null")


def _long(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise DecodeError("the container ends inside its header")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise DecodeError("the container's header is damaged: it has an integer of more than 10 bytes")


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _long(data, at)
    if size < 0:
        raise DecodeError("the container's header is damaged: it has a negative length")
    if size > len(data) - at:
        raise DecodeError("the container ends inside its header")
    return data[at : at + size], at + size
