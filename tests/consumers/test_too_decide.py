"""What becomes of an alert: limits held against astropy, budgets, cool-down, once, and the reason with its numbers."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time
from astropy.utils.iers import conf as iers

from consumers import SkyMapLevel, sites
from consumers.too.checks import level_of
from consumers.too.decide import night_of
from consumers.too.desk import Desk
from consumers.too.rules import Limits
from consumers.too.sight import look
from consumers.too.status import status, status_lines
from tests.consumers.too_world import NOW, Bench, Clock, alert, checks_of, in_map, rules_text


def independent(site, ra, dec, times):
    """Altitudes of a target, Sun and Moon, separation and illumination, by astropy alone."""
    with iers.set_temp("auto_download", False), iers.set_temp("iers_degraded_accuracy", "warn"):
        place = EarthLocation.from_geodetic(site.longitude, site.latitude, site.height)
        frame = AltAz(obstime=times, location=place)
        target = SkyCoord(ra * u.deg, dec * u.deg)
        moon, sun = get_body("moon", times, place), get_body("sun", times, place)
        apart = moon.transform_to(frame).separation(target.transform_to(frame)).deg
        between = sun.separation(moon)
        angle = np.arctan2(sun.distance * np.sin(between), moon.distance - sun.distance * np.cos(between))
        return {
            "altitude": target.transform_to(frame).alt.deg,
            "sun": sun.transform_to(frame).alt.deg,
            "moon": moon.transform_to(frame).alt.deg,
            "apart": apart,
            "lit": (1 + np.cos(angle)).value / 2,
        }


PLACES = [("lapalma", 20.0, 25.0), ("sso", 80.0, -40.0), ("palomar", 120.0, 10.0), ("ctio", 30.0, -20.0)]


@pytest.mark.parametrize(("name", "ra", "dec"), PLACES)
def test_a_window_is_the_first_in_which_astropy_finds_all_limits_met(name, ra, dec):
    site = sites.find(name)
    limits = Limits(min_altitude=35, max_airmass=1.7, min_moon_separation=15, max_moon_illumination=0.97, max_sun_altitude=-15)
    sight = look(site, ra, dec, limits, now=NOW, hours=24.0, needed=600.0)
    times = Time(NOW) + np.arange(0, 24 * 60 + 1) * u.min
    sky = independent(site, ra, dec, times)
    good = (
        (sky["altitude"] >= 35)
        & (1 / np.sin(np.radians(np.maximum(sky["altitude"], 1e-6))) <= 1.7)
        & (sky["apart"] >= 15)
        & ((sky["lit"] <= 0.97) | (sky["moon"] <= 0))
        & (sky["sun"] <= -15)
    )
    edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(int), [0]])))
    runs = [(first, last - 1) for first, last in edges.reshape(-1, 2) if last - 1 - first >= 10]
    if not runs:
        assert sight.start is None
        return
    assert sight.start is not None
    assert abs((sight.start - NOW).total_seconds() / 60 - runs[0][0]) <= 1.0
    assert abs((sight.end - NOW).total_seconds() / 60 - runs[0][1]) <= 1.0


def test_some_of_these_places_have_a_window_and_it_is_well_inside_the_night():
    site = sites.find("lapalma")
    sight = look(site, 20.0, 25.0, Limits(), now=NOW, hours=None, needed=600.0)
    assert sight.start == NOW
    assert sight.end is not None
    assert timedelta(hours=1) < sight.end - NOW < timedelta(hours=9)


def test_what_passes_becomes_a_request_with_its_numbers(tmp_path):
    with Bench(tmp_path, rules_text(limits="min_altitude = 30\nmax_mag = 19\nmax_credible_level = 0.5")) as bench:
        (line,) = bench.take(in_map())
    checks = checks_of(line)
    assert line["decision"] == "request"
    assert all(one["passed"] for one in checks.values())
    assert checks["mag (max)"] == {"limit": "mag (max)", "value": 18.2, "bound": 19.0, "passed": True}
    assert checks["credible_level"]["value"] == 0.4
    assert checks["altitude"]["value"] >= 30
    assert checks["sun_altitude"]["value"] <= -18
    assert checks["requests"] == {"limit": "requests", "value": 1.0, "bound": 100.0, "passed": True}
    assert line["request"]["window"]["start"] == "2026-11-21T22:00:00Z"
    assert line["request"]["payload"]["requests"][0]["configurations"][0]["target"]["name"] == "ZTF26aa00001"
    assert bench.audit.read_text().count("\n") == 1


REFUSED = [
    (alert(mag=19.5), "max_mag = 19", "mag (max)"),
    (alert(mag=None), "max_mag = 19", "mag (max)"),
    (alert(mag=12.0), "min_mag = 14", "mag (min)"),
    (in_map(level=0.7), "max_credible_level = 0.5", "credible_level"),
    (alert(), "max_credible_level = 0.5", "credible_level"),
    (alert(time=NOW - timedelta(hours=30)), "max_age_hours = 24", "age_hours"),
    (alert(time=None), "max_age_hours = 24", "age_hours"),
    (alert(time=NOW + timedelta(minutes=2)), "max_age_hours = inf", "age_hours"),
    (alert(ra=None, dec=None), "", "place"),
    (alert(ra=380.0), "", "place"),
    (alert(dec=float("nan")), "", "place"),
    (alert(mag=float("nan")), "max_mag = 19", "mag (max)"),
    (in_map(level=float("nan")), "max_credible_level = 0.5", "credible_level"),
    (alert(annotations={"gaia.sep": float("inf")}), '[rule.limits.fields]\n"gaia.sep" = { min = 1 }', "gaia.sep (min)"),
    (alert(dec=-80.0), "", "altitude"),
    (alert(), "max_airmass = 1.0001\nmin_altitude = 5", "airmass"),
    (alert(), "min_moon_separation = 170", "moon_separation"),
    (alert(), "max_moon_illumination = 0.05", "seconds"),  # the Moon is up as long as the target is
    (alert(annotations={"gaia.sep": 0.3}), '[rule.limits.fields]\n"gaia.sep" = { min = 1 }', "gaia.sep (min)"),
    (alert(), '[rule.limits.fields]\n"gaia.sep" = { max = 1 }', "gaia.sep (max)"),
    (alert(annotations={"gaia.sep": "near"}), '[rule.limits.fields]\n"gaia.sep" = { max = 1 }', "gaia.sep (max)"),
]


@pytest.mark.parametrize(("what", "limits", "name"), REFUSED)
def test_what_does_not_pass_is_refused_with_the_limit_that_stands_in_the_way(tmp_path, what, limits, name):
    with Bench(tmp_path, rules_text(limits=limits)) as bench:
        (line,) = bench.take(what)
        assert bench.states() == []
    assert line["decision"] == "refuse"
    assert [one for one, check in checks_of(line).items() if not check["passed"]] == [name]
    assert line["reason"]


def test_limits_that_are_never_met_at_once_are_told_with_how_long_each_is_met(tmp_path):
    with Bench(tmp_path, rules_text(limits="max_moon_illumination = 0.05")) as bench:
        (line,) = bench.take(alert())
    assert "never met all at once" in line["reason"]
    assert re.search(r"altitude for [1-9]\d* min, moon_illumination for [1-9]\d* min", line["reason"])


def test_a_target_below_the_horizon_all_night_is_refused_with_the_height_it_reaches(tmp_path):
    with Bench(tmp_path, rules_text(more="valid_hours = 24")) as bench:
        (line,) = bench.take(alert(dec=-80.0))
    reached = checks_of(line)["altitude"]["value"]
    highest = 90 - (sites.find("lapalma").latitude + 80)
    assert reached == pytest.approx(highest, abs=0.3)
    assert reached < 0
    assert f"altitude reaches {reached:.4g} where 30 is the bound" in line["reason"]


def test_where_the_sun_does_not_set_there_is_no_night(tmp_path):
    clock = Clock(datetime(2026, 12, 21, 12, tzinfo=UTC))
    with Bench(tmp_path, rules_text(site="pole=0,-89.9,2800"), clock=clock) as bench:
        (line,) = bench.take(alert(dec=-60.0, time=clock.now))
    assert (line["decision"], "no night at pole" in line["reason"]) == ("refuse", True)


def test_exposures_longer_than_the_target_is_up_are_refused(tmp_path):
    with Bench(tmp_path, rules_text(exposures='[[rule.exposure]]\nband = "rp"\nseconds = 30000')) as bench:
        (line,) = bench.take(alert())
    assert line["decision"] == "refuse"
    assert "s are needed" in line["reason"] or "do not fit" in line["reason"]


def test_a_rule_that_would_spend_the_night_on_one_alert_is_stopped_by_its_budget(tmp_path):
    with Bench(tmp_path, rules_text(more='only_once = "alert"', budget="requests = 2\nseconds = 300")) as bench:
        lines = bench.take(*(alert(number, object_id="ZTF26one") for number in range(6)))
        assert [line["decision"] for line in lines] == ["request"] * 2 + ["refuse"] * 4
        assert "the budget of the night of 2026-11-21 is spent" in lines[2]["reason"]
        assert "seconds 360 of 300" in lines[2]["reason"]
        assert checks_of(lines[2])["seconds"] == {"limit": "seconds", "value": 360.0, "bound": 300.0, "passed": False}
        bench.clock.pass_(hours=24)
        (line,) = bench.take(alert(7, time=bench.clock.now))
        assert line["decision"] == "request"
        assert line["request"]["night"] == "2026-11-22"


@pytest.mark.parametrize(
    ("site", "time", "night"),
    [
        ("lapalma", datetime(2026, 11, 22, 3, tzinfo=UTC), "2026-11-21"),
        ("lapalma", datetime(2026, 11, 22, 13, 30, tzinfo=UTC), "2026-11-22"),
        ("keck", datetime(2026, 11, 22, 8, tzinfo=UTC), "2026-11-21"),
        ("keck", datetime(2026, 11, 22, 22, 0, tzinfo=UTC), "2026-11-21"),
        ("keck", datetime(2026, 11, 22, 22, 30, tzinfo=UTC), "2026-11-22"),
        ("sso", datetime(2026, 11, 22, 1, 0, tzinfo=UTC), "2026-11-21"),
        ("sso", datetime(2026, 11, 22, 3, 0, tzinfo=UTC), "2026-11-22"),
    ],
)
def test_a_night_goes_from_local_noon_to_noon(site, time, night):
    assert night_of(sites.find(site), time).isoformat() == night


def test_between_two_requests_the_rule_cools_down(tmp_path):
    with Bench(tmp_path, rules_text(more="cool_down = 30")) as bench:
        assert [line["decision"] for line in bench.take(alert(1), alert(2))] == ["request", "refuse"]
        bench.clock.pass_(minutes=20)
        (line,) = bench.take(alert(3))
        assert checks_of(line)["cool_down"] == {"limit": "cool_down", "value": 20.0, "bound": 30.0, "passed": False}
        bench.clock.pass_(minutes=10)
        assert bench.take(alert(4))[0]["decision"] == "request"


@pytest.mark.parametrize(
    ("once", "decisions"),
    [
        ("object", ["request", "refuse", "request", "request"]),
        ("event", ["request", "refuse", "refuse", "request"]),
        ("alert", ["request", "request", "request", "request"]),
    ],
)
def test_once_for_each_object_event_or_alert(tmp_path, once, decisions):
    same = {"object_id": "ZTF26one"}
    alerts = [in_map(1, **same), in_map(2, **same), in_map(3), in_map(4, event="S261119b")]
    with Bench(tmp_path, rules_text(more=f'only_once = "{once}"')) as bench:
        assert [line["decision"] for line in bench.take(*alerts)] == decisions


def test_a_clock_that_is_a_little_off_makes_no_future(tmp_path):
    with Bench(tmp_path, rules_text()) as bench:
        assert bench.take(alert(time=NOW + timedelta(seconds=30)))[0]["decision"] == "request"
        assert "dated in the future" in bench.take(alert(2, time=NOW + timedelta(minutes=2)))[0]["reason"]


def test_as_of_a_time_what_is_dated_later_is_left_out_and_not_taken_for_decided_on(tmp_path):
    late = alert(time=NOW + timedelta(seconds=30))
    with Bench(tmp_path, rules_text()) as bench:
        bench.desk = Desk(bench.rules, bench.ledger, bench.clock, as_of=NOW)
        lines = bench.take(alert(2), late, alert(3, time=None, timestamp=NOW + timedelta(days=1)))
        assert [line["decision"] for line in lines] == ["request", "left-out", "left-out"]
        assert lines[1]["reason"] == "dated 2026-11-21T22:00:30Z, after 2026-11-21T22:00:00Z (--as-of)"
        bench.desk = Desk(bench.rules, bench.ledger, bench.clock, as_of=NOW + timedelta(minutes=1))
        assert bench.take(late)[0]["decision"] == "request"


def test_status_says_of_which_night_each_line_is(tmp_path):
    with Bench(tmp_path, rules_text(budget="requests = 6")) as bench:
        bench.take(alert(1))
        tonight = status_lines(status(bench.rules, bench.ledger, NOW))
        later = status_lines(status(bench.rules, bench.ledger, NOW + timedelta(days=3)))
    assert tonight[1] == "follow: night of 2026-11-21, 1 of 6 requests"
    assert later[1] == "follow: night of 2026-11-24, 0 of 6 requests"
    assert "night of 2026-11-21, 2026-11-21T22:00:00Z to" in tonight[2]
    assert later[2] == tonight[2]


def test_a_bound_is_told_without_needless_digits(tmp_path):
    with Bench(tmp_path, rules_text(budget="requests = 1")) as bench:
        assert bench.take(alert(1), alert(2))[1]["reason"].endswith("is spent: requests 2 of 1")


def test_an_alert_read_twice_makes_no_second_request(tmp_path):
    with Bench(tmp_path, rules_text(more='only_once = "alert"')) as bench:
        assert [line["decision"] for line in bench.take(alert(), alert())] == ["request", "repeat"]
        assert bench.states() == ["planned"]
    with Bench(tmp_path, rules_text(more='only_once = "alert"')) as again:
        assert [line["decision"] for line in again.take(alert())] == ["repeat"]
        assert again.states() == ["planned"]


def test_numbers_that_are_none_are_sent_to_nobody(tmp_path):
    with Bench(tmp_path, rules_text("json", address="https://d.example")) as bench:
        (line,) = bench.take(alert(mag=float("nan"), ra_dec_error=float("inf"), mag_err=float("nan")))
    assert line["decision"] == "request"
    assert not {"mag", "ra_dec_error"} & set(line["request"]["payload"]["alert"])


def test_an_alert_that_nobody_thought_of_stops_neither_the_program_nor_other_rules(tmp_path):
    other = rules_text(name="other")
    text = rules_text(limits="[rule.limits.fields]\nmag = { max = 19 }") + other
    with Bench(tmp_path, text) as bench:
        lines = bench.take(alert(time="yesterday"), alert(2))  # type: ignore[arg-type]
    assert [(line["rule"], line["decision"]) for line in lines] == [
        ("follow", "refuse"), ("other", "refuse"), ("follow", "request"), ("other", "request"),
    ]  # fmt: skip
    assert "cannot be decided on: TypeError" in lines[0]["reason"]


def test_an_alert_on_which_the_decision_failed_is_decided_on_when_it_is_told_again(tmp_path):
    with Bench(tmp_path, rules_text()) as bench:
        lines = bench.take(alert(1, time="yesterday"), alert(1))  # type: ignore[arg-type]
        assert [line["decision"] for line in lines] == ["refuse", "request"]
        assert bench.take(alert(1))[0]["decision"] == "repeat"


def test_every_rule_that_listens_decides_for_itself(tmp_path):
    other = rules_text("json", name="dome", filters='["^matched[.]bright"]', limits="max_mag = 15", address="https://d.example")
    deaf = rules_text(name="deaf", filters='["something-else"]')
    with Bench(tmp_path, rules_text() + other + deaf) as bench:
        assert [(line["rule"], line["decision"]) for line in bench.take(alert())] == [("follow", "request"), ("dome", "refuse")]


def test_a_retraction_cancels_in_the_trail_of_a_dry_run(tmp_path):
    with Bench(tmp_path, rules_text()) as bench:
        bench.take(in_map(1), in_map(2))
        lines = bench.take(alert(1, update="retracted", update_event="S261121a"))
        assert [(line["decision"], line["said"]) for line in lines] == [("cancel", "dry run: nothing was posted")]
        assert "S261121a is retracted" in lines[0]["reason"]
        assert {row.alert_id: row.state for row in bench.ledger.rows()} == {"ztf:1": "cancelled", "ztf:2": "planned"}
        assert bench.take(alert(3, update="retracted", update_event="S261121a"))[0]["decision"] == "nothing"


def test_a_notice_that_retracts_an_event_cancels_all_that_was_requested_for_it(tmp_path):
    with Bench(tmp_path, rules_text()) as bench:
        bench.take(in_map(1), in_map(2), in_map(3, event="S261119b"))
        notice = alert(9, event_name="S261121a", alert_type="retraction", object_id="S261121a", ra=None, dec=None)
        assert [line["decision"] for line in bench.take(notice)] == ["cancel", "cancel"]
        assert sorted(bench.states()) == ["cancelled", "cancelled", "planned"]


def rescored(level: float):
    return alert(1, update="rescored", update_event="S261121a", skymaps=(SkyMapLevel("S261121a", 2, level),))


def test_a_credible_level_that_rises_beyond_the_bound_cancels_where_the_rule_wants_it(tmp_path):
    with Bench(tmp_path / "a", rules_text(limits="max_credible_level = 0.5")) as bench:
        bench.take(in_map(1))
        assert bench.take(rescored(0.45))[0]["decision"] == "keep"
        (line,) = bench.take(rescored(0.8))
        assert (line["decision"], "0.8 in the new map of S261121a is beyond 0.5" in line["reason"]) == ("cancel", True)
        (again,) = bench.take(rescored(0.3))
        assert again["decision"] == "request"
        names = [row.name for row in bench.ledger.rows()]
        assert len(set(names)) == 2
    kept = rules_text(limits="max_credible_level = 0.5", more="cancel_on_rescore = false")
    with Bench(tmp_path / "b", kept) as bench:
        bench.take(in_map(1))
        assert bench.take(rescored(0.8))[0]["decision"] == "keep"
        assert bench.states() == ["planned"]


def test_an_alert_that_leaves_a_map_a_second_time_is_cancelled_a_second_time(tmp_path):
    left = alert(1, update="retracted", update_event="S261121a")  # the same words each time: the map is no more among its maps
    with Bench(tmp_path, rules_text(limits="max_credible_level = 0.5")) as bench:
        lines = bench.take(in_map(1), left, rescored(0.3), left, left)
        assert [line["decision"] for line in lines] == ["request", "cancel", "request", "cancel", "repeat"]
        assert bench.states() == ["cancelled", "cancelled"]


TWO = (SkyMapLevel("S261121a", 1, 0.1), SkyMapLevel("S261119b", 1, 0.8))
NOTICE = {"alert_type": "retraction", "ra": None, "dec": None}


@pytest.mark.parametrize("limits", ["min_altitude = 30", "max_credible_level = 0.9"])
@pytest.mark.parametrize(("first", "last"), [("S261119b", "S261121a"), ("S261121a", "S261119b")])
def test_what_the_map_of_another_event_still_holds_is_kept_until_that_is_gone_too(tmp_path, limits, first, last):
    left = tuple(one for one in TWO if one.event == last)
    with Bench(tmp_path / "alert", rules_text(limits=limits)) as bench:
        bench.take(alert(1, skymaps=TWO))
        assert bench.take(alert(1, skymaps=left, update="retracted", update_event=first))[0]["decision"] == "keep"
        assert bench.take(alert(1, update="retracted", update_event=last))[0]["decision"] == "cancel"
        assert bench.take(alert(2, skymaps=left, update="retracted", update_event=first))[0]["decision"] == "nothing"
    with Bench(tmp_path / "notice", rules_text(limits=limits)) as bench:
        bench.take(alert(1, skymaps=TWO))
        (line,) = bench.take(alert(8, event_name=first, **NOTICE))
        assert (line["decision"], f"but {last} still holds it" in line["reason"]) == ("keep", True)
        assert bench.take(alert(9, event_name=last, **NOTICE))[0]["decision"] == "cancel"
    with Bench(tmp_path / "asked", rules_text(limits=limits)) as bench:
        bench.take(alert(1, skymaps=TWO))
        bench.desk.retract(first, f"{first} is retracted")
        assert bench.states() == ["planned"]
        bench.desk.retract(last, f"{last} is retracted")
        assert bench.states() == ["cancelled"]


def test_a_retraction_that_is_read_before_the_match_stops_the_request(tmp_path):
    other = rules_text(name="other", filters='["notices"]')  # hears the retraction; the rule that would ask does not
    with Bench(tmp_path, rules_text() + other) as bench:
        bench.take(alert(9, event_name="S261121a", topic="matched.notices", **NOTICE))
    with Bench(tmp_path, rules_text() + other) as bench:  # also after a restart
        lines = bench.take(in_map(1), alert(2, event_name="S261121a"), alert(3, skymaps=TWO), alert(4))
        assert [line["decision"] for line in lines] == ["refuse", "refuse", "request", "request"]
        assert lines[0]["reason"] == "S261121a was retracted before"
        both = bench.take(alert(8, event_name="S261119b", topic="matched.notices", **NOTICE))
        assert [(line["rule"], line["decision"]) for line in both] == [("other", "nothing")]
        bench.desk.retract("S261119b", "S261119b is retracted")  # the map of the other event was gone before
        assert bench.states() == ["cancelled", "planned"]


def test_a_map_that_holds_it_beyond_the_bound_keeps_nothing(tmp_path):
    with Bench(tmp_path, rules_text(limits="max_credible_level = 0.5")) as bench:
        bench.take(alert(1, skymaps=TWO))
        far = (SkyMapLevel("S261121a", 1, 0.1), SkyMapLevel("S261119b", 2, 0.95))
        assert bench.take(alert(1, skymaps=far, update="rescored", update_event="S261119b"))[0]["decision"] == "keep"
        assert bench.take(alert(9, event_name="S261121a", **NOTICE))[0]["decision"] == "cancel"


def test_an_alert_first_told_as_rescored_is_an_alert_like_any(tmp_path):
    with Bench(tmp_path, rules_text(limits="max_credible_level = 0.5")) as bench:
        assert bench.take(rescored(0.3))[0]["decision"] == "request"


def test_the_level_is_that_of_the_map_that_changed():
    maps = (SkyMapLevel("a", 1, 0.2), SkyMapLevel("b", 1, 0.9), SkyMapLevel("c", 1, None))
    assert level_of(alert(skymaps=maps)) == 0.2
    assert level_of(alert(skymaps=maps, update="rescored", update_event="b")) == 0.9
    assert level_of(alert()) is None


def test_a_cancelled_request_is_charged_only_if_its_window_had_begun(tmp_path):
    text = rules_text(more="valid_hours = 24", budget="requests = 1", site="keck")  # up in nine hours
    with Bench(tmp_path, text) as bench:
        bench.take(in_map(1))
        bench.take(alert(1, update="retracted", update_event="S261121a"))
        assert bench.ledger.rows()[0].start > NOW.timestamp()
        assert bench.take(alert(2))[0]["decision"] == "request"
    with Bench(tmp_path / "b", text.replace("keck", "lapalma")) as bench:
        bench.take(in_map(1))
        bench.take(alert(1, update="retracted", update_event="S261121a"))
        assert bench.take(alert(2))[0]["decision"] == "refuse"


def test_the_trail_mends_what_a_crash_cut_off(tmp_path):
    with Bench(tmp_path, rules_text()) as bench:
        bench.take(alert(1))
        whole = bench.audit.read_bytes()
        bench.desk.take(alert(2), bench.rules.rules)  # entered, not yet in the file
    bench.audit.write_bytes(whole + b'{"seq": 2, "state_')
    with Bench(tmp_path, rules_text()) as again:
        lines = again.take(alert(3))
    told = [json.loads(line) for line in again.audit.read_text().splitlines()]
    assert [line["seq"] for line in told] == [1, 2, 3]
    assert [line["alert_id"] for line in told] == ["ztf:1", "ztf:2", "ztf:3"]
    assert lines[-1] == told[-1]


def test_a_trail_is_not_told_twice_if_the_crash_came_after_the_file(tmp_path):
    with Bench(tmp_path, rules_text()) as bench:
        bench.desk.take(alert(1), bench.rules.rules)
        ((number, text),) = bench.ledger.untold()
        bench.audit.write_text(f'{{"seq": {number}, {text[1:]}\n')  # written, and killed before the ledger knew
    with Bench(tmp_path, rules_text()) as again:
        again.take(alert(2))
        assert [line["alert_id"] for line in again.lines()] == ["ztf:1", "ztf:2"]


@pytest.mark.parametrize("name", ["SN 2026ab/é\n<x>", "", "…", "x" * 300, "-_.", "a'; DROP TABLE requests; --"])
def test_names_are_of_safe_letters_and_keep_their_key(tmp_path, name):
    with Bench(tmp_path, rules_text()) as bench:
        (line,) = bench.take(alert(object_id=name or None))
        row = bench.ledger.rows()[0]
    assert line["decision"] == "request"
    assert len(row.name) <= 50
    assert row.name.endswith(row.key)
    assert set(row.name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._")
    assert not math.isnan(row.seconds)
