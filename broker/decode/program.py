"""An Avro writer schema, compiled once into a flat program of integers for `broker.decode.kernel`.

The program walks a record from its first byte to its last: it skips what nobody wants and reads the wanted scalars into
numbered columns. A column is named by its path, ``candidate.rb``, or ``prv_candidates[].jd`` for a field of a list's records;
lists inside lists are skipped. Runs of fields of the same unwanted kind become one instruction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from broker.decode import instructions as k
from broker.decode.schema_names import full_name, resolve_names

__all__ = ["Column", "Program", "UnusualSchemaError", "compile_program", "field_paths"]

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_MAX_STEPS = 100_000
_MAX_NESTING = 40  # of types in one another, far past any survey's and far short of Python's own limit


class UnusualSchemaError(Exception):
    """The schema is Avro, but not one the kernel can run: recursive, or larger than any survey's."""


@dataclass(frozen=True, slots=True)
class Column:
    """One thing to read.

    Parameters
    ----------
    path
        Where it is in the record; two columns share one where a union allows several types.
    kind
        ``long``, ``double``, ``boolean``, ``string``, ``bytes``, ``enum`` or a logical type of integers.
    cursor
        0 for one value a record, else one more than the index of its list in `Program.lists`.
    symbols
        Of an enum.
    """

    path: str
    kind: str
    cursor: int = 0
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled schema.

    Parameters
    ----------
    code
        Instructions and their operands, int64.
    columns, lists
        What it reads, and the paths of the lists some of it comes from.
    min_size
        Fewest bytes a record can take.
    """

    code: npt.NDArray[np.int64]
    columns: tuple[Column, ...]
    lists: tuple[str, ...]
    min_size: int


def field_paths(schema: Any) -> frozenset[str]:
    """Every path of a schema that can be read as a column, and the paths of records and lists on the way."""
    compiler = _Compiler(schema, None)
    compiler.record(0)
    return frozenset(compiler.seen)


def compile_program(schema: Any, wanted: Iterable[str]) -> Program:
    """Compile a writer schema.

    Parameters
    ----------
    schema
        Parsed JSON of the schema; names may be given in full or relative to their namespace.
    wanted
        Paths to read; those the schema does not have are passed over.

    Raises
    ------
    UnusualSchemaError
        The kernel cannot run it.
    ValueError
        It is no schema of a record.
    """
    compiler = _Compiler(schema, frozenset(wanted))
    size = compiler.record(0)
    compiler.code.append(k.END)
    return Program(np.array(compiler.code, np.int64), tuple(compiler.columns), tuple(compiler.lists), size)


class _Compiler:
    """Emits code for one schema; `wanted` of None reads everything, to list the paths."""

    def __init__(self, schema: Any, wanted: frozenset[str] | None) -> None:
        self.schema = schema
        self.names = resolve_names(schema)
        self.wanted = wanted
        self.prefixes = {path[:end] for path in wanted or () for end, char in enumerate(path) if char in ".["}
        self.code: list[int] = []
        self.columns: list[Column] = []
        self.lists: list[str] = []
        self.seen: set[str] = set()
        self.open: list[int] = []
        self.steps = 0
        self.last = -1  # start of the instruction that may still be merged with, -1 where a jump lands here

    def record(self, depth: int) -> int:
        node = self.schema
        while isinstance(node, dict) and isinstance(node.get("type"), dict):
            node = node["type"]
        if not isinstance(node, dict) or node.get("type") not in {"record", "error"}:
            kind = f"a union of {len(node)} types" if isinstance(node, list) else "not a record"
            raise ValueError(f"the schema is {kind}; a packet's must be one record")
        return self.emit(node, "", "", 0, depth)

    def under(self, path: str | None) -> bool:
        return path is not None and (self.wanted is None or path == "" or path in self.prefixes)

    def takes(self, path: str | None) -> bool:
        return path is not None and self.wanted is not None and path in self.wanted

    def put(self, *words: int) -> int:
        self.last = len(self.code)
        self.code.extend(words)
        return self.last

    def label(self) -> int:
        self.last = -1
        return len(self.code)

    def lookup(self, name: str, space: str) -> Any:
        for full in (name, f"{space}.{name}") if "." in name or not space else (f"{space}.{name}", name):
            if full in self.names:
                return self.names[full]
        short = [node for full, node in self.names.items() if full.rpartition(".")[2] == name.rpartition(".")[2]]
        if len(short) == 1:
            return short[0]
        raise ValueError(f"the schema uses a type {name!r} that it does not define")

    def emit(self, node: Any, space: str, path: str | None, cursor: int, depth: int) -> int:
        """Emit code that passes over one value of type `node`, reading what is wanted; gives its fewest bytes."""
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise UnusualSchemaError("the schema is larger than any survey's")
        if depth > _MAX_NESTING:
            raise UnusualSchemaError("the schema nests deeper than any survey's")
        if path is not None and path:
            self.seen.add(path)
        if isinstance(node, str) and node not in _PRIMITIVES:
            node = self.lookup(node, space)
        if isinstance(node, list):
            return self.union(node, space, path, cursor, depth)
        kind = node.get("type") if isinstance(node, dict) else node
        if isinstance(kind, (dict, list)):
            return self.emit(kind, space, path, cursor, depth + 1)
        if kind in {"record", "error"}:
            return self.fields(node, space, path, cursor, depth)
        if kind in {"array", "map"}:
            return self.array(node, space, path, cursor, depth)
        if isinstance(kind, str) and kind not in _PRIMITIVES | {"enum", "fixed"}:
            return self.emit(self.lookup(kind, space), space, path, cursor, depth + 1)
        return self.scalar(node, path, cursor, None)

    def fields(self, node: Any, space: str, path: str | None, cursor: int, depth: int) -> int:
        if id(node) in self.open:
            raise UnusualSchemaError("the schema is recursive")
        self.open.append(id(node))
        space = full_name(node, space).rpartition(".")[0]
        items = node.get("fields", [])
        final = {item["name"]: number for number, item in enumerate(items)}  # a name given twice: the last counts
        inside = self.under(path)
        size = 0
        for number, item in enumerate(items):
            wanted = inside and final[item["name"]] == number
            name = (f"{path}.{item['name']}" if path else str(item["name"])) if wanted else None
            size += self.emit(item["type"], space, name, cursor, depth + 1)
        self.open.pop()
        return size

    def array(self, node: Any, space: str, path: str | None, cursor: int, depth: int) -> int:
        is_map = node["type"] == "map"
        inner = None
        if not is_map and cursor == 0 and path and (self.wanted is None or f"{path}[]" in self.prefixes):
            inner = f"{path}[]"
            self.lists.append(path)
            cursor = len(self.lists)
        at = self.put(k.ARRAY, 0, cursor if inner else 0, int(is_map), 0)
        self.label()
        size = self.emit(node["values" if is_map else "items"], space, inner, cursor, depth + 1) + int(is_map)
        if size == 0:
            # A count of items that take no bytes cannot be held against the data: one packet could keep us for ever.
            raise ValueError(f"the schema has a list of things that take no bytes{f' at {path!r}' if path else ''}")
        self.put(k.NEXT)
        self.code[at + 1] = self.label()
        self.code[at + 4] = size
        return 1

    def union(self, node: list[Any], space: str, path: str | None, cursor: int, depth: int) -> int:
        nulls = [_is_null(branch) for branch in node]
        if len(node) == 2 and nulls.count(True) == 1:
            other = self.leaf(node[nulls.index(False)], space)
            if other is not None:
                return min(1, self.scalar(other, path, cursor, nulls.index(True)))
        at = self.put(k.UNION, len(node), *([0] * len(node)))
        sizes, jumps = [], []
        for number, branch in enumerate(node):
            self.code[at + 2 + number] = self.label()
            sizes.append(self.emit(branch, space, path, cursor, depth + 1))
            jumps.append(self.put(k.JUMP, 0) + 1)
        end = self.label()
        for jump in jumps:
            self.code[jump] = end
        return 1 + min(sizes, default=0)

    def leaf(self, node: Any, space: str) -> Any:
        """`node` with its name resolved, if it is a scalar."""
        while True:
            if isinstance(node, str) and node not in _PRIMITIVES:
                node = self.lookup(node, space)
            kind = node.get("type") if isinstance(node, dict) else node
            if isinstance(kind, dict):
                node = kind
            elif isinstance(kind, str) and kind in _PRIMITIVES | {"enum", "fixed"}:
                return node
            else:
                return None

    def scalar(self, node: Any, path: str | None, cursor: int, null: int | None) -> int:
        """Emit the reading or skipping of a scalar, nullable if `null` is the number of its null branch."""
        kind = node["type"] if isinstance(node, dict) else node
        if kind == "null":
            return 0
        size = int(node["size"]) if kind == "fixed" else k.SIZES.get(kind, 0)
        least = size or (0 if kind == "fixed" else 1)
        if self.takes(path):
            assert path is not None
            column = self.column(node, path, cursor)
            if null is None:
                self.put(k.READ, k.READS[kind], column, size)
            else:
                self.put(k.OPT_READ, null, k.READS[kind], column, size)
        else:
            self.skip(k.SKIPS[kind], size, null)
        return least + (null is not None)

    def skip(self, kind: int, size: int, null: int | None) -> None:
        words = (kind, size, -1 if null is None else null)
        if self.last >= 0 and self.code[self.last] == k.SKIP and tuple(self.code[self.last + 1 : self.last + 4]) == words:
            self.code[self.last + 4] += 1
        elif (
            null is None
            and kind == k.SKIP_FIXED
            and self.last >= 0
            and self.code[self.last] == k.SKIP
            and (self.code[self.last + 1] == k.SKIP_FIXED and self.code[self.last + 3] == -1 and self.code[self.last + 4] == 1)
        ):
            self.code[self.last + 2] += size
        else:
            self.put(k.SKIP, *words, 1)

    def column(self, node: Any, path: str, cursor: int) -> int:
        kind = node["type"] if isinstance(node, dict) else node
        logical = node.get("logicalType") if isinstance(node, dict) else None
        name = str({"int": "long", "float": "double", "fixed": "bytes"}.get(kind, kind))
        if name == "long" and logical in _LOGICAL:
            name = str(logical)
        symbols = tuple(node.get("symbols", ())) if kind == "enum" else ()
        column = Column(path, name, cursor, symbols)
        if column not in self.columns:
            self.columns.append(column)
        return self.columns.index(column)


_LOGICAL = frozenset({"timestamp-millis", "timestamp-micros", "local-timestamp-millis", "local-timestamp-micros", "date"})


def _is_null(node: Any) -> bool:
    return node == "null" or (isinstance(node, dict) and node.get("type") == "null")
