"""The compiled loop that runs a `broker.decode.program` over a batch of packets, and the one that finds a container's blocks.

Both read by address, so that packets are never joined, and let go of the interpreter lock. Every read is checked against the
end of its span before it happens; a span that breaks ends with a status and a position, and leaves no trace in the columns.

Longer than 300 lines, because it is one loop and the reads it is made of, compiled together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from broker.decode.instructions import (
    ARRAY,
    BLOCK_SIZE,
    BRANCH,
    COUNT,
    DEEP,
    HUGE,
    JUMP,
    LEFTOVER,
    NEGATIVE,
    NEXT,
    OK,
    OPT_READ,
    READ,
    READ_BOOLEAN,
    READ_BYTES,
    READ_DOUBLE,
    READ_FLOAT,
    READ_LONG,
    SKIP,
    SKIP_FIXED,
    SKIP_VARINT,
    SYNC,
    TRUNCATED,
    UNION,
    VARINT,
)

__all__ = ["Ints", "find_blocks", "gather", "run"]

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]

_DEPTH = 64


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first call and keep the machine code on disk, where there is a place for it.

    numba tries ``__pycache__`` and the user's cache folder; set NUMBA_CACHE_DIR where neither can be written.
    """
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


def _loader(kind: Any) -> Callable[..., Any]:
    """Reader of one little-endian number at an address, which need not be aligned."""

    @intrinsic
    def load(_context: Any, address: Any) -> Any:
        def generate(_generator: Any, builder: Any, _signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], _LLVM[kind].as_pointer())
            return builder.load(pointer, align=1)

        return kind(address), generate

    return load


_LLVM = {types.uint8: ir.IntType(8), types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_byte, _float, _double = _loader(types.uint8), _loader(types.float32), _loader(types.float64)


@numba.njit(inline="always")
def _varint(home: Any, at: Any, end: Any) -> tuple[Any, Any]:
    """Zig-zag integer and the position behind it, or minus the status."""
    if at < end and _byte(home + at) < 128:  # most are one byte
        one = np.int64(_byte(home + at))
        return (one >> 1) ^ -(one & 1), at + 1
    value = np.uint64(0)
    for count in range(10):
        if at >= end:
            return 0, -TRUNCATED
        byte = _byte(home + at)
        at += 1
        value |= np.uint64(byte & 127) << np.uint64(7 * count)
        if byte < 128:
            return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1)), at
    return 0, -VARINT


@_jit
def run(  # noqa: C901, PLR0912, PLR0915, PLR0917 - one loop, nothing called: that is what makes it fast
    code: Ints,
    base: Ints,
    owner: Ints,
    room: Ints,
    addresses: Ints,
    sizes: Ints,
    counts: Ints,
    rows: Ints,
    values: Ints,
    reals: Floats,
    extents: Int32s,
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    status: Int32s,
    where: Ints,
) -> bool:
    """Decode spans of records.

    Parameters
    ----------
    code
        The program.
    base, owner
        By column: where in `values` it starts, and the cursor that counts its items (0 counts rows).
    room
        By cursor: items there is room for.
    addresses, sizes, counts, rows
        By span: its bytes, the records it must hold exactly, and the row of the first.
    values, reals, extents
        Out, one after another by column: integers or addresses; the same memory as doubles; bytes read, with -1 (as it comes)
        for null.
    begins, ends
        Out, by cursor and row: the items of that list that are the row's.
    status, where
        Out, by span: how it ended, and the position it broke at.

    Returns
    -------
    full
        True if a list had no room: double it and run again.
    """
    cursors = np.zeros(room.size, np.int64)
    marks = np.zeros(room.size, np.int64)
    left = np.zeros(_DEPTH, np.int64)
    limit = np.zeros(_DEPTH, np.int64)
    opened = np.zeros(_DEPTH, np.int64)
    number_of_cursors = room.size
    for span in range(addresses.size):
        end = sizes[span]
        home = addresses[span]
        for cursor in range(1, number_of_cursors):
            marks[cursor] = cursors[cursor]
        at: Any = np.int64(0)
        error = OK
        record = np.int64(0)
        while record < counts[span]:
            row = rows[span] + record
            cursors[0] = row
            for cursor in range(1, number_of_cursors):
                begins[cursor, row] = cursors[cursor]
            depth = 0
            pc = 0
            block = -1  # address of the ARRAY whose next block is to be opened
            while error == OK:
                operation = code[pc]
                if operation == SKIP:
                    kind = code[pc + 1]
                    size = code[pc + 2]
                    null = code[pc + 3]
                    times = code[pc + 4]
                    pc += 5
                    for _ in range(times):
                        if null >= 0:
                            if at < end and _byte(home + at) <= 2 and (_byte(home + at) & 1) == 0:
                                branch = np.int64(_byte(home + at) >> 1)
                                at += 1
                            else:
                                branch, after = _varint(home, at, end)
                                if after < 0:
                                    error = -after
                                    break
                                if branch < 0 or branch > 1:
                                    error = BRANCH
                                    break
                                at = after
                            if branch == null:
                                continue
                        if kind == SKIP_FIXED:
                            if size > end - at:
                                error = TRUNCATED
                                break
                            at += size
                        elif kind == SKIP_VARINT:
                            _, after = _varint(home, at, end)
                            if after < 0:
                                error = -after
                                break
                            at = after
                        else:
                            length, after = _varint(home, at, end)
                            if after < 0:
                                error = -after
                                break
                            if length < 0:
                                error = NEGATIVE
                                break
                            if length > end - after:
                                error = TRUNCATED
                                break
                            at = after + length
                elif operation in (READ, OPT_READ):
                    if operation == OPT_READ:
                        branch, after = _varint(home, at, end)
                        if after < 0:
                            error = -after
                            break
                        if branch < 0 or branch > 1:
                            error = BRANCH
                            break
                        at = after
                        null = code[pc + 1]
                        kind = code[pc + 2]
                        column = code[pc + 3]
                        size = code[pc + 4]
                        pc += 5
                        if branch == null:
                            continue
                    else:
                        kind = code[pc + 1]
                        column = code[pc + 2]
                        size = code[pc + 3]
                        pc += 4
                    slot = base[column] + cursors[owner[column]]
                    if kind == READ_LONG:
                        value, after = _varint(home, at, end)
                        if after < 0:
                            error = -after
                            break
                        values[slot] = value
                        extents[slot] = after - at
                        at = after
                    elif kind == READ_BYTES:
                        length, after = _varint(home, at, end)
                        if after < 0:
                            error = -after
                            break
                        if length < 0:
                            error = NEGATIVE
                            break
                        if length > end - after:
                            error = TRUNCATED
                            break
                        values[slot] = home + after
                        extents[slot] = length
                        at = after + length
                    else:
                        if size > end - at:
                            error = TRUNCATED
                            break
                        if kind == READ_FLOAT:
                            reals[slot] = _float(home + at)
                        elif kind == READ_DOUBLE:
                            reals[slot] = _double(home + at)
                        elif kind == READ_BOOLEAN:
                            values[slot] = 1 if _byte(home + at) else 0
                        else:
                            values[slot] = home + at
                        extents[slot] = size
                        at += size
                elif operation == UNION:
                    branch, after = _varint(home, at, end)
                    if after < 0:
                        error = -after
                        break
                    if branch < 0 or branch >= code[pc + 1]:
                        error = BRANCH
                        break
                    at = after
                    pc = code[pc + 2 + branch]
                elif operation == JUMP:
                    pc = code[pc + 1]
                elif operation == ARRAY:
                    if depth >= _DEPTH:
                        error = DEEP
                        break
                    opened[depth] = pc
                    limit[depth] = -1
                    depth += 1
                    block = pc
                elif operation == NEXT:
                    start = opened[depth - 1]
                    cursor = code[start + 2]
                    if cursor > 0:
                        cursors[cursor] += 1
                    left[depth - 1] -= 1
                    if left[depth - 1] > 0:
                        pc = start + 5
                        if cursor > 0 and cursors[cursor] >= room[cursor]:
                            return True
                        if code[start + 3]:
                            length, after = _varint(home, at, end)
                            if after < 0:
                                error = -after
                                break
                            if length < 0:
                                error = NEGATIVE
                                break
                            if length > end - after:
                                error = TRUNCATED
                                break
                            at = after + length
                    else:
                        if limit[depth - 1] >= 0 and limit[depth - 1] != at:
                            error = BLOCK_SIZE
                            break
                        block = start
                else:
                    break
                if block >= 0:
                    count, after = _varint(home, at, end)
                    if after < 0:
                        error = -after
                        break
                    at = after
                    limit[depth - 1] = -1
                    if count < 0:
                        size, after = _varint(home, at, end)
                        if after < 0:
                            error = -after
                            break
                        at = after
                        count = -count
                        if size < 0 or count < 0:
                            error = NEGATIVE
                            break
                        if size > end - at:
                            error = TRUNCATED
                            break
                        limit[depth - 1] = at + size
                    if count == 0:
                        depth -= 1
                        pc = code[block + 1]
                    elif count > (end - at) // code[block + 4]:
                        error = COUNT
                        break
                    else:
                        left[depth - 1] = count
                        cursor = code[block + 2]
                        if cursor > 0 and cursors[cursor] >= room[cursor]:
                            return True
                        pc = block + 5
                        if code[block + 3]:
                            length, after = _varint(home, at, end)
                            if after < 0:
                                error = -after
                                break
                            if length < 0:
                                error = NEGATIVE
                                break
                            if length > end - after:
                                error = TRUNCATED
                                break
                            at = after + length
                    block = -1
            if error != OK:
                break
            for cursor in range(1, number_of_cursors):
                ends[cursor, row] = cursors[cursor]
            record += 1
        if error == OK and at != end:
            error = LEFTOVER
        status[span] = error
        where[span] = at
        if error != OK:
            for cursor in range(1, number_of_cursors):
                for column in range(base.size):
                    if owner[column] == cursor:
                        stop = min(cursors[cursor] + 1, room[cursor])
                        for item in range(marks[cursor], stop):
                            extents[base[column] + item] = -1
                cursors[cursor] = marks[cursor]
    return False


@_jit
def find_blocks(  # noqa: C901, PLR0917
    addresses: Ints,
    sizes: Ints,
    starts: Ints,
    block_file: Ints,
    block_at: Ints,
    block_size: Ints,
    block_count: Ints,
    broken: Int32s,
    where: Ints,
) -> int:
    """Find the blocks of Avro containers; gives how many there are, more than the room there is if it did not suffice.

    Parameters
    ----------
    addresses, sizes, starts
        By container: its bytes, and the position of the sync marker that ends its header.
    block_file, block_at, block_size, block_count
        Out, by block: container, address of its bytes, how many, and the records it claims.
    broken, where
        Out, by container: status of the first block that is none, and its position.
    """
    found = 0
    for number in range(addresses.size):
        end = sizes[number]
        home = addresses[number]
        sync = starts[number]
        at = sync + 16
        broken[number] = OK
        if at > end:
            broken[number] = TRUNCATED
            at = end
        while at < end:
            where[number] = at
            count, after = _varint(home, at, end)
            if after < 0:
                broken[number] = -after
                break
            size, after = _varint(home, after, end)
            if after < 0:
                broken[number] = -after
                break
            if count < 0 or size < 0:
                broken[number] = NEGATIVE
                break
            if size > end - after:
                broken[number] = HUGE
                break
            if end - after - size < 16:
                broken[number] = SYNC
                break
            same = True
            for byte in range(16):
                same &= _byte(home + after + size + byte) == _byte(home + sync + byte)
            if not same:
                broken[number] = SYNC
                break
            if found < block_file.size:
                block_file[found] = number
                block_at[found] = addresses[number] + after
                block_size[found] = size
                block_count[found] = count
            found += 1
            at = after + size + 16
    return found


@_jit
def gather(addresses: Ints, offsets: Ints, out: npt.NDArray[np.uint8]) -> None:
    """Copy stretches of bytes one after another: the i-th from ``addresses[i]`` to ``out[offsets[i]:offsets[i + 1]]``."""
    for number in range(addresses.size):
        home = addresses[number]
        begin = offsets[number]
        for byte in range(offsets[number + 1] - begin):
            out[begin + byte] = _byte(home + byte)
