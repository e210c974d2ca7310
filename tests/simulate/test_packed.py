"""The column-wise encoder against fastavro, record by record."""

from __future__ import annotations

import io

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.simulate.packed import flat_fields, pack, varint

KINDS = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "string": st.text("abcdefghij0123456789.-", min_size=0, max_size=80),
}
DTYPES = {"int": np.int64, "long": np.int64, "float": np.float32, "double": np.float64, "boolean": np.bool_}


@given(st.data())
def test_equals_what_fastavro_writes(data):
    kinds = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6))
    orders = [data.draw(st.sampled_from([None, ("null",), ("value",)])) for _ in kinds]
    rows = data.draw(st.integers(1, 5))
    fields, columns, truth = [], {}, [{} for _ in range(rows)]
    for number, (kind, order) in enumerate(zip(kinds, orders, strict=True)):
        name = f"f{number}"
        branch = kind if order is None else ["null", kind] if order == ("null",) else [kind, "null"]
        fields.append({"name": name, "type": branch})
        values = data.draw(st.lists(KINDS[kind], min_size=rows, max_size=rows))
        missing = data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)) if order else [False] * rows
        encoded = [value.encode() for value in values] if kind == "string" else values
        array = np.array(encoded, dtype=DTYPES.get(kind, "S80"))
        columns[name] = np.ma.MaskedArray(array, mask=missing) if order else array
        for row in range(rows):
            truth[row][name] = None if missing[row] else values[row]
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    packed = pack(flat_fields(schema), columns, rows)
    for row in range(rows):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, truth[row])
        assert packed.rows(row, row + 1) == out.getvalue()


def test_fields_without_a_column_are_null_zero_or_empty():
    fields = [{"name": "a", "type": ["null", "long"]}, {"name": "b", "type": "int"}, {"name": "c", "type": "string"}]
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    packed = pack(flat_fields(schema), {}, 2)
    assert fastavro.schemaless_reader(io.BytesIO(packed.rows(1, 2)), schema, None) == {"a": None, "b": 0, "c": ""}


def test_one_value_serves_all_rows():
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": [{"name": "a", "type": ["null", "string"]}]})
    packed = pack(flat_fields(schema), {"a": "x" * 100}, 3)
    assert fastavro.schemaless_reader(io.BytesIO(packed.rows(2, 3)), schema, None) == {"a": "x" * 100}


@pytest.mark.parametrize(("value", "data"), [(0, b"\x00"), (-1, b"\x01"), (64, b"\x80\x01"), (-(2**63), b"\xff" * 9 + b"\x01")])
def test_variable_length_integers(value, data):
    assert varint(value) == data
