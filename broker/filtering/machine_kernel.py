"""The compiled loop that runs the programs of many filters over a batch's columns.

A program is a row of instructions on a stack of columns: each handles the rows that are still in, so that deciding what to do
costs a batch and filter some nanoseconds and not each row. After every clause only the rows that passed go on. Values are
doubles or 64-bit integers, each with a flag that it is null; what is true or false is in the flags alone: 0 false, 1 true,
2 null. What each instruction gives is what Polars gives, to the last bit.

Longer than 300 lines, because it is one loop.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled

__all__ = ["ANY_CHARACTER", "ANY_TEXT", "DEPTH", "Bytes", "Floats", "Ints", "run"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

DEPTH = 24
"""Columns on the stack at most."""

_BLOCK = 1024  # rows at a time, so that the stack stays in the cache

# Instructions and their operands; a null column is that of the flags, or -1 where NaN says null.
END = 0
KEEP_F = 1  # comparison, column (NaN is null there), constant: a whole clause
KEEP_I = 2  # comparison, column, null column, constant: a whole clause
KEEP_B = 3  # column, bits of the values that pass: a whole clause
KEEP = 4  # those of which the top of the stack is true
LOAD_F = 5  # column, null column
LOAD_I = 6  # column, null column
LOAD_B = 7  # column
CONST_F = 8  # constant
CONST_I = 9  # constant
CONST_B = 10  # flag: 0, 1 or 2 for truth values, 1 for a number that is null
I_TO_F = 11
B_TO_I = 12
ADD, SUB, MUL, DIV, ADD_I, SUB_I = 13, 14, 15, 16, 17, 18
CMP_F = 19  # comparison
CMP_I = 20  # comparison
AND, OR, NOT = 21, 22, 23
IS_NULL = 24  # is it of truth values, is it to be null
IS_FINITE, IS_NAN, IS_NOT_NAN = 25, 26, 27
FINITE = 28  # null where infinite or NaN
SELECT_F, SELECT_I, SELECT_B = 29, 30, 31  # where the first is true the second, else the third
COALESCE_F, COALESCE_I, COALESCE_B = 32, 33, 34
UNARY = 35  # function
BINARY = 36  # function
POWER_OF = 37  # whole exponent of 2 to 9
CLIP = 38  # constants low, high
IN_I = 39  # first and last of a sorted run of constants
SCALE = 40  # constant: times it
BITS = 41  # of a number that is a double, as an integer: equal numbers have the same
LIKE = 42  # text column, null column, first and last of the constants that are a pattern

ANY_CHARACTER, ANY_TEXT = 256, 257
"""What a pattern has beside bytes."""

EQ, NE, LT, LE, GT, GE, EQ_MISSING, NE_MISSING = range(8)
ABS, NEG, SQRT, SIN, COS, ASIN, EXP, LN, FLOOR, CEIL = range(10)
ATAN2, POW, MIN, MAX = range(4)


@compiled
def run(  # noqa: C901, PLR0912, PLR0915, PLR0917 - one loop, nothing called: that is what makes it fast
    code: Ints,
    starts: Ints,
    floats: Floats,
    integers: Ints,
    table_f: Floats,
    table_i: Ints,
    table_b: Bytes,
    slot_f: Ints,
    slot_i: Ints,
    slot_b: Ints,
    texts: Bytes,
    text_bounds: Ints,
    slot_t: Ints,
    height: int,
    some: bool,
    given_from: Ints,
    given: Ints,
) -> tuple[Ints, Ints]:
    """Rows that pass, program by program.

    Parameters
    ----------
    code, starts
        Programs, and where each begins.
    floats, integers
        Constants.
    table_f, table_i, table_b
        Columns by number.
    slot_f, slot_i, slot_b
        Which row of its table a column of the programs is.
    texts, text_bounds, slot_t
        UTF-8 of the text columns that patterns are looked for in; row ``r`` of column ``c`` is from ``text_bounds[c, r]`` to
        ``text_bounds[c, r + 1]``.
    height
        Rows of the batch.
    some, given_from, given
        Whether each program sees only some rows, and which: ``given[given_from[p]:given_from[p + 1]]``.

    Returns
    -------
    Bounds by program, and rows in order.
    """
    rf = np.empty((DEPTH, _BLOCK), np.float64)
    ri = np.empty((DEPTH, _BLOCK), np.int64)
    bits = rf.view(np.int64)
    rn = np.empty((DEPTH, _BLOCK), np.uint8)
    idx = np.empty(_BLOCK, np.int64)
    bounds = np.zeros(len(starts) + 1, np.int64)
    rows = np.empty(1024, np.int64)
    filled = 0
    for program in range(len(starts)):
        first = given_from[program] if some else 0
        last = given_from[program + 1] if some else height
        for begin in range(first, last, _BLOCK):
            m = min(_BLOCK, last - begin)
            if some:
                for j in range(m):
                    idx[j] = given[begin + j]
            else:
                for j in range(m):
                    idx[j] = begin + j
            at = starts[program]
            top = -1
            while m > 0:
                op = code[at]
                if op == END:
                    break
                if op == KEEP_F:
                    compare, column, value = code[at + 1], table_f[slot_f[code[at + 2]]], floats[code[at + 3]]
                    at += 4
                    k = 0
                    if compare == LT:
                        for j in range(m):
                            row = idx[j]
                            idx[k] = row
                            k += column[row] < value
                    elif compare == GT:
                        for j in range(m):
                            row = idx[j]
                            idx[k] = row
                            k += column[row] > value
                    elif compare == LE:
                        for j in range(m):
                            row = idx[j]
                            idx[k] = row
                            k += column[row] <= value
                    elif compare == GE:
                        for j in range(m):
                            row = idx[j]
                            idx[k] = row
                            k += column[row] >= value
                    elif compare == EQ:
                        for j in range(m):
                            row = idx[j]
                            idx[k] = row
                            k += column[row] == value
                    else:
                        for j in range(m):
                            row = idx[j]
                            idx[k] = row
                            k += (column[row] < value) | (column[row] > value)
                    m = k
                elif op == KEEP_I:
                    compare, numbers, nulls = code[at + 1], table_i[slot_i[code[at + 2]]], table_b[slot_b[code[at + 3]]]
                    wanted = integers[code[at + 4]]
                    at += 5
                    k = 0
                    for j in range(m):
                        row = idx[j]
                        idx[k] = row
                        number = numbers[row]
                        if compare == EQ:
                            good = number == wanted
                        elif compare == NE:
                            good = number != wanted
                        elif compare == LT:
                            good = number < wanted
                        elif compare == LE:
                            good = number <= wanted
                        elif compare == GT:
                            good = number > wanted
                        else:
                            good = number >= wanted
                        k += good & (nulls[row] == 0)
                    m = k
                elif op == KEEP_B:
                    truths, passes = table_b[slot_b[code[at + 1]]], code[at + 2]
                    at += 3
                    k = 0
                    for j in range(m):
                        row = idx[j]
                        idx[k] = row
                        k += (passes >> truths[row]) & 1
                    m = k
                elif op == KEEP:
                    at += 1
                    k = 0
                    for j in range(m):
                        idx[k] = idx[j]
                        k += rn[0, j] == 1
                    m = k
                    top = -1
                elif op == LOAD_F:
                    column, where = table_f[slot_f[code[at + 1]]], code[at + 2]
                    at += 3
                    top += 1
                    if where < 0:
                        for j in range(m):
                            value = column[idx[j]]
                            rf[top, j] = value
                            rn[top, j] = value != value  # noqa: PLR0124 - NaN
                    else:
                        nulls = table_b[slot_b[where]]
                        for j in range(m):
                            rf[top, j] = column[idx[j]]
                            rn[top, j] = nulls[idx[j]]
                elif op == LOAD_I:
                    numbers, nulls = table_i[slot_i[code[at + 1]]], table_b[slot_b[code[at + 2]]]
                    at += 3
                    top += 1
                    for j in range(m):
                        ri[top, j] = numbers[idx[j]]
                        rn[top, j] = nulls[idx[j]]
                elif op == LOAD_B:
                    truths = table_b[slot_b[code[at + 1]]]
                    at += 2
                    top += 1
                    for j in range(m):
                        rn[top, j] = truths[idx[j]]
                elif op == CONST_F:
                    value = floats[code[at + 1]]
                    at += 2
                    top += 1
                    for j in range(m):
                        rf[top, j] = value
                        rn[top, j] = 0
                elif op == CONST_I:
                    wanted = integers[code[at + 1]]
                    at += 2
                    top += 1
                    for j in range(m):
                        ri[top, j] = wanted
                        rn[top, j] = 0
                elif op == CONST_B:
                    truth = code[at + 1]
                    at += 2
                    top += 1
                    for j in range(m):
                        rf[top, j] = 0.0
                        ri[top, j] = 0
                        rn[top, j] = truth
                elif op == I_TO_F:
                    at += 1
                    for j in range(m):
                        rf[top, j] = float(ri[top, j])
                elif op == B_TO_I:
                    at += 1
                    for j in range(m):
                        ri[top, j] = rn[top, j] & 1
                        rn[top, j] = rn[top, j] >> 1
                elif op == SCALE:
                    value = floats[code[at + 1]]
                    at += 2
                    for j in range(m):
                        rf[top, j] *= value
                elif op == ADD:
                    at += 1
                    top -= 1
                    for j in range(m):
                        rf[top, j] += rf[top + 1, j]
                        rn[top, j] |= rn[top + 1, j]
                elif op == SUB:
                    at += 1
                    top -= 1
                    for j in range(m):
                        rf[top, j] -= rf[top + 1, j]
                        rn[top, j] |= rn[top + 1, j]
                elif op == MUL:
                    at += 1
                    top -= 1
                    for j in range(m):
                        rf[top, j] *= rf[top + 1, j]
                        rn[top, j] |= rn[top + 1, j]
                elif op == DIV:
                    at += 1
                    top -= 1
                    for j in range(m):
                        rf[top, j] /= rf[top + 1, j]
                        rn[top, j] |= rn[top + 1, j]
                elif op in (ADD_I, SUB_I):
                    at += 1
                    top -= 1
                    for j in range(m):
                        ri[top, j] = ri[top, j] + ri[top + 1, j] if op == ADD_I else ri[top, j] - ri[top + 1, j]
                        rn[top, j] |= rn[top + 1, j]
                elif op == CMP_F:
                    compare = code[at + 1]
                    at += 2
                    top -= 1
                    for j in range(m):
                        a, b = rf[top, j], rf[top + 1, j]
                        # NaN is NaN's equal, and greater than all else.
                        same = (a == b) | ((a != a) & (b != b))  # noqa: PLR0124
                        less = (a < b) | ((a == a) & (b != b))  # noqa: PLR0124
                        unknown = rn[top, j] | rn[top + 1, j]
                        if compare == EQ:
                            good = same
                        elif compare == NE:
                            good = not same
                        elif compare == LT:
                            good = less
                        elif compare == LE:
                            good = less | same
                        elif compare == GT:
                            good = not (less | same)
                        elif compare == GE:
                            good = not less
                        else:
                            both = rn[top, j] & rn[top + 1, j]
                            good = ((unknown == 0) & same) | (both == 1)
                            good = good == (compare == EQ_MISSING)
                            unknown = np.uint8(0)
                        rn[top, j] = 2 if unknown else good
                elif op == CMP_I:
                    compare = code[at + 1]
                    at += 2
                    top -= 1
                    for j in range(m):
                        p, q = ri[top, j], ri[top + 1, j]
                        unknown = rn[top, j] | rn[top + 1, j]
                        if compare == EQ:
                            good = p == q
                        elif compare == NE:
                            good = p != q
                        elif compare == LT:
                            good = p < q
                        elif compare == LE:
                            good = p <= q
                        elif compare == GT:
                            good = p > q
                        elif compare == GE:
                            good = p >= q
                        else:
                            both = rn[top, j] & rn[top + 1, j]
                            good = ((unknown == 0) & (p == q)) | (both == 1)
                            good = good == (compare == EQ_MISSING)
                            unknown = np.uint8(0)
                        rn[top, j] = 2 if unknown else good
                elif op == AND:
                    at += 1
                    top -= 1
                    for j in range(m):
                        s, t = rn[top, j], rn[top + 1, j]
                        rn[top, j] = 0 if (s == 0) | (t == 0) else 2 if (s | t) > 1 else 1
                elif op == OR:
                    at += 1
                    top -= 1
                    for j in range(m):
                        s, t = rn[top, j], rn[top + 1, j]
                        rn[top, j] = 1 if (s == 1) | (t == 1) else s | t
                elif op == NOT:
                    at += 1
                    for j in range(m):
                        if rn[top, j] < 2:
                            rn[top, j] = 1 - rn[top, j]
                elif op == IS_NULL:
                    flag, want = 2 if code[at + 1] else 1, code[at + 2]
                    at += 3
                    for j in range(m):
                        rn[top, j] = (rn[top, j] == flag) == (want == 1)
                elif op == IS_FINITE:
                    at += 1
                    for j in range(m):
                        rn[top, j] = 2 if rn[top, j] else math.isfinite(rf[top, j])
                elif op == IS_NAN:
                    at += 1
                    for j in range(m):
                        rn[top, j] = 2 if rn[top, j] else math.isnan(rf[top, j])
                elif op == IS_NOT_NAN:
                    at += 1
                    for j in range(m):
                        rn[top, j] = 2 if rn[top, j] else not math.isnan(rf[top, j])
                elif op == FINITE:
                    at += 1
                    for j in range(m):
                        rn[top, j] |= not math.isfinite(rf[top, j])
                elif op in (SELECT_F, SELECT_I, SELECT_B):
                    at += 1
                    top -= 2
                    for j in range(m):
                        which = top + 1 if rn[top, j] == 1 else top + 2
                        if op == SELECT_F:
                            rf[top, j] = rf[which, j]
                        elif op == SELECT_I:
                            ri[top, j] = ri[which, j]
                        rn[top, j] = rn[which, j]
                elif op in (COALESCE_F, COALESCE_I, COALESCE_B):
                    flag = 2 if op == COALESCE_B else 1
                    at += 1
                    top -= 1
                    for j in range(m):
                        if rn[top, j] == flag:
                            rf[top, j] = rf[top + 1, j]
                            ri[top, j] = ri[top + 1, j]
                            rn[top, j] = rn[top + 1, j]
                elif op == UNARY:
                    function = code[at + 1]
                    at += 2
                    for j in range(m):
                        a = rf[top, j]
                        if rn[top, j]:
                            continue
                        if function == ABS:
                            a = abs(a)
                        elif function == NEG:
                            a = -a
                        elif function == SQRT:
                            a = math.sqrt(a)
                        elif function == SIN:
                            a = math.sin(a)
                        elif function == COS:
                            a = math.cos(a)
                        elif function == ASIN:
                            a = math.asin(a)
                        elif function == EXP:
                            a = math.exp(a)
                        elif function == LN:
                            a = math.log(a)
                        elif function == FLOOR:
                            a = np.floor(a)
                        else:
                            a = np.ceil(a)
                        rf[top, j] = a
                elif op == BINARY:
                    function = code[at + 1]
                    at += 2
                    top -= 1
                    for j in range(m):
                        a, b = rf[top, j], rf[top + 1, j]
                        if function in (MIN, MAX):
                            # What is null or NaN is passed over; of equals the second counts.
                            if rn[top + 1, j]:
                                continue
                            nothing = rn[top, j] | (a != a)  # noqa: PLR0124
                            if nothing or (b <= a if function == MIN else b >= a):
                                rf[top, j] = b
                            rn[top, j] = 0
                            continue
                        rn[top, j] |= rn[top + 1, j]
                        if rn[top, j]:
                            continue
                        rf[top, j] = math.atan2(a, b) if function == ATAN2 else a**b
                elif op == POWER_OF:
                    times = code[at + 1]
                    at += 2
                    for j in range(m):
                        a = rf[top, j]
                        b = a
                        for _ in range(times - 1):
                            b *= a
                        rf[top, j] = b
                elif op == CLIP:
                    low, high = floats[code[at + 1]], floats[code[at + 2]]
                    at += 3
                    for j in range(m):
                        a = rf[top, j]
                        rf[top, j] = low if a < low else high if a > high else a  # noqa: FURB136 - NaN stays
                elif op == BITS:
                    at += 1
                    for j in range(m):
                        rf[top, j] += 0.0  # -0.0 is 0.0
                        ri[top, j] = bits[top, j]
                elif op == LIKE:
                    column_bounds, nulls = text_bounds[slot_t[code[at + 1]]], table_b[slot_b[code[at + 2]]]
                    lowest, highest = code[at + 3], code[at + 4]
                    at += 5
                    top += 1
                    for j in range(m):
                        row = idx[j]
                        if nulls[row]:
                            rn[top, j] = 2
                            continue
                        letter, end = column_bounds[row], column_bounds[row + 1]
                        place, star, again = lowest, -1, letter
                        while letter < end:
                            token = integers[place] if place < highest else -1
                            if token == ANY_TEXT:
                                star, again = place, letter
                                place += 1
                            elif token == texts[letter]:
                                place += 1
                                letter += 1
                            elif token == ANY_CHARACTER and texts[letter] >> 6 != 2:  # where one begins
                                place += 1
                                letter += 1
                                while letter < end and texts[letter] >> 6 == 2:
                                    letter += 1
                            elif star < 0:
                                break
                            else:  # of several wildcards only the last need take more
                                again += 1
                                place, letter = star + 1, again
                        while place < highest and integers[place] == ANY_TEXT:
                            place += 1
                        rn[top, j] = letter == end and place == highest
                else:  # IN_I
                    lowest, highest = code[at + 1], code[at + 2]
                    at += 3
                    for j in range(m):
                        if rn[top, j]:
                            rn[top, j] = 2
                            continue
                        p, q = lowest, highest
                        while p < q:
                            middle = (p + q) // 2
                            if integers[middle] < ri[top, j]:
                                p = middle + 1
                            else:
                                q = middle
                        rn[top, j] = p < highest and integers[p] == ri[top, j]
            if filled + m > len(rows):
                more = np.empty(max(2 * len(rows), filled + m), np.int64)
                more[:filled] = rows[:filled]
                rows = more
            for j in range(m):
                rows[filled + j] = idx[j]
            filled += m
        bounds[program + 1] = filled
    return bounds, rows[:filled]
