"""Single packets: reading, cutouts, light curves."""

from __future__ import annotations

import gzip

import pytest

from broker.decode.packet import LIGHT_CURVE, cutout, light_curve, read_packet
from broker.errors import DecodeError, SchemaUnavailableError
from tests.decode.survey_packets import STREAMS, ZTF, Schemas, bare, container, framed, ztf

D = STREAMS["ztf"]
BARE = D.model_copy(update={"framing": ("ocf", "confluent", "bare")})
SCHEMAS = Schemas({7: ZTF}, [ZTF])


def test_every_framing():
    packet = ztf(5)
    for declaration, data in ((D, container([packet])), (D, framed(packet, ZTF, 7)), (BARE, bare(packet, ZTF))):
        assert read_packet(declaration, data, SCHEMAS) == packet
    blocks = container([ztf(number) for number in range(3)], interval=1)
    assert [read_packet(D, blocks, SCHEMAS, unit)["candid"] for unit in range(3)] == [0, 1, 2]
    assert read_packet(D, container([ztf(1), ztf(2)], codec="deflate"), SCHEMAS, 1)["candid"] == 2


def test_what_cannot_be_read():
    whole = container([ztf(1)])
    for data in (whole[:-30], whole[:50], b"", b"junk", bare(ztf(1), ZTF)):
        with pytest.raises(DecodeError):
            read_packet(D, data, SCHEMAS)
    with pytest.raises(DecodeError, match="no record number 1: it holds 1"):
        read_packet(D, whole, SCHEMAS, 1)
    with pytest.raises(DecodeError, match="goes on after"):
        read_packet(D, framed(ztf(1), ZTF, 7) + b"x", SCHEMAS)
    with pytest.raises(DecodeError):
        read_packet(D, framed(ztf(1), ZTF, 7)[:-1], SCHEMAS)
    with pytest.raises(SchemaUnavailableError):
        read_packet(D, framed(ztf(1), ZTF, 8), SCHEMAS)
    with pytest.raises(DecodeError, match="bare record of none"):
        read_packet(BARE, b"\x7f" * 100, SCHEMAS)


def test_cutouts():
    image = b"SIMPLE  =" * 50
    packed = gzip.compress(image)
    for data in (image, packed):
        assert cutout(D, ztf(_cutoutScience={"fileName": "a", "stampData": data}), "science") == image
    assert cutout(D, ztf(), "template") is None
    assert cutout(D, ztf(), "portrait") is None
    with pytest.raises(DecodeError, match="science cutout cannot be unpacked"):
        cutout(D, ztf(_cutoutScience={"fileName": "a", "stampData": packed[:-20]}), "science")
    bomb = gzip.compress(bytes(70 << 20), compresslevel=1)
    with pytest.raises(DecodeError, match="unpacks to more than"):
        cutout(D, ztf(_cutoutScience={"fileName": "a", "stampData": bomb}), "science")


def test_light_curve_of_magnitudes():
    curve = light_curve(D, ztf(5))
    assert dict(curve.schema) == LIGHT_CURVE
    assert curve.select("time", "mag", "limit", "band", "positive", "kind").rows() == [
        (59_990.0, 19.0, None, "r", False, "detection"),
        (59_991.0, None, 20.0, "g", None, "limit"),
        (60_000.25, 18.5, None, "g", True, "detection"),
    ]


def test_light_curve_of_forced_fluxes():
    forced = [
        {"jd": 2_460_000.5 + number, "fid": 2, "forcediffimflux": flux, "forcediffimfluxunc": 10.0, "magzpsci": 26.0}
        for number, flux in enumerate((100.0, -100.0, -99_999.0, None))
    ]
    curve = light_curve(D, ztf(5, _prv_candidates=None) | {"fp_hists": forced})
    assert curve.filter(curve["kind"] == "forced").select("mag", "flux", "positive").rows() == [
        (21.0, 100.0, True),
        (None, -100.0, False),
    ]


def test_light_curve_of_noise():
    packet = {
        "diaSource": {"diaSourceId": 1, "midpointMjdTai": 60_000.0, "psfFlux": None, "psfFluxErr": None, "band": "g"},
        "prvDiaNondetectionLimits": [{"midpointMjdTai": 59_000.0, "band": "r", "diaNoise": 200.0}],
        "prvDiaSources": [],
    }
    ((limit, kind),) = light_curve(STREAMS["lsst"], packet).select("limit", "kind").rows()
    assert (limit, kind) == (pytest.approx(31.4 - 7.5), "limit")
