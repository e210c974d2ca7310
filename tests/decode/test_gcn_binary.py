"""GCN Classic's 160-byte notices, synthetic ones and the real ones read again from their slots."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.decode.gcn_binary import parse_binary, plausible
from broker.decode.notice_types import notice_types, type_named
from broker.errors import DecodeError
from broker.identifiers import messenger_of


def packet(kind: int, **slots: int) -> bytes:
    values = [kind, 7, 0, 6_524_100, 1_227_767, 20_441, 6_521_322, 3_366_645, -85_135, *[0] * 30, 10]
    for name, value in slots.items():
        values[int(name.removeprefix("s"))] = value
    return struct.pack(">40i", *values)


def test_swift() -> None:
    notice = parse_binary(packet(61, s4=(5 << 24) + 1_227_767, s11=500))
    assert notice.native_id == "SWIFT_BAT_GRB_POS_ACK:1227767:7:2024-05-11T18:06:53.220"
    assert notice.event_name == "Swift 1227767"
    assert notice.time == datetime(2024, 5, 11, 18, 6, 53, 220_000, tzinfo=UTC)
    assert (notice.ra, notice.dec, notice.ra_dec_error, notice.containment_probability) == (336.6645, -8.5135, 0.05, 0.9)
    assert (notice.mission, notice.instrument, notice.alert_type, notice.alert_tense) == ("Swift", "BAT", "initial", "current")
    assert notice.fields["observation"] == 5


def test_integral_in_arcseconds_with_its_test_flag() -> None:
    notice = parse_binary(packet(53, s4=(1 << 16) + 10_076, s11=61, s12=-(1 << 31)))
    assert (notice.event_name, notice.alert_tense) == ("INTEGRAL 10076", "test")
    assert notice.ra_dec_error == pytest.approx(61 / 3600, abs=1e-7)
    assert parse_binary(packet(53, s12=1 << 30)).alert_type == "retraction"


def test_gecam_counts_seconds_otherwise() -> None:
    notice = parse_binary(packet(188, s6=468_825_504, s10=14_899))
    assert notice.time == datetime(2024, 5, 11, 13, 1, 22, 550_400, tzinfo=UTC)
    assert notice.ra_dec_error == 1.4899


def test_lvk_name_is_in_bits() -> None:
    notice = parse_binary(packet(164, s4=240_511, s13=988_148, s18=2, s19=(12 << 20) | (105 << 10), s21=98, s6=3_110_100))
    assert notice.event_name == "MS240511ib"
    assert (notice.alert_type, notice.alert_tense, notice.messenger, notice.ra) == ("retraction", "test", "GW", None)
    assert notice.time == datetime(2024, 5, 11, 8, 38, 21, 988_148, tzinfo=UTC)


def test_lvk_rate_classes_and_address() -> None:
    text = b"S240511ib/files/bayestar.multiorder.fits".ljust(40, b"\0")[:39] + b"\0"
    words = {f"s{29 + i}": struct.unpack("<i", text[4 * i : 4 * i + 4])[0] for i in range(10)}
    notice = parse_binary(packet(150, s4=240_511, s11=-130_404, s19=(8 << 20) | (105 << 10), s21=98, s22=0x5F010202, **words))
    assert notice.far == pytest.approx(10**-13.0404)
    assert notice.classification == "BNS"
    assert notice.p_astro == 0.98
    assert notice.fields["classification.BNS"] == 0.95
    assert notice.skymap_url == "https://gracedb.ligo.org/api/superevents/S240511ib/files/bayestar.multiorder.fits"


def test_pointing_placeholders_and_flags() -> None:
    notice = parse_binary(packet(83))
    assert (notice.ra, notice.event_name, notice.alert_type) == (None, None, None)
    assert notice.fields["pointing.ra"] == 336.6645
    assert parse_binary(packet(111, s4=99_999)).event_name is None
    assert parse_binary(packet(111, s18=1 << 5)).alert_type == "retraction"
    assert parse_binary(packet(173, s18=2)).alert_tense == "test"
    assert parse_binary(packet(52, s7=3125, s8=1357)).ra is None  # those slots are spare there


def test_a_number_that_sources_share_names_none_of_them() -> None:
    image = parse_binary(packet(140, s4=1_491_582_171, s7=1_101_899, s8=501_439))
    assert image.event_name == "Swift 1491582171@110.1899+50.1439"
    assert parse_binary(packet(141, s4=1_491_582_171, s7=579_729, s8=-222_579)).event_name == "Swift 1491582171@57.9729-22.2579"
    assert image.native_id.startswith("SWIFT_BAT_SUBSUB:1491582171:")
    assert parse_binary(packet(140, s4=1_491_582_171, s7=0, s8=0)).event_name is None
    candidate = parse_binary(packet(45, s4=21_571))
    assert (candidate.event_name, candidate.mission) == ("COUNTERPART 21571@336.6645-8.5135", "COUNTERPART")


@pytest.mark.parametrize("number", [2_147_483_647, -1, 0, 99_999])
def test_numbers_that_are_none(number: int) -> None:
    assert parse_binary(packet(111, s4=number)).event_name is None
    assert parse_binary(packet(158, s4=number, s23=126_000)).event_name is None


def test_lat_counts_by_days_or_by_seconds() -> None:
    by_day = parse_binary(packet(128, s4=240_511_755))  # of 2024-05-11 18:06:53
    assert (by_day.event_name, by_day.names) == ("Fermi 240511755", ("bn240511755",))
    assert parse_binary(packet(128, s4=240_512_755)).names == ()
    assert parse_binary(packet(128, s4=738_511_436)).names == ()


def test_an_unknown_type_is_read_as_most_and_said() -> None:
    notice = parse_binary(packet(777))
    assert notice.native_id.startswith("TYPE_777:1227767:7:")
    assert notice.ra == 336.6645
    assert "unknown" in notice.deviations[0]


@pytest.mark.parametrize(
    "data", [b"", packet(61)[:-1], packet(61) + b"\0", packet(0), packet(61, s5=-5), packet(61, s6=99_000_000), b"x" * 160]
)
def test_what_is_no_packet(data: bytes) -> None:
    assert not plausible(data)
    with pytest.raises(DecodeError):
        parse_binary(data)


def test_off_the_sphere_is_refused() -> None:
    with pytest.raises(DecodeError, match="off the sphere"):
        parse_binary(packet(61, s8=950_000))


def test_the_table_is_sound() -> None:
    types = notice_types()
    assert len({entry.name for entry in types.values()}) == len(types) > 100
    assert type_named("ICECUBE_CASCADE") == types[176]
    assert {entry.coords for entry in types.values()} == {"source", "pointing", "none"}
    assert {entry.trigger_id for entry in types.values()} == {"plain", "swift", "integral", "lvc", "icecube", "shared"}
    for entry in types.values():  # what decides whose positions are believed says the same
        assert entry.mission in {None, "GCN", "COUNTERPART", "LVK"} or messenger_of(entry.mission) == entry.messenger
    assert all(entry.error_slot is None or entry.error_unit > 0.0 for entry in types.values())


def test_real_packets(data_dir: Path) -> None:
    files = sorted((data_dir / "gcn" / "classic_bin").rglob("*.bin"))
    assert len(files) > 40
    for file in files:
        slots = struct.unpack(">40i", file.read_bytes())
        notice = parse_binary(file.read_bytes())
        kind = notice_types()[slots[0]]
        assert file.parent.name in {kind.name, "UNKNOWN"}
        seconds = slots[6] / (1e4 if "GECAM" in kind.name else 1e2) + (slots[13] * 1e-6 if "LVC" in kind.name else 0.0)
        expected = datetime(1968, 5, 24, tzinfo=UTC) + timedelta(days=slots[5], seconds=seconds)
        assert notice.time is not None
        assert abs(notice.time - expected) < timedelta(microseconds=2)
        assert f":{slots[1]}:" in notice.native_id
        number = slots[4] & 0xFFFFFF if "SWIFT" in kind.name else slots[4]
        assert kind.trigger_id in {"lvc", "icecube"} or str(number) == notice.fields["trigger_id"]
        assert kind.trigger_id != "lvc" or str(slots[4]) in str(notice.event_name)
        where = (slots[7] / 1e4, slots[8] / 1e4)
        if kind.coords == "source" and where != (0.0, 0.0):
            assert (notice.ra, notice.dec) == pytest.approx(where, abs=1e-9)
        else:
            assert notice.ra is None
