"""Avro object containers as the archive writes them: the bytes of a header and of a block, and where a torn file is whole.

The packets are never copied: a block is a list of buffers to be written one after the other.

References
----------
Apache Avro 1.12 specification, "Object Container Files".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from broker.record import Record

__all__ = ["SCHEMA", "SYNC_SIZE", "Block", "block", "header", "whole"]

SYNC_SIZE: Final = 16
MAGIC: Final = b"Obj\x01"

SCHEMA: Final = {
    "type": "record",
    "name": "Packet",
    "namespace": "nuncius.archive",
    "doc": "A packet as received, and where in the log it was.",
    "fields": [
        {"name": "topic", "type": "string"},
        {"name": "partition", "type": "int"},
        {"name": "offset", "type": "long"},
        {"name": "received", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "packet", "type": "bytes"},
    ],
}


@dataclass(frozen=True, slots=True)
class Block:
    """A block of records, without the sync marker that ends it.

    Parameters
    ----------
    parts
        Buffers to write one after the other.
    starts
        Where each packet's bytes begin, from the start of the block.
    size
        Bytes in all.
    """

    parts: list[bytes]
    starts: list[int]
    size: int


def varint(value: int) -> bytes:
    """An Avro long: zig-zag, seven bits a byte, the lowest first."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def header(sync: bytes) -> bytes:
    """What a file begins with."""
    meta = {b"avro.codec": b"null", b"avro.schema": json.dumps(SCHEMA, separators=(",", ":")).encode()}
    entries = (varint(len(name)) + name + varint(len(value)) + value for name, value in meta.items())
    return b"".join([MAGIC, varint(len(meta)), *entries, varint(0), sync])


def block(records: Sequence[Record]) -> Block:
    """Records as one block, their packets by reference."""
    parts: list[bytes] = [b""]
    starts: list[int] = []
    places: dict[tuple[str, int], bytes] = {}
    at = 0
    for record in records:
        place = places.get(record.place)
        if place is None:
            name = record.topic.encode()
            place = places[record.place] = varint(len(name)) + name + varint(record.partition)
        before = place + varint(record.offset) + varint(record.timestamp) + varint(len(record.value))
        parts += (before, record.value)
        starts.append(at + len(before))
        at += len(before) + len(record.value)
    parts[0] = varint(len(records)) + varint(at)
    first = len(parts[0])
    return Block(parts, [first + start for start in starts], first + at)


def whole(file: BinaryIO, size: int) -> int:
    """Bytes of a file up to the end of its last whole block; 0 where not even the header is whole.

    Parameters
    ----------
    file
        Of `size` bytes, written by us; read by headers of blocks only, not the packets.
    """
    file.seek(0)
    start = file.read(4096)
    expected = header(b"")
    if not start.startswith(expected) or len(start) < len(expected) + SYNC_SIZE:
        return 0
    good = len(expected) + SYNC_SIZE
    sync = start[len(expected) : good]
    while good < size:
        file.seek(good)
        head = file.read(20)
        _, used = _read_varint(head, 0)
        length, used = _read_varint(head, used)
        end = good + used + length + SYNC_SIZE
        if used < 0 or length < 0 or end > size:
            break
        file.seek(end - SYNC_SIZE)
        if file.read(SYNC_SIZE) != sync:
            break
        good = end
    return good


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Value and the place behind it; a place of -1 where the bytes end or are no long."""
    value = shift = 0
    while 0 <= at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
    return -1, -1
