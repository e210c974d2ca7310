"""VOEvents: our own ones for every trap, the real ones against voevent-parse."""

from __future__ import annotations

import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import voeventparse
from astropy.time import Time

from broker.decode.notice import Notice
from broker.decode.voevent import parse_voevent
from broker.errors import DecodeError

V2 = "http://www.ivoa.net/xml/VOEvent/v2.0"
SWIFT = "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1234567-890"


def param(name: str, value: str, **more: str) -> str:
    rest = "".join(f' {key}="{text}"' for key, text in more.items())
    return f'<Param name="{name}" value="{value}"{rest}/>'


def voevent(
    ivorn: str = SWIFT,
    what: str = "",
    *,
    time: str | None = "2026-05-23T03:25:45.67",
    system: str = "UTC-FK5-GEO",
    radec: tuple[str, str] | None = ("123.45", "-6.7"),
    error: str = "0.05",
    role: str = "observation",
    namespace: str = V2,
    version: str = "2.0",
    cites: str = "",
    date: str = "2026-05-23T03:26:00",
    description: str = "",
) -> bytes:
    place = (
        f'<Position2D unit="deg"><Value2><C1>{radec[0]}</C1><C2>{radec[1]}</C2></Value2>'
        f"<Error2Radius>{error}</Error2Radius></Position2D>"
        if radec
        else ""
    )
    when = f'<Time unit="s"><TimeInstant><ISOTime>{time}</ISOTime></TimeInstant></Time>' if time is not None else ""
    said = f"<Description>{description}</Description>" if description else ""
    head = f'xmlns:voe="{namespace}"' if namespace else ""
    tag = "voe:VOEvent" if namespace else "VOEvent"
    identity = f'ivorn="{ivorn}"' if ivorn else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<{tag} {head} version="{version}" role="{role}" {identity}>
<Who><AuthorIVORN>ivo://test</AuthorIVORN><Date>{date}</Date></Who>
<What>{what}</What>
<WhereWhen><ObsDataLocation><ObservatoryLocation id="GEOLUN"/><ObservationLocation><AstroCoordSystem id="{system}"/>
<AstroCoords coord_system_id="{system}">{when}{place}</AstroCoords></ObservationLocation></ObsDataLocation>{said}</WhereWhen>
{cites}</{tag}>""".encode()


def swift(**more: object) -> Notice:
    what = param("Packet_Type", "61") + param("TrigID", "1234567", ucd="meta.id") + param("Image_Signif", "7.5")
    return parse_voevent(voevent(what=what, **more))  # type: ignore[arg-type]


def test_a_healthy_event_in_full() -> None:
    notice = swift()
    assert notice.native_id == SWIFT
    assert notice.event_name == "Swift 1234567"
    assert notice.time == datetime(2026, 5, 23, 3, 25, 45, 670_000, tzinfo=UTC)
    assert (notice.ra, notice.dec, notice.ra_dec_error, notice.containment_probability) == (123.45, -6.7, 0.05, 0.9)
    assert (notice.mission, notice.instrument, notice.messenger) == ("Swift", "BAT", "EM")
    assert (notice.alert_type, notice.alert_tense) == ("initial", "current")
    assert notice.deviations == ()
    assert notice.fields["TrigID"] == "1234567"  # an identifier stays text
    assert notice.fields["Image_Signif"] == 7.5
    assert notice.fields["notice_type"] == "SWIFT_BAT_GRB_POS_ACK"


@pytest.mark.parametrize(
    "text",
    ["\n   2026-05-23T03:25:45.67\n  ", "2026-05-23T03:25:45.67Z", "2026-05-23 03:25:45.67", "2026-05-23T05:25:45.67+02:00"],
)
def test_white_space_zones_and_blanks_in_times(text: str) -> None:
    assert swift(time=text).time == datetime(2026, 5, 23, 3, 25, 45, 670_000, tzinfo=UTC)


@pytest.mark.parametrize("scale", ["TDB", "TT"])
def test_other_time_scales_become_utc(scale: str) -> None:
    notice = swift(time="2016-10-31T22:27:33", system=f"{scale}-ICRS-BARY")
    truth = Time("2016-10-31T22:27:33", scale=scale.lower()).utc.to_datetime(timezone=UTC)
    assert notice.time is not None
    assert abs(notice.time - truth) < timedelta(microseconds=2)
    assert notice.time < datetime(2016, 10, 31, 22, 26, 25, tzinfo=UTC)


def test_gps_time_becomes_utc() -> None:
    assert swift(time="2020-01-01T00:00:18", system="GPS-ICRS-GEO").time == datetime(2020, 1, 1, tzinfo=UTC)


def test_no_scale_is_utc() -> None:
    assert swift(system="").time == datetime(2026, 5, 23, 3, 25, 45, 670_000, tzinfo=UTC)


def test_a_garbled_time_is_taken_from_the_truncated_julian_day() -> None:
    what = param("Burst_TJD", "21183") + param("Burst_SOD", "12345.67")
    notice = parse_voevent(voevent(what=what, time="2023-512--1076359880T00:00:00"))
    assert notice.time == datetime(2026, 5, 23, 3, 25, 45, 670_000, tzinfo=UTC)
    assert "truncated Julian day" in notice.deviations[0]


def test_a_garbled_time_with_an_impossible_day_falls_back_to_the_message() -> None:
    what = param("Burst_TJD", "25000") + param("Burst_SOD", "12345.67")
    notice = parse_voevent(voevent(what=what, time="2023-512--1076359880T00:00:00"))
    assert notice.time == datetime(2026, 5, 23, 3, 26, tzinfo=UTC)
    assert "time of the message taken" in notice.deviations[0]


def test_no_time_at_all_is_null_and_said() -> None:
    notice = swift(time=None, date="")
    assert notice.time is None
    assert any("no event time" in text for text in notice.deviations)


@pytest.mark.parametrize("radec", [("0.0000", "0.0"), ("-1.0000", "-1.0000"), None])
def test_placeholders_and_missing_positions_are_none(radec: tuple[str, str] | None) -> None:
    notice = swift(radec=radec)
    assert (notice.ra, notice.dec, notice.ra_dec_error, notice.containment_probability) == (None, None, None, None)


def test_zero_in_one_coordinate_is_a_position() -> None:
    assert swift(radec=("0.0", "35.0")).dec == 35.0


@pytest.mark.parametrize("radec", [("361", "0.5"), ("12", "-90.5"), ("-5", "10")])
def test_off_the_sphere_is_refused(radec: tuple[str, str]) -> None:
    with pytest.raises(DecodeError, match="off the sphere"):
        swift(radec=radec)


@pytest.mark.parametrize("error", ["0.0000", "-1.0", "360.0"])
def test_radii_that_say_nothing_are_unknown(error: str) -> None:
    notice = swift(error=error)
    assert notice.ra == 123.45
    assert notice.ra_dec_error is None


def test_a_pointing_is_no_source() -> None:
    what = param("Packet_Type", "103") + param("TrigID", "34467") + param("Coords_String", "pointing_direction")
    notice = parse_voevent(voevent(what=what, role="utility"))
    assert notice.ra is None
    assert notice.fields["pointing.ra"] == 123.45
    assert notice.event_name is None
    assert notice.alert_type is None


def test_a_supernova_described_as_pointing_keeps_its_position() -> None:
    what = param("Packet_Type", "175") + param("Trigger_Number", "10032") + param("Src_Error90", "0.9")
    notice = parse_voevent(
        voevent("ivo://nasa.gsfc.gcn/SK_SN#Event_1", what, error="0.0", description="of the type: pointing_direction.")
    )
    assert (notice.ra, notice.ra_dec_error, notice.messenger) == (123.45, 0.9, "Neutrino")


def test_radec_valid_false_is_not_believed() -> None:
    what = param("Packet_Type", "173") + param("run_id", "137840") + param("event_id", "57034692") + param("signalness", "0.34")
    what += param("FAR", "1.5", unit="yr^-1") + f'<Group name="Trigger_ID">{param("RADec_valid", "false")}</Group>'
    notice = parse_voevent(voevent("ivo://nasa.gsfc.gcn/AMON#ICECUBE_GOLD_Event1", what))
    assert notice.ra == 123.45
    assert notice.event_name == "IceCube 137840_57034692"
    assert (notice.mission, notice.messenger, notice.p_astro) == ("IceCube", "Neutrino", 0.34)
    assert notice.far == pytest.approx(1.5 / 31_557_600)
    assert notice.fields["Trigger_ID.RADec_valid"] is False


def test_the_radius_tells_its_containment() -> None:
    what = param("src_error_90", "1.2299") + param("src_error_50", "0.4199")
    assert parse_voevent(voevent(what=what, error="0.4199")).containment_probability == 0.5
    assert parse_voevent(voevent(what=what, error="1.2299")).containment_probability == 0.9


@pytest.mark.parametrize("trigger", ["-1", "0", "99999", "099999", "000000"])
def test_placeholder_triggers_name_no_event(trigger: str) -> None:
    what = param("Packet_Type", "61") + param("TrigID", trigger, ucd="meta.id")
    assert parse_voevent(voevent(what=what)).event_name is None


def test_equal_counters_of_two_missions_name_two_events() -> None:
    what = param("TrigID", "1000050", ucd="meta.id")
    snews = parse_voevent(voevent("ivo://nasa.gsfc.gcn/SNEWS#Event1", param("Packet_Type", "149") + what))
    burst = parse_voevent(voevent(SWIFT, param("Packet_Type", "61") + what))
    assert snews.event_name != burst.event_name


def test_long_identifiers_keep_every_digit() -> None:
    notice = parse_voevent(
        voevent(what=param("AMON_ID", "1404271230564120301", ucd="meta.id") + param("count", "1404271230564120301"))
    )
    assert notice.fields["AMON_ID"] == "1404271230564120301"
    assert notice.fields["count"] == "1404271230564120301"


@pytest.mark.parametrize(
    ("cites", "kind"),
    [
        ('<Citations><EventIVORN cite="supersedes"/></Citations>', "initial"),
        ('<Citations><EventIVORN cite="supersedes">ivo://a/b#1</EventIVORN></Citations>', "update"),
        ('<Citations><EventIVORN cite="followup">ivo://a/b#1</EventIVORN></Citations>', "subsequent"),
        ('<Citations><EventIVORN cite="retraction">ivo://a/b#1</EventIVORN></Citations>', "retraction"),
    ],
)
def test_citations_tell_the_alert_type(cites: str, kind: str) -> None:
    assert parse_voevent(voevent("ivo://a.b/c#2", cites=cites)).alert_type == kind


def test_a_retraction_by_flag() -> None:
    what = param("Packet_Type", "173") + f'<Group name="Trigger_ID">{param("Retraction", "true")}</Group>'
    assert parse_voevent(voevent("ivo://nasa.gsfc.gcn/AMON#ICECUBE_GOLD_Event1", what)).alert_type == "retraction"


def test_role_observe_is_kept_and_said() -> None:
    notice = swift(role="observe")
    assert notice.alert_tense == "current"
    assert "not valid as VOEvent 2.0" in notice.deviations[0]
    assert "role" in notice.deviations[0]


def test_role_test_and_prediction() -> None:
    assert swift(role="test").alert_tense == "test"
    assert swift(role="prediction").alert_tense == "planned"


@pytest.mark.parametrize(
    ("namespace", "version"),
    [
        ("https://www.ivoa.net/xml/VOEvent/v2.0", "2.0"),
        ("http://www.ivoa.net/xml/VOEvent/v1.1", "1.1"),
        ("http://www.ivoa.net/xml/VOEvent/v2.1", "2.1"),
        ("", "2.0"),
    ],
)
def test_other_namespaces_are_read_alike_and_said(namespace: str, version: str) -> None:
    notice = swift(namespace=namespace, version=version)
    assert notice.ra == 123.45
    assert "read as VOEvent 2.0" in notice.deviations[0]


def test_schema_invalid_events_are_kept_and_the_fault_named() -> None:
    notice = swift(cites="<Extra/><How><Description>x</Description></How>")
    assert notice.ra == 123.45
    assert "Extra" in notice.deviations[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (voevent(ivorn=""), "no ivorn"),
        (voevent()[:-40], "not well formed"),
        (b"<VOEvent ", "not well formed"),
        (b'<Transport role="iamalive"/>', "not a VOEvent"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        parse_voevent(data)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
BOMBS = {
    "billion laughs": f'<!DOCTYPE v [<!ENTITY l0 "lol">{LAUGHS}]>',
    "quadratic": f'<!DOCTYPE v [<!ENTITY l11 "{"x" * 100_000}">]>',
    "external": '<!DOCTYPE v [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
    "external dtd": '<!DOCTYPE v SYSTEM "http://example.org/x.dtd">',
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_document_types_and_entities_are_refused(bomb: str, encoding: str) -> None:
    body = voevent(what=param("a", "&l11;" * 50)).decode().partition("?>")[2]
    data = f'<?xml version="1.0" encoding="{encoding}"?><!-- a comment -->{BOMBS[bomb]}{body}'.encode(encoding)
    with pytest.raises(DecodeError, match="DOCTYPE"):
        parse_voevent(data)


def test_an_undeclared_entity_is_refused() -> None:
    with pytest.raises(DecodeError, match="not well formed"):
        parse_voevent(voevent(what=param("a", "&undeclared;")))


def test_doctype_in_a_text_is_only_text() -> None:
    assert swift(cites="<How><Description><![CDATA[<!DOCTYPE html>]]></Description></How>").deviations == ()


def lvc(alert: str, number: str, more: str = "") -> bytes:
    what = param("Packet_Type", number) + param("GraceID", "S260523ab", ucd="meta.id") + param("AlertType", alert) + more
    return voevent(f"ivo://gwnet/LVC#S260523ab-1-{alert}", what, radec=None)


def test_lvk_event() -> None:
    more = (
        param("FAR", "9.1e-14", unit="Hz") + param("Instruments", "H1,L1") + param("Significant", "1") + param("Group", "CBC")
    )
    more += f'<Group name="GW_SKYMAP">{param("skymap_fits", "https://example.org/files/bayestar.multiorder.fits,1")}</Group>'
    more += f'<Group name="Classification">{param("BNS", "0.95")}{param("BBH", "0.03")}{param("Terrestrial", "0.02")}</Group>'
    more += f'<Group name="Properties">{param("HasNS", "1.0")}</Group>'
    notice = parse_voevent(lvc("Preliminary", "150", more))
    assert (notice.event_name, notice.messenger, notice.mission, notice.instrument) == ("S260523ab", "GW", "LVK", "H1,L1")
    assert (notice.alert_type, notice.far, notice.classification) == ("initial", 9.1e-14, "BNS")
    assert notice.p_astro == pytest.approx(0.98)
    assert notice.skymap_url == "https://example.org/files/bayestar.multiorder.fits,1"
    assert notice.fields["classification.BNS"] == 0.95
    assert notice.fields["properties.HasNS"] == 1.0
    assert notice.fields["significant"] is True
    assert notice.fields["group"] == "CBC"


def test_lvk_retraction_update_and_mock() -> None:
    assert parse_voevent(lvc("Retraction", "164")).alert_type == "retraction"
    assert parse_voevent(lvc("Update", "152")).alert_type == "update"
    assert parse_voevent(lvc("Initial", "151").replace(b"S260523ab", b"MS260523ab")).alert_tense == "test"


# --- real events -------------------------------------------------------------------------------------------------------


def oracle(data: bytes) -> tuple[datetime | None, tuple[float, float, float] | None]:
    """Time and position by voevent-parse; ``None`` where it finds none."""
    event = voeventparse.loads(data)
    try:
        time = voeventparse.get_event_time_as_utc(event)
    except (AttributeError, KeyError, ValueError, NotImplementedError):
        time = None
    try:
        place = voeventparse.get_event_position(event)
    except (AttributeError, KeyError, ValueError, NotImplementedError):
        place = None
    return (None if time is None else time.astimezone(UTC)), None if place is None else (place.ra, place.dec, place.err)


def compare(name: str, data: bytes, notice: Notice) -> int:
    """Hold a notice against voevent-parse; 1 if there was a position to compare."""
    if b'version="2.0"' not in data:  # voevent-parse refuses others
        return 0
    time, place = oracle(data)
    if time is not None:
        assert notice.time is not None, name
        assert abs(notice.time - time) < timedelta(microseconds=2), name
    if place is None or place[:2] in {(0.0, 0.0), (-1.0, -1.0)}:
        assert notice.ra is None, name
        return 0
    if notice.ra is None:
        assert (notice.fields["pointing.ra"], notice.fields["pointing.dec"]) == place[:2], name
        assert b"pointing_direction" in data, name
        return 0
    assert (notice.ra, notice.dec) == place[:2], name
    assert notice.ra_dec_error == (place[2] or notice.ra_dec_error), name
    return 1


def test_real_events_against_voevent_parse(data_dir: Path) -> None:
    files = sorted((data_dir / "gcn").glob("voevent*/**/*.xml"))
    assert len(files) > 600
    placed = 0
    for file in files:
        data = file.read_bytes()
        notice = parse_voevent(data)
        assert f'ivorn="{notice.native_id}"'.encode() in data
        placed += compare(file.name, data, notice)
    assert placed > 250


def test_a_real_month(data_dir: Path) -> None:
    total = placed = 0
    for tarball in sorted((data_dir / "gcn" / "voevent_tarballs").glob("*.tar.*")):
        with tarfile.open(tarball) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is None:
                    continue
                data = stream.read()
                notice = parse_voevent(data)
                total += 1
                if total % 20 == 0:  # the oracle is slow
                    placed += compare(member.name, data, notice)
    assert total > 10_000
    assert placed > 100


def test_an_endless_name_of_a_parameter_is_read_like_any_other() -> None:
    name = "_" * 300_000
    notice = parse_voevent(
        f"<VOEvent ivorn='ivo://a/b#c' role='test' version='2.0'><What><Param name='{name}' value='7'/>"
        f"<Param name='{name}id' value='007'/></What></VOEvent>".encode()
    )
    assert notice.fields[name] == 7.0
    assert notice.fields[name + "id"] == "007"


def gcn(path: str, **params: str) -> Notice:
    return parse_voevent(voevent(f"ivo://nasa.gsfc.gcn/{path}", "".join(param(name, text) for name, text in params.items())))


def test_sources_that_share_a_number_are_told_apart_by_their_place() -> None:
    image = gcn("SWIFT#BAT_SubSubThresh_Pos_1491582171-023", Packet_Type="140", TrigID="1491582171")
    assert (image.event_name, image.names, image.related) == ("Swift 1491582171@123.4500-6.7000", (), ())
    ivorn = "ivo://nasa.gsfc.gcn/SWIFT#BAT_Known_Pos_1491582171-024"
    what = param("Packet_Type", "141") + param("TrigID", "-1291045295")
    assert parse_voevent(voevent(ivorn, what)).event_name == "Swift -1291045295@123.4500-6.7000"
    assert parse_voevent(voevent(ivorn, what, radec=None)).event_name == ivorn
    candidate = gcn("COUNTERPART#Position_021571-075", Packet_Type="45", TrigID="21571", Telescope="Swift-XRT")
    assert candidate.event_name == "COUNTERPART 21571@123.4500-6.7000"
    assert (candidate.related, candidate.fields["TrigID"]) == (("Swift 21571",), "21571")


@pytest.mark.parametrize("number", ["2147483647", "4294967295"])
def test_a_number_that_overflowed_leaves_the_ivorn(number: str) -> None:
    notice = gcn("AMON#ICECUBE_HESE_Event", Packet_Type="158", TrigID=number)
    assert (notice.event_name, notice.names) == ("ivo://nasa.gsfc.gcn/AMON#ICECUBE_HESE_Event", ())
    assert gcn("SWIFT#BAT_GRB_Pos", Packet_Type="61", TrigID="99999").event_name is None


def test_one_burst_of_fermi_by_all_its_names() -> None:
    page = "http://heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2026/bn260523143/quicklook/glg_lc_medres34_bn260523143.gif"
    gbm = gcn("Fermi#GBM_Gnd_Pos_1", Packet_Type="112", TrigID="801199550", LightCurve_URL=page)
    lat = gcn("Fermi#LAT_Offline_Pos_1", Packet_Type="128", TrigID="260523143")
    assert (gbm.event_name, gbm.names) == ("Fermi 801199550", ("bn260523143",))
    assert (lat.event_name, lat.names) == ("Fermi 260523143", ("bn260523143",))
    assert gcn("Fermi#LAT_Offline_Pos_2", Packet_Type="128", TrigID="260524143").names == ()


@pytest.mark.parametrize("ivorn", ["ivo://LVK#1", "ivo://swift#1"])
def test_a_stranger_that_calls_itself_a_mission_is_none(ivorn: str) -> None:
    notice = parse_voevent(voevent(ivorn))
    assert (notice.mission, notice.messenger) == (ivorn.partition("#")[0], None)


def test_a_preliminary_retraction_is_a_retraction() -> None:
    what = param("Packet_Type", "150") + param("GraceID", "MS181101abc") + param("AlertType", "Preliminary")
    ivorn = "ivo://gwnet/gcn_sender#MS181101abc-4-Preliminary-Retraction"
    notice = parse_voevent(voevent(ivorn, what + param("Retraction", "1")))
    assert (notice.alert_type, notice.stage) == ("retraction", "retracted")
    assert parse_voevent(voevent(ivorn, what)).stage == "preliminary"


@pytest.mark.parametrize("rate", ["1e999", "-1e999", "inf", "nan"])
def test_a_rate_past_all_bounds_is_none(rate: str) -> None:
    notice = parse_voevent(voevent(what=param("FAR", rate, unit="Hz")))
    assert notice.far is None
    assert notice.fields["FAR"] in {None, "inf", "nan"}  # words stay words, and are no numbers
    assert "FAR is not a finite number: left out of far" in notice.deviations
