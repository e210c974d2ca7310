"""Instructions of a `broker.decode.program`, and what `broker.decode.kernel`, which runs them, can say of a packet."""

from __future__ import annotations

# Instructions and their operands:
END = 0  # the record ends here
SKIP = 1  # kind, size, number of the null branch or -1, times
READ = 2  # kind, column, size
OPT_READ = 3  # number of the null branch, kind, column, size
UNION = 4  # branches, address of each
JUMP = 5  # address
ARRAY = 6  # address behind it, cursor or 0, is it a map, fewest bytes of an item
NEXT = 7  # end of an item

# Kinds of skip, and of read:
SKIP_FIXED, SKIP_VARINT, SKIP_BYTES = 0, 1, 2
READ_LONG, READ_FLOAT, READ_DOUBLE, READ_BOOLEAN, READ_BYTES, READ_FIXED = 0, 1, 2, 3, 4, 5

SIZES = {"float": 4, "double": 8, "boolean": 1}
SKIPS = {
    "int": SKIP_VARINT, "long": SKIP_VARINT, "enum": SKIP_VARINT, "float": SKIP_FIXED, "double": SKIP_FIXED,
    "boolean": SKIP_FIXED, "fixed": SKIP_FIXED, "bytes": SKIP_BYTES, "string": SKIP_BYTES,
}  # fmt: skip
READS = {
    "int": READ_LONG, "long": READ_LONG, "enum": READ_LONG, "float": READ_FLOAT, "double": READ_DOUBLE,
    "boolean": READ_BOOLEAN, "fixed": READ_FIXED, "bytes": READ_BYTES, "string": READ_BYTES,
}  # fmt: skip

OK, TRUNCATED, VARINT, NEGATIVE, BRANCH, COUNT, LEFTOVER, DEEP, BLOCK_SIZE, SYNC, HUGE = range(11)
MESSAGES = {
    TRUNCATED: "ends before its record does",
    VARINT: "has an integer of more than 10 bytes",
    NEGATIVE: "has a negative length",
    BRANCH: "names a union branch its schema does not have",
    COUNT: "claims more items than it has bytes",
    LEFTOVER: "goes on after its record's end",
    DEEP: "nests deeper than its schema",
    BLOCK_SIZE: "has a list whose size is not what it says",
    SYNC: "has a block that does not end with the sync marker",
    HUGE: "has a block that claims to be larger than the data",
}
"""What each status says of a packet."""
