"""What is sent, held against the rules of those who read it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import lxml.etree
import pytest
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord

from consumers.too import payloads, rtml
from consumers.too.errors import RulesError
from consumers.too.lco_rules import problems
from consumers.too.reading import parse_rules
from consumers.too.request import key_of, name_of
from tests.consumers.test_too_rules import TABLES
from tests.consumers.too_world import LCO, NOW, Bench, alert, in_map, rules_text
from tests.services import missing

SCHEMA = Path(__file__).parent / "rtml_profile.xsd"
RTML = {"r": "http://www.rtml.org/v3.1a"}
# The portal's own example of a request that it takes (requestgroups/test/test_api.py), its window in our night.
PORTALS = {
    "proposal": "temp",
    "name": "test group",
    "operator": "SINGLE",
    "ipp_value": 1.0,
    "observation_type": "NORMAL",
    "requests": [
        {
            "configurations": [
                {
                    "type": "EXPOSE",
                    "instrument_type": "1M0-SCICAM-SBIG",
                    "target": {"name": "fake target", "type": "ICRS", "dec": 20, "ra": 34.4},
                    "instrument_configs": [
                        {"exposure_time": 100, "exposure_count": 1, "optical_elements": {"filter": "air"}, "extra_params": {}}
                    ],
                    "guiding_config": {"extra_params": {}},
                    "acquisition_config": {"extra_params": {}},
                    "constraints": {"max_airmass": 2.0, "min_lunar_distance": 30.0},
                }
            ],
            "windows": [{"start": "2026-11-21T21:12:18Z", "end": "2026-12-21T21:12:19Z"}],
            "location": {"telescope_class": "1m0"},
        }
    ],
}


def payload_of(folder: Path, kind: str, table: str, what: Any = None, **more: Any) -> Any:
    with Bench(folder, rules_text(kind, table=table, **more)) as bench:
        (line,) = bench.take(what or alert())
        assert line["decision"] == "request", line
        return line["request"]["payload"]


LIMITS = "min_altitude = 40\nmax_airmass = 1.8\nmin_moon_separation = 10\nmax_moon_illumination = 1"
TWO = '[[rule.exposure]]\nband = "gp"\nseconds = 60\ncount = 2\n[[rule.exposure]]\nband = "V"\nseconds = 90'


@pytest.mark.parametrize("kind", ["NORMAL", "TIME_CRITICAL", "RAPID_RESPONSE"])
@pytest.mark.parametrize("exposing", ["EXPOSE", "REPEAT_EXPOSE", "SPECTRUM"])
def test_an_lco_request_keeps_the_portals_rules(tmp_path, kind, exposing):
    table = f'{LCO}observation_type = "{kind}"\ntype = "{exposing}"\nsite = "tfn"\n'
    group = payload_of(tmp_path, "lco", table, limits=LIMITS, exposures=TWO)
    assert problems(group, NOW) == []
    (request,) = group["requests"]
    (configuration,) = request["configurations"]
    # 1 / sin 40 degrees, which is less than the 1.8 of the limits
    assert configuration["constraints"] == {"max_airmass": 1.5557, "min_lunar_distance": 10.0, "max_lunar_phase": 1.0}
    assert [one["optical_elements"] for one in configuration["instrument_configs"]] == [{"filter": "gp"}, {"filter": "V"}]
    assert request["location"] == {"telescope_class": "1m0", "site": "tfn"}
    assert (configuration["target"]["ra"], configuration["target"]["dec"]) == (20.0, 25.0)


@pytest.mark.parametrize(("limits", "airmass"), [
    ("min_altitude = 30\nmax_airmass = 2.5", 2.0), ("min_altitude = 30\nmax_airmass = 1.4", 1.4), ("min_altitude = 30", 2.0),
])  # fmt: skip
def test_the_airmass_asked_for_is_within_both_the_altitude_and_the_airmass_of_the_rule(tmp_path, limits, airmass):
    (request,) = payload_of(tmp_path, "lco", LCO, limits=limits)["requests"]
    assert request["configurations"][0]["constraints"]["max_airmass"] == pytest.approx(airmass)


def test_a_rapid_response_begins_at_once_and_ends_within_a_day(tmp_path):
    more = "valid_hours = 48"
    group = payload_of(tmp_path, "lco", LCO + 'observation_type = "RAPID_RESPONSE"\n', site="keck", more=more)
    assert group["requests"][0]["windows"][0]["start"] == "2026-11-21T22:00:00Z"
    assert problems(group, NOW) == []


@pytest.mark.parametrize(("kind", "decision"), [("RAPID_RESPONSE", "refuse"), ("NORMAL", "request")])
def test_a_rapid_response_is_not_asked_for_what_is_up_only_after_a_day(tmp_path, kind, decision):
    limits = "min_altitude = 78\nmax_moon_illumination = 0.85"  # for five days it stands so high in brighter moonlight alone
    text = rules_text(table=f'{LCO}observation_type = "{kind}"\n', more="valid_hours = 240", limits=limits)
    with Bench(tmp_path, text) as bench:
        (line,) = bench.take(alert(dec=28.0))
    assert line["decision"] == decision, line
    if decision == "request":
        assert line["request"]["payload"]["requests"][0]["windows"][0]["start"] > "2026-11-22T22:00:00Z"


def test_the_portals_own_example_keeps_them_too():
    assert problems(PORTALS, NOW) == []


def _set(group: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(group)
    at: Any = found
    *parts, last = path.split("/")
    for part in parts:
        at = at[int(part) if part.isdigit() else part]
    if value is KeyError:
        del at[last]
    else:
        at[int(last) if last.isdigit() else last] = value
    return found


R, C = "requests/0", "requests/0/configurations/0"
E, T = f"{C}/instrument_configs/0", f"{C}/target"
BROKEN = [  # what the portal's tests and serializers refuse
    ("name", "x" * 51, "name"),
    ("name", "", "name"),
    ("name", KeyError, "name"),
    ("proposal", None, "proposal"),
    ("operator", "MANY", "more than one child"),
    ("operator", "AND", "operator"),
    ("requests", [], "at least 1 request"),
    ("requests", PORTALS["requests"] * 2, "exactly one child"),
    ("ipp_value", 0.4, "ipp_value"),
    ("ipp_value", 2.1, "ipp_value"),
    ("ipp_value", "high", "ipp_value"),
    ("ipp_value", float("nan"), "ipp_value"),
    ("observation_type", "ABNORMAL", "observation_type"),
    ("observation_type", "DIRECT", "observation_type"),
    (f"{R}/windows", [], "at least 1 window"),
    (f"{R}/windows/0/end", "2026-11-20T00:00:00Z", "cannot be earlier"),
    (f"{R}/windows/0", {"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z"}, "must be in the future"),
    (f"{R}/windows/0", {"start": "2026-11-21T22:00:00Z", "end": "2026-11-21T22:01:00Z"}, "more than the window's"),
    (f"{R}/windows/0/end", "tomorrow", "ISO 8601"),
    (f"{R}/windows/0/end", "2026-12-01T00:00:00", "with a zone"),
    (f"{R}/location", {}, "telescope_class"),
    (f"{R}/location", {"telescope_class": "1m0", "enclosure": "domb"}, "site with an enclosure"),
    (f"{R}/location", {"telescope_class": "1m0", "site": "tst", "telescope": "1m0a"}, "enclosure with a telescope"),
    (f"{R}/configurations", [], "at least 1 configuration"),
    (f"{R}/acceptability_threshold", 101, "acceptability_threshold"),
    (f"{R}/optimization_type", "SPEED", "optimization_type"),
    (f"{R}/configuration_repeats", 0, "configuration_repeats"),
    (f"{R}/observation_note", "x" * 256, "observation_note"),
    (f"{C}/type", KeyError, "type"),
    (f"{C}/instrument_type", "", "instrument_type"),
    (f"{C}/constraints", KeyError, "constraints"),
    (f"{C}/constraints/max_airmass", 25.1, "max_airmass"),
    (f"{C}/constraints/max_airmass", 0.9, "max_airmass"),
    (f"{C}/constraints/min_lunar_distance", 180.5, "min_lunar_distance"),
    (f"{C}/constraints/max_lunar_phase", 1.1, "max_lunar_phase"),
    (f"{C}/constraints/max_seeing", -1, "max_seeing"),
    (f"{C}/guiding_config", KeyError, "guiding_config"),
    (f"{C}/guiding_config/exposure_time", 121, "guiding_config.exposure_time"),
    (f"{C}/acquisition_config", KeyError, "acquisition_config"),
    (f"{C}/acquisition_config/exposure_time", 61, "acquisition_config.exposure_time"),
    (f"{C}/repeat_duration", 500, "only specify a repeat_duration"),
    (f"{C}/type", "REPEAT_EXPOSE", "Must specify a configuration repeat_duration"),
    (f"{C}/type", "SCRIPT", "script_name"),
    (f"{C}/extra_params", {"dither_pattern": "line"}, "non-zero"),
    (f"{C}/instrument_configs", [], "at least one instrument configuration"),
    (f"{E}/exposure_time", KeyError, "exposure_time"),
    (f"{E}/exposure_time", -1, "exposure_time"),
    (f"{E}/exposure_count", 0, "exposure_count"),
    (f"{E}/exposure_count", 1.5, "exposure_count"),
    (f"{E}/rois", [{}], "at least one bound"),
    (T, KeyError, "target"),
    (f"{T}/name", "", "target.name"),
    (f"{T}/name", "x" * 51, "target.name"),
    (f"{T}/type", "SIDEREAL", "target.type"),
    (f"{T}/type", "HOUR_ANGLE", "not supported in scheduled"),
    (f"{T}/ra", KeyError, "target.ra"),
    (f"{T}/ra", 360.5, "target.ra"),
    (f"{T}/dec", -90.5, "target.dec"),
    (f"{T}/dec", None, "target.dec"),
    (f"{T}/proper_motion_ra", 20001, "proper_motion_ra"),
    (f"{T}/epoch", 2101, "epoch"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "said"), BROKEN)
def test_what_the_portal_would_refuse_is_found_before_it_is_sent(path, value, said):
    found = problems(_set(PORTALS, path, value), NOW)
    assert len(found) >= 1
    assert said in "\n".join(found)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"start": "2026-11-21T23:00:00Z", "end": "2026-11-22T20:00:00Z"}, "cannot be in the future"),
        ({"start": "2026-11-21T21:00:00Z", "end": "2026-11-22T22:10:00Z"}, "within 24 hours"),
    ],
)
def test_a_rapid_response_must_be_rapid(window, said):
    rapid = _set({**PORTALS, "observation_type": "RAPID_RESPONSE"}, f"{R}/windows/0", window)
    assert said in "\n".join(problems(rapid, NOW))
    assert problems(_set(PORTALS, f"{R}/windows/0", window), NOW) == []


def schema() -> lxml.etree.XMLSchema:
    return lxml.etree.XMLSchema(lxml.etree.parse(str(SCHEMA)))


PLACES = [
    (0.0, 0.0),
    (359.9999999, -0.0001),
    (20.0, 25.0),
    (187.70593, 12.39112),
    (83.633, -5.3911),
    (14.99999999, 89.99999999),
]


@pytest.mark.parametrize(("ra", "dec"), PLACES)
def test_rtml_is_valid_and_points_where_it_should(tmp_path, ra, dec):
    with Bench(tmp_path, rules_text("rtml", table=TABLES["rtml"] + "binning = 2\n", limits=LIMITS, exposures=TWO)) as bench:
        (line,) = bench.take(alert())
        request = line["request"]
    document = lxml.etree.fromstring(request["payload"].encode())
    schema().assertValid(document)
    assert document.get("uid") == f"rtml://nuncius/{request['name']}"
    assert [one.get("type") for one in document.iterfind(".//r:Filter", RTML)] == ["other", "V"]
    assert [one.get("name") for one in document.iterfind(".//r:Filter", RTML)] == ["gp", "V"]
    made = _document_at(ra, dec, tmp_path / "there")
    schema().assertValid(made)
    texts = {name: [one.text for one in made.find(f".//r:{name}", RTML)] for name in ("RightAscension", "Declination")}
    told = SkyCoord(
        Angle("{}h{}m{}s".format(*texts["RightAscension"])),
        Angle(f"{texts['Declination'][0]}d{texts['Declination'][1]}m{texts['Declination'][2]}s"),
    )
    assert told.separation(SkyCoord(ra * u.deg, dec * u.deg)).arcsec < 0.02
    assert all(float(texts[name][index]) < 60 for name in texts for index in (1, 2))


def _document_at(ra: float, dec: float, folder: Path) -> Any:
    text = rules_text(
        "rtml",
        table=TABLES["rtml"],
        limits="min_altitude = -5\nmax_sun_altitude = 90",
        more="valid_hours = 24",
        site=f"here=0,{85 if dec >= 0 else -85}",
    )
    with Bench(folder, text) as bench:
        (line,) = bench.take(alert(ra=ra, dec=dec))
        assert line["decision"] == "request", line
        return lxml.etree.fromstring(line["request"]["payload"].encode())


def test_rtml_that_aborts_is_valid_too():
    table = {"project": "PL26A01", "username": "me"}
    document = lxml.etree.fromstring(
        rtml.abort_document("ZTF26a_rule_0123456789ab", table, NOW, "S1 <is>\x00 gone & more").encode()
    )
    schema().assertValid(document)
    assert (document.get("mode"), document.get("uid")) == ("abort", "rtml://nuncius/ZTF26a_rule_0123456789ab")


def test_the_profile_finds_what_is_wrong():
    good = rtml.abort_document("a", {"project": "p", "username": "u"}, NOW, "x")
    for old, new in (
        ('version="3.1a"', 'version="2.2"'),
        ("rtml://", "http://"),
        ("<Agent", "<Agents"),
        ("2026-11", "2026/11"),
    ):
        assert not schema().validate(lxml.etree.fromstring(good.replace(old, new).encode()))


@pytest.mark.skipif(not os.environ.get("NUNCIUS_RTML_XSD"), reason="NUNCIUS_RTML_XSD names no RTML schema")
def test_rtml_is_valid_by_the_whole_schema(tmp_path):
    """The schema itself may not be shipped with us; who has it names it, with the STC schemas it imports beside it."""
    whole = lxml.etree.XMLSchema(lxml.etree.parse(os.environ["NUNCIUS_RTML_XSD"]))
    text = payload_of(tmp_path, "rtml", TABLES["rtml"] + "binning = 2\n", limits=LIMITS, exposures=TWO)
    whole.assertValid(lxml.etree.fromstring(text.encode()))


# The form of SkyPortal's generic instrument (facility_apis/generic.py) and of its observation plans (observation_plan.py).
GENERIC_FORM = {
    "type": "object",
    "properties": {
        "observation_choices": {"type": "array", "items": {"enum": ["gp", "V", "rp"]}, "uniqueItems": True, "minItems": 1},
        "exposure_time": {"type": "number"},
        "exposure_counts": {"type": "number"},
        "maximum_airmass": {"type": "number", "minimum": 1, "maximum": 3},
        "minimum_lunar_distance": {"type": "number", "minimum": 0, "maximum": 180},
        "priority": {"type": "number", "minimum": 1, "maximum": 5},
        "start_date": {"type": "string"},
        "end_date": {"type": "string"},
    },
    "required": [
        "observation_choices", "priority", "start_date", "end_date", "exposure_time", "exposure_counts", "maximum_airmass",
        "minimum_lunar_distance",
    ],
}  # fmt: skip
PLAN_FORM = {
    "type": "object",
    "properties": {
        "queue_name": {"type": "string"},
        "filter_strategy": {"enum": ["block", "integrated"]},
        "schedule_type": {"enum": ["greedy", "greedy_slew", "sear", "airmass_weighted"]},
        "schedule_strategy": {"enum": ["tiling", "galaxy"]},
        "exposure_time": {"type": "number", "minimum": 1},
        "filters": {"type": "string"},
        "maximum_airmass": {"type": "number", "minimum": 1, "maximum": 3},
        "integrated_probability": {"type": "number", "minimum": 0, "maximum": 100},
        "galactic_plane": {"type": "boolean"},
        "galactic_latitude": {"type": "number", "minimum": 0, "maximum": 90},
        "max_tiles": {"type": "boolean"},
        "max_nb_tiles": {"type": "number", "minimum": 0, "maximum": 1000},
    },
    "required": [
        "start_date", "end_date", "filters", "queue_name", "filter_strategy", "schedule_type", "schedule_strategy",
        "exposure_time", "maximum_airmass", "integrated_probability", "galactic_latitude",
    ],
}  # fmt: skip


def test_a_followup_request_fits_the_form_of_skyportals_generic_instrument(tmp_path):
    table = TABLES["skyportal"] + "groups = [1, 2]\n"
    alike = TWO.replace("seconds = 90", "seconds = 60\ncount = 2")
    body = payload_of(tmp_path, "skyportal", table, limits=LIMITS, exposures=alike, more="priority = 5")
    jsonschema_rs.validate(GENERIC_FORM, body["payload"])
    assert (body["payload"]["exposure_time"], body["payload"]["exposure_counts"]) == (60.0, 2)
    with pytest.raises(RulesError, match="one time and one count for all bands"):
        parse_rules(rules_text("skyportal", table=table, exposures=TWO))
    own = table + "[rule.skyportal.payload]\nexposure_time = 90\nexposure_counts = 1\n"
    assert payload_of(tmp_path / "own", "skyportal", own, limits=LIMITS, exposures=TWO)["payload"]["exposure_time"] == 90
    assert {name: body[name] for name in ("obj_id", "allocation_id", "target_group_ids", "not_if_duplicates")} == {
        "obj_id": "ZTF26aa00001",
        "allocation_id": 3,
        "target_group_ids": [1, 2],
        "not_if_duplicates": True,
    }


def test_what_the_rule_says_of_the_payload_wins(tmp_path):
    table = TABLES["skyportal"] + '[rule.skyportal.payload]\npriority = 2\nurgency = "now"\n'
    assert payload_of(tmp_path, "skyportal", table)["payload"].items() >= {"priority": 2, "urgency": "now"}.items()


def test_an_observation_plan_fits_the_form_of_skyportals_plans(tmp_path):
    event = alert(alert_id="lvk:S261121a-1", object_id=None, event_name="S261121a", ra=None, dec=None, mag=None)
    table, alike = TABLES["skyportal_plan"] + "max_tiles = 50\n", TWO.replace("seconds = 90", "seconds = 60")
    body = payload_of(tmp_path, "skyportal_plan", table, event, site="", exposures=alike)
    jsonschema_rs.validate(PLAN_FORM, body["payload"])
    assert body["payload"]["queue_name"].startswith("S261121a_follow_")
    assert (body["gcnevent_id"], body["payload"]["filters"], body["payload"]["max_nb_tiles"]) == (None, "gp,V", 50)
    assert body["payload"]["exposure_time"] == 60.0
    with pytest.raises(RulesError, match="one time for all bands"):
        parse_rules(rules_text("skyportal_plan", table=table, site="", exposures=TWO))
    own = table + "[rule.skyportal_plan.payload]\nexposure_time = 90\n"
    assert payload_of(tmp_path / "own", "skyportal_plan", own, event, site="", exposures=TWO)["payload"]["exposure_time"] == 90


CHECK = """
import json, sys
from swifttools.swift_too.swift.toorequest import SwiftTOOPostSchema
for line in sys.stdin:
    SwiftTOOPostSchema.model_validate(json.loads(line))
    print("right")
"""


def by_swifttools(
    python: str, folder: Path, bodies: list[dict[str, Any]], script: str = CHECK, **more: str
) -> subprocess.CompletedProcess[str]:
    """What swifttools says of some requests, in a process of its own: it makes folders and changes how warnings look."""
    home = {**os.environ, "HOME": str(folder), **more}
    probe = subprocess.run([python, "-c", "import swifttools.swift_too"], capture_output=True, check=False, env=home)
    if probe.returncode:
        missing(f"{python} has no swifttools: `make .venv/tom/.made` installs them")
    lines = "\n".join(map(json.dumps, bodies))
    return subprocess.run(
        [python, "-c", script], input=lines, capture_output=True, text=True, timeout=120, check=False, env=home
    )


def test_swift_requests_are_what_swifttools_would_post(tmp_path, toolkit):
    grb = (
        TABLES["swift"].replace('"Supernova"', '"GRB"') + 'grb_detector = "Fermi/GBM"\nuvot_mode = "0x30ed"\nuvot_just = "x"\n'
    )
    visits = TABLES["swift"] + 'num_of_visits = 3\nmonitoring_freq = "2 days"\nproposal_id = "1"\nproposal_pi = "me"\n'
    bodies = [
        payload_of(tmp_path / "a", "swift", TABLES["swift"], site="", more="priority = 5"),
        payload_of(tmp_path / "b", "swift", grb + 'other_brightness = "x"\n', alert(mag=None, ra_dec_error=0.01), site=""),
        payload_of(tmp_path / "c", "swift", visits + 'proposal_trigger_just = "x"\n', site="", more="priority = 1"),
    ]
    assert [body["urgency"] for body in bodies] == [0, 2, 4]
    assert bodies[2]["exposure"] == 360
    done = by_swifttools(toolkit, tmp_path, bodies)
    assert done.stdout.split() == ["right"] * 3, done.stderr[-2000:]
    broken = by_swifttools(
        toolkit, tmp_path, [{name: value for name, value in bodies[0].items() if name not in {"opt_mag", "opt_filt"}}]
    )
    assert "brightness" in broken.stderr


@pytest.mark.parametrize(
    ("table", "what", "said"),
    [
        (TABLES["swift"], alert(mag=None), "brightness"),
        (TABLES["swift"].replace("Supernova", "GRB"), alert(), "grb_detector"),
        (TABLES["swift"] + 'uvot_mode = "0x30ed"\n', alert(), "uvot_just"),
        (TABLES["swift"] + 'proposal_id = "123"\n', alert(), "proposal_pi"),
    ],
)
def test_a_swift_request_that_swifttools_would_refuse_is_refused(tmp_path, table, what, said):
    with Bench(tmp_path, rules_text("swift", table=table, site="")) as bench:
        (line,) = bench.take(what)
    assert (line["decision"], said in line["reason"]) == ("refuse", True)


def test_a_key_is_of_the_rule_and_the_alert_and_of_nothing_else():
    assert key_of("a", "ztf:1") == key_of("a", "ztf:1")
    assert len({key_of("a", "ztf:1"), key_of("a", "ztf:2"), key_of("b", "ztf:1"), key_of("a", "ztf:1", 1)}) == 4
    for target in ("ZTF26aaaaaab", "a" * 80):
        for rule in ("r", "rule" * 20):
            name = name_of(rule, target, "0" * 12)
            assert (len(name) <= 50, name.endswith("0" * 12)) == (True, True)


def test_a_generic_request_with_all_that_it_can_have_is_as_its_schema_says(tmp_path):
    schema = json.loads((files("consumers.too") / "request.schema.json").read_text("utf-8"))
    table = TABLES["json"] + 'telescope = "0.5 m"\ninstrument = "cam"\nproposal = "P1"\n[rule.json.extra]\nbinning = 2\n'
    what = in_map(ra_dec_error=0.001)
    body = payload_of(tmp_path, "json", table, what, limits=f"{LIMITS}\nmax_credible_level = 0.9", exposures=TWO)
    jsonschema_rs.validate(schema, body)
    for part in ("constraints", "alert", "target", "window", "site"):
        assert set(body[part]) == set(schema["properties"][part]["properties"])
    assert set(body) == set(schema["properties"])
    for name in ("request_id", "window", "exposures", "site"):
        less = {key: value for key, value in body.items() if key != name}
        assert not jsonschema_rs.is_valid(schema, less)


def test_every_kind_builds_a_payload_that_json_can_hold(tmp_path):
    for kind, table in TABLES.items():
        body = payload_of(tmp_path / kind, kind, table)
        assert json.loads(json.dumps(body, allow_nan=False)) == body
        assert payloads.problems(kind, body, NOW + timedelta(minutes=1)) == []
