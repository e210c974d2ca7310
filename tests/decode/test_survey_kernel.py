"""The compiled kernel against fastavro: random schemas, random records, random damage."""

from __future__ import annotations

import io
import math
import random

import fastavro
import numpy as np
import pytest

from broker.decode.columns import decode
from broker.decode.ocf import Spans, address_of
from broker.decode.program import UnusualSchemaError, compile_program, field_paths
from tests.decode.survey_packets import ZTF, bare, ztf

SCALARS = ["int", "long", "float", "double", "boolean", "string", "bytes"]
EMPTY = Spans(*(np.zeros(0, np.int64) for _ in range(4)), {}, ())


class Maker:
    """Random schemas, and records that fit them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.count = 0

    def name(self):
        self.count += 1
        return f"n{self.count}"

    def scalar(self):
        kind = self.random.choice([*SCALARS, "enum", "fixed"])
        if kind == "enum":
            return {"type": "enum", "name": self.name(), "symbols": ["A", "B", "C"]}
        return {"type": "fixed", "name": self.name(), "size": self.random.randint(1, 9)} if kind == "fixed" else kind

    def type(self, depth):
        kind = self.random.choice(
            ["scalar"] * 4 + ["null", "reversed", "union"] + ["record", "array", "map", "opt"] * (depth > 0)
        )
        if kind == "scalar":
            return self.scalar()
        if kind in {"null", "reversed"}:
            branches = ["null", self.scalar()]
            return branches if kind == "null" else branches[::-1]
        if kind == "union":
            return self.random.sample(["null", "long", "double", "string"], 3)
        if kind == "record":
            return self.record(depth - 1)
        if kind == "opt":
            return ["null", self.record(depth - 1)]
        item = self.record(depth - 1) if kind == "array" and self.random.random() < 0.6 else self.type(depth - 1)
        return {"type": kind, "items" if kind == "array" else "values": item}

    def record(self, depth):
        fields = [{"name": self.name(), "type": self.type(depth)} for _ in range(self.random.randint(1, 6))]
        return {"type": "record", "name": self.name(), "namespace": self.random.choice(["", "space"]), "fields": fields}

    def value(self, kind):
        r = self.random
        if isinstance(kind, list):
            return self.value(r.choice(kind))
        name = kind["type"] if isinstance(kind, dict) else kind
        if name == "record":
            return {item["name"]: self.value(item["type"]) for item in kind["fields"]}
        if name in {"array", "map"}:
            items = [self.value(kind.get("items", kind.get("values"))) for _ in range(r.choice([0, 1, 2, 5]))]
            return items if name == "array" else {f"k{number}": item for number, item in enumerate(items)}
        return {
            "null": lambda: None,
            "int": lambda: r.choice([0, -1, 2**31 - 1, -(2**31)]),
            "long": lambda: r.choice([0, 1, -64, 64, 2**63 - 1, -(2**63), r.getrandbits(60)]),
            "float": lambda: r.choice([0.0, 1.5, -2.25, math.inf]),
            "double": lambda: r.choice([0.0, r.random(), -1e300]),
            "boolean": lambda: r.random() < 0.5,
            "string": lambda: r.choice(["", "text", "Grüße", "x" * 200]),
            "bytes": lambda: r.randbytes(r.choice([0, 3, 130])),
            "enum": lambda: r.choice(kind["symbols"]),
            "fixed": lambda: r.randbytes(kind["size"]),
        }[name]()


def spans(packets):
    count = len(packets)
    address = np.array([address_of(data) for data in packets], np.int64)
    return Spans(
        np.arange(count),
        address,
        np.array([len(data) for data in packets], np.int64),
        np.ones(count, np.int64),
        {},
        tuple(packets),
    )


def dig(value, path):
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def same(ours, theirs):
    """Equal as our columns have it: NaN is null, and a union of words and numbers is words."""
    if isinstance(theirs, float) and math.isnan(theirs):
        theirs = None
    if isinstance(ours, str) and isinstance(theirs, (int, float)):
        return ours == str(theirs) or float(ours) == theirs
    return ours == theirs


def scalar_paths(schema):
    return frozenset(field_paths(schema))


def compare(decoded, truth, paths):
    """Every column of every row, and of every item of every list of records."""
    assert decoded.source.tolist() == sorted(truth)
    rows = decoded.frame.rows(named=True) if decoded.frame.width else [{}] * len(truth)
    for row, source in zip(rows, decoded.source.tolist(), strict=True):
        for path, ours in row.items():
            theirs = dig(truth[source], path)
            if not isinstance(theirs, (dict, list)):
                assert same(ours, theirs), (path, ours, theirs)
    for path, ragged in decoded.lists.items():
        for number, source in enumerate(decoded.source.tolist()):
            items = dig(truth[source], path) or []
            items = items if isinstance(items, list) else []
            begin, end = ragged.offsets[number : number + 2]
            assert end - begin == len(items)
            for name, series in ragged.fields.items():
                for ours, item in zip(series[int(begin) : int(end)].to_list(), items, strict=True):
                    assert same(ours, dig(item, name)), (path, name)


@pytest.mark.parametrize("seed", range(60))
def test_random_schemas(seed):
    maker = Maker(seed)
    schema = maker.record(3)
    parsed = fastavro.parse_schema(schema, _force=True)
    packets = [bare(maker.value(schema), schema) for _ in range(12)]
    truth = {number: fastavro.schemaless_reader(io.BytesIO(data), parsed, None) for number, data in enumerate(packets)}
    paths = scalar_paths(schema)
    decoded = decode(schema, spans(packets), paths)
    assert not decoded.failed
    assert not decoded.doubtful
    compare(decoded, truth, paths)
    # Passing over everything must come to the same end as reading it.
    assert decode(schema, spans(packets), frozenset()).source.size == len(packets)


def oracle(data, parsed):
    """What fastavro reads of exactly these bytes, or an error."""
    stream = io.BytesIO(data)
    try:
        value = fastavro.schemaless_reader(stream, parsed, None)
    except Exception as error:  # noqa: BLE001
        return error
    return value if stream.tell() == len(data) else ValueError("left over")


def damaged(random_, data):
    data = bytearray(data)
    for _ in range(random_.choice([1, 1, 2, 8])):
        at = random_.randrange(len(data))
        data[at] = random_.choice([0, 1, 2, 0x7F, 0x80, 0xFF, data[at] ^ (1 << random_.randrange(8))])
    if random_.random() < 0.3:
        del data[random_.randrange(len(data)) :]
    if random_.random() < 0.1:
        data += random_.randbytes(3)
    return bytes(data)


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_refused_or_read_as_fastavro_reads_it(seed):
    maker = Maker(seed)
    schema = ZTF if seed % 4 == 0 else maker.record(3)
    parsed = fastavro.parse_schema(schema, _force=True)
    whole = [bare(ztf(number) if schema is ZTF else maker.value(schema), schema) for number in range(10)]
    packets = [damaged(maker.random, whole[number % 10]) or b"" for number in range(300)]
    packets[::7] = [whole[number % 10] for number in range(len(packets[::7]))]  # sound ones between them
    decoded = decode(schema, spans(packets), scalar_paths(schema))
    truth = {}
    for row, source in enumerate(decoded.source.tolist()):
        value = oracle(packets[source], parsed)
        if isinstance(value, Exception):
            # Words fastavro refuses for their bytes or their number are read past where nobody asks for them.
            assert row in decoded.doubtful or isinstance(value, (UnicodeDecodeError, IndexError)), (source, value)
            return
        truth[source] = value
    assert set(range(0, 300, 7)) <= truth.keys()
    assert decoded.failed.keys() | truth.keys() == set(range(300))
    compare(decoded, truth, scalar_paths(schema))


def run(schema, data):
    decoded = decode(schema, spans([data]), scalar_paths(schema))
    return decoded.failed.get(0, "read")


def one(kind):
    return {"type": "record", "name": "r", "fields": [{"name": "x", "type": kind}]}


LONGS = {"type": "array", "items": "long"}


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("long", b"", "ends before"),
        ("long", b"\x80" * 9, "ends before"),
        ("long", b"\x80" * 10 + b"\x00", "more than 10 bytes"),
        ("long", b"\x00\x00", "goes on after"),
        ("string", b"\x01", "negative length"),
        ("string", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends before"),
        ("bytes", b"\x04a", "ends before"),
        (["null", "long"], b"\x04", "union branch"),
        (["null", "long", "string"], b"\x06", "union branch"),
        (["null", "long", "string"], b"\x01", "union branch"),
        (LONGS, b"\x04\x00", "more items than"),
        (LONGS, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "more items than"),
        (LONGS, b"\x03\x02\x00\x00\x00", "whose size is not"),
        (LONGS, b"\x03\x01\x00\x00\x00", "negative"),
        (LONGS, b"\x03\x40\x00\x00\x00", "ends before"),
        (LONGS, b"\x01" + b"\xff" * 9 + b"\x01\x00", "negative"),
        (LONGS, b"\x03\x04\x00\x00\x00", "read"),
        ({"type": "map", "values": "long"}, b"\x02\x01", "more items|negative"),
        ({"type": "map", "values": "long"}, b"\x02\x02k\x02\x00", "read"),
        ({"type": "array", "items": LONGS}, b"\x04\x00", "more items|ends before"),
    ],
)
def test_damage_by_kind(kind, data, words):
    import re

    assert re.search(words, run(one(kind), data))


def test_the_lowest_count_there_is():
    # -2**63 has no positive counterpart in 64 bits.
    assert run(one(LONGS), b"\xff" * 9 + b"\x01\x04\x00\x00\x00") != "read"


def test_lists_of_nothing_are_refused():
    for items in ("null", {"type": "record", "name": "empty", "fields": []}, {"type": "fixed", "name": "none", "size": 0}):
        with pytest.raises(ValueError, match="take no bytes"):
            compile_program(one({"type": "array", "items": items}), ())


def test_recursive_schemas_are_unusual():
    with pytest.raises(UnusualSchemaError):
        compile_program({"type": "record", "name": "r", "fields": [{"name": "x", "type": ["null", "r"]}]}, ())


def test_schemas_that_explode_are_unusual():
    kind = "long"
    for number in range(30):
        pair = [{"name": "a", "type": kind}, {"name": "b", "type": f"r{number - 1}" if number else "long"}]
        kind = {"type": "record", "name": f"r{number}", "fields": pair}
    with pytest.raises(UnusualSchemaError):
        compile_program(kind, ())


def test_a_name_given_twice_counts_last():
    schema = {"type": "record", "name": "r", "fields": [{"name": "x", "type": "long"}, {"name": "x", "type": ["null", "long"]}]}
    assert decode(schema, spans([b"\x02\x02\x04", b"\x02\x00"]), frozenset({"x"})).frame["x"].to_list() == [2, None]


def test_a_type_defined_twice():
    twice = {"type": "record", "name": "t", "fields": [{"name": "v", "type": "long"}]}
    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": twice}, {"name": "b", "type": dict(twice)}]}
    assert decode(schema, spans([b"\x02\x04"]), frozenset({"a.v", "b.v"})).frame.row(0) == (1, 2)


def test_many_items_make_room():
    schema = one({"type": "array", "items": {"type": "record", "name": "i", "fields": [{"name": "v", "type": "long"}]}})
    packets = [bare({"x": [{"v": item} for item in range(count)]}, schema) for count in (0, 3000, 1)]
    decoded = decode(schema, spans(packets), frozenset({"x[].v"}))
    assert decoded.lists["x"].offsets.tolist() == [0, 0, 3000, 3001]
    assert decoded.lists["x"].fields["v"].to_list() == [*range(3000), 0]
