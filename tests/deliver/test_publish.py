"""What is published, read back by fastavro and held against the frame."""

import io
import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import fastavro
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.alert import COMMON, SKYMAPS_DTYPE, Batch, conform
from broker.deliver.publish import encode
from broker.deliver.schema import ALERT, alert_schema_id, framing, load_published
from broker.errors import NotFoundError
from broker.filtering.definition import parse_filter
from broker.paths import shipped
from broker.record import Record
from broker.store.archive import Address

PUBLISHED = [entry for entry in load_published(shipped("schemas")) if entry.name == ALERT][-1]
SCHEMA = fastavro.parse_schema(PUBLISHED.schema)


def spec(name, select=(), version=1, extra=""):
    head = f'name = "{name}"\nversion = {version}\nstream = "*"\ndescription = "x"\nwhere = "TRUE"\n'
    return parse_filter(f"{head}select = {list(select)}\n{extra}")


def batch(frame, matches=None, stream="ztf"):
    height = frame.height
    frame = conform(frame).with_columns(
        pl.int_range(height, dtype=pl.UInt32).alias("_record"),
        (pl.int_range(height) % 3).cast(pl.UInt32).alias("_unit"),
    )
    records = tuple(Record(f"raw.{stream}", 0, i, 0, None, f"packet {i}".encode()) for i in range(height))
    rows = {name: np.array(found, dtype=np.int64) for name, found in (matches or {}).items()}
    return Batch(stream, records, frame, height, matches=rows)


def addresses(count):
    return [Address(f"ztf/{i // 2}.avro", 10_000_000_000 * i, 70_000 + i) for i in range(count)]


def read(message, reader=None):
    assert message.value[:5] == framing(PUBLISHED.id)
    body = io.BytesIO(message.value[5:])
    record = fastavro.schemaless_reader(body, SCHEMA, reader)
    assert body.read() == b""
    return record


texts = st.none() | st.text(max_size=6)
floats = st.none() | st.floats(width=64)
longs = st.none() | st.integers(-(2**63), 2**63 - 1)
whens = st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001
flags = st.none() | st.booleans()
KINDS = {pl.String: texts, pl.Float64: floats, pl.Int64: longs, pl.Boolean: flags}
EXTRA = {
    "candidate.rb": pl.Float32,
    "candidate.candid": pl.Int64,
    "candidate.é": pl.String,
    "gaia.flag": pl.Boolean,
    "none": pl.Null,
}
extras = {
    "candidate.rb": st.none() | st.floats(width=32),
    "candidate.candid": longs,
    "candidate.é": texts,
    "gaia.flag": flags,
    "none": st.none(),
}
maps = st.none() | st.lists(
    st.fixed_dictionaries(
        {
            "event": texts,
            "revision": longs,
            "credible_level": floats,
            "density": floats,
            "dt": floats,
            "volume_level": floats,
        }
    ),
    max_size=3,
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            name: st.text(min_size=1, max_size=5) if name in {"alert_id", "stream"} else KINDS.get(dtype, whens)
            for name, dtype in COMMON.items()
        }
        | extras
        | {"skymaps": maps}
    ),
    min_size=1,
    max_size=5,
)


def same(got, expected):
    if isinstance(expected, float) and math.isnan(expected):
        return got is None
    return type(got) is type(expected) and got == expected


@settings(max_examples=150, deadline=None, derandomize=True)
@given(rows, st.data())
def test_fastavro_reads_what_was_put_in(alerts, data):
    frame = pl.DataFrame(alerts, schema={**COMMON, **EXTRA, "skymaps": SKYMAPS_DTYPE})
    count = len(alerts)
    picks = st.lists(st.integers(0, count - 1), unique=True).map(sorted)
    matches = {"few": data.draw(picks), "all": data.draw(picks)}
    filters = [spec("few", ["candidate.candid", "none", "candidate.rb", "mag + 1 AS fainter"], 7), spec("all")]
    sent = encode(batch(frame, matches), filters, addresses(count))
    assert len(sent) == count + sum(map(len, matches.values()))
    for i, alert in enumerate(alerts):
        record = read(sent[i])
        assert all(same(record[name], alert[name]) for name in COMMON)
        present = {name: alert[name] for name in EXTRA if alert[name] is not None}
        present = {name: value for name, value in present.items() if value == value}  # noqa: PLR0124  NaN is null
        assert record["annotations"].keys() == present.keys()
        assert all(same(record["annotations"][name], value) for name, value in present.items())
        expected = alert["skymaps"] or []
        assert len(record["skymaps"]) == len(expected)
        for got, entry in zip(record["skymaps"], expected, strict=True):
            assert all(same(got[name], value) for name, value in entry.items())
        address = addresses(count)[i]
        assert record["archive"] == {**address._asdict(), "unit": i % 3}
        assert sorted(entry["name"] for entry in record["filters"]) == sorted(name for name in matches if i in matches[name])
        assert record["packet"] is None
    for message, i in zip(sent[count:], matches["few"] + matches["all"], strict=False):
        record, whole = read(message), read(sent[i])
        name = message.topic.removeprefix("matched.")
        assert record["filters"] == [{"name": name, "version": 7 if name == "few" else 1}]
        if name == "few":
            assert list(record["annotations"]) == ["candidate.candid", "none", "candidate.rb", "fainter"]
            mag = alerts[i]["mag"]
            assert record["annotations"]["fainter"] == (None if mag is None or math.isnan(mag) else mag + 1)
            assert record["annotations"]["candidate.candid"] == alerts[i]["candidate.candid"]
        else:
            assert record["annotations"] == whole["annotations"]
        assert all(record[key] == whole[key] for key in whole if key not in {"filters", "annotations"})


def simple(count=3, **columns):
    return pl.DataFrame(
        {"alert_id": [f"ztf:{i}" for i in range(count)], "stream": ["ztf"] * count, "object_id": ["ZTF1", None, "é"][:count]}
        | columns
    )


def test_keys_and_headers():
    sent = encode(batch(simple(), {"bright": [1]}), [spec("bright", version=12)], addresses(3))
    assert [(message.topic, message.key) for message in sent] == [
        ("alerts.ztf", b"ZTF1"),
        ("alerts.ztf", b"ztf:1"),
        ("alerts.ztf", "é".encode()),
        ("matched.bright", b"ztf:1"),
    ]
    assert dict(sent[3].headers) == {
        "nuncius.alert_id": b"ztf:1",
        "nuncius.filter": b"bright",
        "nuncius.filter_version": b"12",
        "content-type": b"application/vnd.confluent.avro",
    }
    assert dict(sent[0].headers) == {"nuncius.alert_id": b"ztf:0", "content-type": b"application/vnd.confluent.avro"}


def test_the_same_batch_gives_the_same_bytes():
    given_batch = batch(simple(mag=[1.0, None, 3.0]), {"b": [0, 2], "a": [2]})
    filters = [spec("a"), spec("b")]
    assert encode(given_batch, filters, addresses(3)) == encode(given_batch, filters, addresses(3))


def test_whole_packets_ride_along_where_asked():
    filters = [spec("whole", extra="packet = true"), spec("bare")]
    sent = encode(batch(simple(), {"whole": [2], "bare": [2]}), filters, addresses(3))
    assert [read(message)["packet"] for message in sent] == [None, None, None, b"packet 2", None]


def test_alerts_of_one_container_share_its_address():
    given_batch = batch(simple())
    shared = given_batch.frame.with_columns(
        pl.lit(0, dtype=pl.UInt32).alias("_record"), pl.Series("_unit", [0, 1, 2], dtype=pl.UInt32)
    )
    sent = encode(replace(given_batch, frame=shared, records=given_batch.records[:1]), [], addresses(1))
    assert [read(message)["archive"] for message in sent] == [
        {"file": "ztf/0.avro", "offset": 0, "length": 70_000, "unit": unit} for unit in range(3)
    ]


def test_types_that_annotations_do_not_have():
    frame = simple(
        1,
        big=pl.Series([2**64 - 1], dtype=pl.UInt64),
        small=pl.Series([-3], dtype=pl.Int8),
        day=[date(2026, 1, 2)],
        when=[datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)],
        took=[timedelta(milliseconds=1500)],
        kind=pl.Series(["a"], dtype=pl.Categorical),
        listed=[[1, 2]],
        nested=[{"a": 1}],
        raw=[b"x"],
    )
    (message,) = encode(batch(frame), [], addresses(1))
    assert read(message)["annotations"] == {
        "big": "18446744073709551615",
        "small": -3,
        "day": "2026-01-02",
        "when": "2026-01-02T03:04:05.000006Z",
        "took": 1.5,
        "kind": "a",
    }


def test_private_columns_stay_private():
    frame = simple(1, _digest=[b"x"], _deviations=["odd"], **{"history.time": [[1.0]]})
    (message,) = encode(batch(frame), [], addresses(1))
    assert read(message)["annotations"] == {}


@pytest.mark.parametrize("height", [1, 2, 3])
def test_a_selected_value_that_fails_is_null(height):
    filters = [spec("x", ["lower(candidate.rb) AS low", "coalesce(gone, 5) AS five", "0 AS zero"])]
    frame = simple(height, **{"candidate.rb": [0.5] * height})
    sent = encode(batch(frame, {"x": list(range(height))}), filters, addresses(height))
    assert [read(message)["annotations"] for message in sent[height:]] == [{"low": None, "five": 5, "zero": 0}] * height


def test_names_that_are_common_columns_are_not_repeated():
    filters = [spec("x", ["mag", "candidate.rb"])]
    sent = encode(batch(simple(1, mag=[18.0], **{"candidate.rb": [0.5]}), {"x": [0]}), filters, addresses(1))
    assert read(sent[1])["annotations"] == {"candidate.rb": 0.5}


def test_nothing_comes_of_nothing():
    assert encode(batch(simple().head(0)), [], []) == []


def test_the_schema_and_its_sample():
    assert alert_schema_id() == PUBLISHED.id
    names = [field["name"] for field in PUBLISHED.schema["fields"]]
    assert names[: len(COMMON)] == list(COMMON)
    assert all(field["doc"] for field in PUBLISHED.schema["fields"])
    sample = shipped("schemas") / "nuncius/alert/1/1/nuncius.alert.sample.json"
    (record,) = fastavro.json_reader(io.StringIO(json.dumps(json.loads(sample.read_text("utf-8")))), SCHEMA)
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, SCHEMA, record, strict=True)
    buffer.seek(0)
    assert fastavro.schemaless_reader(buffer, SCHEMA, None) == record


def test_readers_of_other_versions_follow():
    """A reader with a field more, with its default, or a field less, reads what we write today."""
    newer = {
        **PUBLISHED.schema,
        "fields": [*PUBLISHED.schema["fields"], {"name": "extra", "type": ["null", "string"], "default": None}],
    }
    older = {**PUBLISHED.schema, "fields": [f for f in PUBLISHED.schema["fields"] if f["name"] not in {"skymaps", "p_astro"}]}
    (message,) = encode(batch(simple(1, mag=[18.5])), [], addresses(1))
    now = read(message)
    assert read(message, fastavro.parse_schema(newer)) == now | {"extra": None}
    assert read(message, fastavro.parse_schema(older)) == {k: v for k, v in now.items() if k not in {"skymaps", "p_astro"}}


def test_a_missing_list_of_schemas_is_told(tmp_path):
    with pytest.raises(NotFoundError, match=r"ids\.toml is missing"):
        load_published(tmp_path)
