"""Containers: codecs, bounds, bombs."""

from __future__ import annotations

import bz2
import lzma
import zlib

import cramjam
import pytest

from broker.decode.ocf import MAX_UNPACKED, find_spans, header_of, unpack
from broker.decode.survey import decode_survey
from broker.errors import DecodeError
from tests.decode.survey_packets import STREAMS, Schemas, container, records, ztf

CODECS = {
    "deflate": lambda data: zlib.compress(data)[2:-4],
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big"),
    "zstandard": lambda data: bytes(cramjam.zstd.compress(data)),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def long(value):
    value, out = value << 1, bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def packed(codec, squeeze, numbers):
    """A container with a compressed block of each record, put together by hand."""
    plain = [container([ztf(number)]) for number in numbers]
    head = header_of(plain[0]).prefix
    out = head.replace(b"\x14avro.codec\x08null", b"\x14avro.codec" + long(len(codec)) + codec.encode()) + b"s" * 16
    for data in plain:
        span = find_spans([data], header_of(data))
        body = squeeze(data[len(head) + 16 :][-int(span.size[0]) - 16 : -16])
        out += b"\x02" + long(len(body)) + body + b"s" * 16
    return out


def decode(*packets):
    return decode_survey(STREAMS["ztf"], records(*packets), Schemas())


@pytest.mark.parametrize("codec", CODECS)
def test_codecs(codec):
    batch = decode(packed(codec, CODECS[codec], [1, 2, 3]), container([ztf(4)]))
    assert batch.frame["alert_id"].to_list() == ["ztf:1", "ztf:2", "ztf:3", "ztf:4"]


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_block_ends_its_container(codec):
    whole = packed(codec, CODECS[codec], [1, 2, 3])
    second = bytearray(whole)
    middle = len(whole) - (len(whole) - whole.index(b"s" * 16)) // 2
    second[middle : middle + 8] = b"\xa5" * 8
    batch = decode(bytes(second), whole)
    assert batch.frame.filter(batch.frame["_record"] == 1).height == 3
    assert batch.frame.filter(batch.frame["_record"] == 0)["alert_id"].to_list() == ["ztf:1"]
    assert [(item.record, item.unit) for item in batch.rejected] == [(0, 1)]


@pytest.mark.parametrize("codec", CODECS)
def test_bombs(codec):
    bomb = CODECS[codec](bytes(3_000_000))
    with pytest.raises(DecodeError, match="more than 1000000 bytes"):
        unpack(bomb, codec, 1_000_000)
    assert unpack(bomb, codec, 3_000_000) == bytes(3_000_000)


@pytest.mark.parametrize("codec", CODECS)
def test_a_block_cut_short(codec):
    block = CODECS[codec](b"text" * 1000)
    for cut in (0, 1, 3, len(block) // 2, len(block) - 1):
        with pytest.raises(DecodeError):
            unpack(block[:cut], codec)


def test_bound_holds_over_all_blocks_of_a_container():
    def squeeze(data):
        return zlib.compress(data + bytes(MAX_UNPACKED // 2 - 100))[2:-4]

    # Each block is within the bound, and no record's end either; together they are past it.
    batch = decode(packed("deflate", squeeze, [1, 2, 3]))
    assert batch.frame.height == 0
    assert len(batch.rejected) == 1


def test_containers_are_unpacked_a_bounded_number_at_a_time(monkeypatch):
    good = [packed("deflate", CODECS["deflate"], [number, number + 1]) for number in (1, 3, 5, 7)]
    broken = bytearray(good[2])
    broken[-17] ^= 0xFF  # its last block's last byte
    packets = [*good[:2], b"Obj\x01", bytes(broken), good[3]]
    whole = decode(*packets)
    monkeypatch.setattr("broker.decode.ocf.MAX_HELD", MAX_UNPACKED + 500)
    spans = find_spans(good, header_of(good[0]))
    assert spans.taken == 1
    assert set(spans.source.tolist()) == {0}
    sliced = decode(*packets)
    assert sliced.frame.equals(whole.frame)
    assert sliced.rejected == whole.rejected
    assert sliced.received == whole.received


def test_unknown_codec():
    batch = decode(packed("lzo", lambda data: data, [1]))
    assert "compressed with 'lzo'" in batch.rejected[0].reason


def test_headers_are_parsed_once():
    first, second = container([ztf(1)]), container([ztf(2)])
    assert header_of(first) is header_of(second)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Obj\x01", "ends inside its header"),
        (b"Obj\x01\x00" + b"s" * 16, "no schema"),
        (b"Obj\x01\x02\x16avro.schema\x7f", "negative length"),
        (b"Obj\x01\x02\x16avro.schema\xfe\xff\xff\xff\x0f", "ends inside its header"),
        (b"Obj\x01\xfe\xff\xff\xff\x0f", "too many entries"),
        (b"Obj\x01" + b"\x80" * 11, "more than 10 bytes"),
        (b"Obj\x01\x02\x16avro.schema\x02{\x00", "not JSON"),
    ],
)
def test_damaged_headers(data, words):
    with pytest.raises(DecodeError, match=words):
        header_of(data)
