"""GCN's unified JSON: softly validated, strictly parsed."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.decode.gcn_json import from_unified
from broker.decode.notice import ALIVE, Notice
from broker.decode.notice_json import parse_object
from broker.errors import DecodeError

FITS = b"SIMPLE  =                    T" + b" " * 50


def unified(**more: object) -> dict[str, object]:
    return {
        "$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/fermi/gbm/trigger.schema.json",
        "mission": "Fermi",
        "instrument": "GBM",
        "messenger": "EM",
        "id": ["745121685", "bn240812094"],
        "record_number": 4,
        "alert_type": "update",
        "alert_tense": "current",
        "alert_datetime": "2024-08-24T02:15:13",
        "trigger_time": "2024-08-24T02:14:40.43Z",
        "ra": 235.883,
        "dec": 68.683,
        "ra_dec_error": 7.15,
        "containment_probability": 0.68,
        "classification": {"GRB": 0.85, "GENERIC_SGR": 0.14},
        "far": 1e-5,
        **more,
    }


def read(**more: object) -> Notice:
    return from_unified(parse_object(json.dumps(unified(**more)).encode()))


def test_a_healthy_notice_in_full() -> None:
    notice = read()
    assert notice.native_id == "Fermi.GBM:745121685:update:4"
    assert notice.event_name == "Fermi 745121685"
    assert notice.time == datetime(2024, 8, 24, 2, 14, 40, 430_000, tzinfo=UTC)
    assert (notice.ra, notice.dec, notice.ra_dec_error, notice.containment_probability) == (235.883, 68.683, 7.15, 0.68)
    assert (notice.mission, notice.instrument, notice.messenger) == ("Fermi", "GBM", "EM")
    assert (notice.alert_type, notice.alert_tense, notice.far, notice.classification) == ("update", "current", 1e-5, "GRB")
    assert notice.deviations == ()
    assert notice.fields["id"] == "745121685,bn240812094"
    assert notice.fields["classification.GENERIC_SGR"] == 0.14


def test_containment_is_nine_tenths_unless_given() -> None:
    value = unified()
    del value["containment_probability"]
    assert from_unified(value).containment_probability == 0.9


def test_an_error_for_another_containment_stays_as_given() -> None:
    notice = read(ra_dec_error=0.5, containment_probability=0.95)
    assert (notice.ra_dec_error, notice.containment_probability) == (0.5, 0.95)


def test_error_regions_become_the_circle_that_holds_them() -> None:
    assert read(ra_dec_error=[0.22, 0.19, 153]).ra_dec_error == 0.22
    assert read(ra_dec_error=[0.3]).ra_dec_error == 0.3
    corners = [[10.0, 1.0], [10.0, -1.0], [12.0, 1.0], [12.0, -1.0]]
    box = unified(ra=11.0, dec=0.0, rectangular_error_corners=corners)
    del box["ra_dec_error"]
    assert from_unified(box).ra_dec_error == pytest.approx(1.41414, abs=1e-4)


@pytest.mark.parametrize("error", ["wide", [], [None], {"a": 1}, True])
def test_errors_that_are_none_are_said(error: object) -> None:
    notice = read(ra_dec_error=error)
    assert notice.ra == 235.883
    assert notice.ra_dec_error is None
    assert any("ra_dec_error" in text for text in notice.deviations)


@pytest.mark.parametrize("text", ["2024-09-18 07:19:03+00:00", "2024-09-18T07:19:03", "2024-09-18T07:19:03.0Z"])
def test_times_with_blank_zone_or_nothing(text: str) -> None:
    assert read(trigger_time=text).time == datetime(2024, 9, 18, 7, 19, 3, tzinfo=UTC)


def test_an_unreadable_time_is_said_and_the_next_taken() -> None:
    notice = read(trigger_time="soon")
    assert notice.time == datetime(2024, 8, 24, 2, 15, 13, tzinfo=UTC)
    assert "trigger_time 'soon' cannot be read" in notice.deviations


def test_large_identifiers_keep_every_digit() -> None:
    notice = read(id=9007199254740993123, event_name=None)
    assert notice.native_id == "Fermi.GBM:9007199254740993123:update:4"
    assert notice.event_name == "Fermi 9007199254740993123"


def test_an_event_name_wins_over_an_identifier() -> None:
    assert read(event_name=["IceCube-230416A"]).event_name == "IceCube-230416A"


@pytest.mark.parametrize("packed", [FITS, gzip.compress(FITS, mtime=0)])
def test_embedded_maps(packed: bytes) -> None:
    text = base64.b64encode(packed).decode()
    assert read(healpix_file=text[:20] + "\n" + text[20:]).skymap == packed
    assert "healpix_file" not in read(healpix_file=text).fields


@pytest.mark.parametrize("text", ["hhhh...", "H4sIAAAAAAAAC.......", base64.b64encode(b"nothing").decode()])
def test_maps_that_are_none_are_said(text: str) -> None:
    notice = read(healpix_file=text)
    assert notice.skymap is None
    assert notice.ra == 235.883
    assert "healpix_file" in notice.deviations[0]


def test_an_optical_broker_lists_its_targets() -> None:
    value = {
        "alert_datetime": "2025-11-30T10:28:57Z",
        "mission": "Boom",
        "data": {
            "targets": [
                {"event_name": "ZTF25x", "ra": 150.1, "dec": 15.2, "classification_scores": {"Ia": 0.2, "II": 0.7}},
                {"ra": 1},
            ]
        },
    }
    notice = from_unified(value)
    assert (notice.event_name, notice.ra, notice.dec, notice.classification) == ("ZTF25x", 150.1, 15.2, "II")
    assert notice.fields["data.targets.0.event_name"] == "ZTF25x"


def track_search(**more: object) -> dict[str, object]:
    return {
        "$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/icecube/lvk_nu_track_search.schema.json",
        "type": "IceCube LVK Alert Nu Track Search",
        "ref_ID": "S230914ak",
        "alert_datetime": "2023-09-14T11:49:16.526Z",
        "trigger_time": "2023-09-14T11:14:01Z",
        "coincident_events": [
            {"localization": {"ra": 17.48, "dec": 16.15, "ra_dec_error": 0.5, "containment_probability": 0.9}}
        ],
        **more,
    }


def test_a_track_search_nests_its_localisation() -> None:
    notice = from_unified(track_search())
    assert (notice.ra, notice.dec, notice.ra_dec_error) == (17.48, 16.15, 0.5)
    assert (notice.mission, notice.messenger) == ("IceCube", "Neutrino")
    assert notice.event_name is None  # it is about S230914ak, it is not S230914ak
    assert notice.fields["ref_ID"] == "S230914ak"
    assert notice.native_id == "icecube.lvk_nu_track_search:S230914ak:2023-09-14T11:49:16.526Z"
    two = track_search(coincident_events=[{}, {}], most_probable_direction={"ra": 17.49, "dec": 16.18})
    assert from_unified(two).ra == 17.49


def test_deviating_words_are_kept_and_said() -> None:
    notice = read(alert_type="Update", alert_tense="rehearsal", p_astro=1.5)
    assert (notice.alert_type, notice.alert_tense, notice.p_astro) == ("update", "rehearsal", None)
    assert len(notice.deviations) == 3


def test_a_heartbeat_is_no_notice() -> None:
    notice = from_unified({"$schema": "x/core/Alert.schema.json", "alert_datetime": "2024-01-01T00:00:01Z"})
    assert notice is ALIVE


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"ra_pointing": 120.5, "time": "2022-05-08T13:30:00Z"}, "not a notice"),
        ({"mission": "Hubble", "record_number": 1}, "not a notice"),
        (unified(dec=-91.0), "off the sphere"),
        (unified(ra=400), "off the sphere"),
    ],
)
def test_refusals(value: dict[str, object], reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        from_unified(value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"ra": NaN}', "NaN is not JSON"),
        (b'{"ra": -Infinity}', "-Infinity is not JSON"),
        (b'{"ra": 1e999}', "must be finite"),
        (b'{"ra": 1', "not JSON"),
        (b'{"ra": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[1, 2]", "not one object"),
        (b'[{"a": 1}, {"a": 2}]', "not one object"),
        (b'"text"', "not one object"),
        (b"null", "not one object"),
    ],
)
def test_json_that_is_none(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        parse_object(data)


def test_json_that_is_odd_but_fine() -> None:
    assert parse_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    assert parse_object(b'{"a": 1, "a": 2}') == {"a": 2}
    assert parse_object(b'[{"a": 1}]') == {"a": 1}


def test_real_examples(data_dir: Path) -> None:
    files = sorted((data_dir / "gcn" / "json_schema_examples" / "gcn" / "notices").rglob("*.json"))
    read_files = 0
    for file in files:
        raw = json.loads(file.read_bytes())
        if not any(key in raw for key in ("id", "event_name", "alert_datetime", "trigger_time")):
            with pytest.raises(DecodeError, match="not a notice"):
                from_unified(raw)
            continue
        notice = from_unified(parse_object(file.read_bytes()))
        read_files += 1
        assert notice.time is not None
        for name in ("mission", "instrument", "messenger", "alert_type", "alert_tense", "far", "p_astro"):
            if name in raw:
                assert getattr(notice, name) == raw[name], (file.name, name)
        for name in ("ra", "dec"):
            if name in raw:
                assert getattr(notice, name) == raw[name], (file.name, name)
        if isinstance(raw.get("ra_dec_error"), int | float):
            assert notice.ra_dec_error == raw["ra_dec_error"]
        if "trigger_time" in raw:
            stated = datetime.fromisoformat(raw["trigger_time"])
            assert notice.time == (stated if stated.tzinfo else stated.replace(tzinfo=UTC))
    assert read_files >= 20


FLARE = {
    "$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/fermi/lat/flare.schema.json",
    "mission": "Fermi",
    "instrument": "LAT",
    "event_name": "OQ 334",
    "observation_start": "2025-11-20T00:00:00.0",
    "alert_datetime": "2025-11-21T00:00:00",
}


def test_a_source_is_not_its_flare() -> None:
    flare = from_unified(FLARE)
    assert (flare.event_name, flare.names, flare.fields["source_name"]) == ("OQ 334 2025-11-20", (), "OQ 334")
    assert (flare.fields["notice_type"], flare.messenger) == ("Fermi.LAT.flare", "EM")
    later = from_unified(FLARE | {"observation_start": "2029-11-20T00:00:00.0"})
    assert later.event_name == "OQ 334 2029-11-20"
    known = FLARE | {"$schema": FLARE["$schema"].replace("fermi/lat/flare", "maxi/gsc.known"), "mission": "MAXI"}
    notice = from_unified(known | {"instrument": "GSC", "event_name": "Swift J1858.6-0814", "id": "0858800020"})
    assert (notice.event_name, notice.names) == ("MAXI 858800020", ())
    assert (notice.fields["source_name"], notice.fields["notice_type"]) == ("Swift J1858.6-0814", "MAXI.GSC.known")
    burst = from_unified(known | {"instrument": "GSC", "event_name": "GRB 230220A", "id": "9995289617"})
    assert (burst.event_name, burst.names, burst.fields["notice_type"]) == ("GRB 230220A", ("MAXI 9995289617",), "MAXI.GSC")
    assert "source_name" not in burst.fields


@pytest.mark.parametrize(
    ("mission", "messenger"),
    [
        *((mission, "EM") for mission in ("Fermi", "Swift", "MAXI", "Einstein Probe", "SVOM", "CHIME", "DSA-110", "CHIME/FRB")),
        *((mission, "Neutrino") for mission in ("IceCube", "KM3NeT", "Super-Kamiokande", "SNEWS")),
        ("LVK", "GW"),
        ("Someone", None),
    ],
)
def test_what_a_mission_sees_is_known_where_it_is_not_said(mission: str, messenger: str | None) -> None:
    assert read(mission=mission, messenger=None).messenger == messenger


def test_a_burst_of_gbm_has_its_name_from_its_address() -> None:
    page = "https://heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2023/bn230410476/quicklook"
    assert read(id="702818765", data_archive_page=page).names == ("bn230410476",)
