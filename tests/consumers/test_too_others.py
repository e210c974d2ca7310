"""SkyPortal and Swift, spoken to over HTTP: posted, found again, deleted."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from consumers.too.errors import RulesError
from consumers.too.observatories import need_tokens
from consumers.too.reading import parse_rules
from tests.consumers.test_too_payloads import by_swifttools
from tests.consumers.test_too_rules import TABLES
from tests.consumers.too_observatories import TOKEN, skyportal, swift_api
from tests.consumers.too_world import Bench, Clock, alert, in_map, rules_text

MANNERS = "\n[observatory]\ntimeout = 2.0\nsettle = 30\ntries = 3\npoll = 600\n"


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("TOO_TEST_TOKEN", TOKEN)


@pytest.fixture
def clock():
    return Clock(datetime.now(UTC).replace(microsecond=0))


def live(folder, kind, stand, clock, *, rules=("follow",)):
    lines = [line for line in TABLES[kind].splitlines() if not line.startswith("address")]
    table = "\n".join([*lines, f'address = "{stand.url}"', 'token_env = "TOO_TEST_TOKEN"'])
    limits = "min_altitude = 10\nmax_sun_altitude = 90\nmax_age_hours = 1e6"
    site = "pole=0,-89.9,2800" if kind == "skyportal" else ""
    text = "\n".join(
        rules_text(kind, name=name, table=table, limits=limits, more="valid_hours = 24", site=site) for name in rules
    )
    return Bench(folder, text + MANNERS, live=True, clock=clock)


def up(number=1):
    return in_map(number, dec=-60.0)


def back(number=1):
    return alert(number, dec=-60.0, update="retracted", update_event="S261121a")


@pytest.mark.parametrize("how", ["ok", "taken-close"])
def test_a_followup_request_is_posted_once_found_and_deleted(tmp_path, clock, how):
    with skyportal(how) as stand, live(tmp_path, "skyportal", stand, clock) as bench:
        bench.take(up())
        bench.work(2)
        clock.pass_(seconds=31)
        bench.work(2)
        (row,) = bench.ledger.rows()
        assert (row.state, row.number, len(stand.groups), stand.tokens) == ("requested", "7", 1, {f"token {TOKEN}"})
        clock.pass_(seconds=601)
        bench.work()
        assert bench.states() == ["requested"]
        bench.take(back())
        bench.work()
        assert (bench.states(), stand.groups[0]["status"]) == (["cancelled"], "deleted")


@pytest.mark.parametrize(("kind", "observatory"), [("skyportal", skyportal), ("swift", swift_api)])
@pytest.mark.parametrize("how", [("ok", "ok"), ("taken-close", "ok"), ("ok", "taken-close"), ("taken-close", "taken-close")])
def test_two_rules_take_no_request_of_each_other_for_their_own(tmp_path, clock, kind, observatory, how):
    with observatory(*how) as stand, live(tmp_path, kind, stand, clock, rules=("one", "two")) as bench:
        bench.take(up())
        for _ in range(4):
            bench.work(2)
            clock.pass_(seconds=61)
        rows = bench.ledger.rows()
        assert [row.state for row in rows] == ["requested", "requested"]
        assert len({row.number for row in rows}) == len(stand.groups) == 2


def test_what_skyportal_refuses_is_refused_with_its_words(tmp_path, clock):
    with skyportal("refuse") as stand, live(tmp_path, "skyportal", stand, clock) as bench:
        bench.take(up())
        bench.work(2)
        assert bench.states() == ["refused"]
        assert "Could not find source" in bench.lines()[-1]["reason"]


def test_what_skyportal_ignores_as_a_duplicate_is_refused_and_not_posted_again(tmp_path, clock):
    with skyportal("ignored") as stand, live(tmp_path, "skyportal", stand, clock) as bench:
        bench.take(up())
        bench.work(2)
        clock.pass_(seconds=31)
        bench.work(2)
        assert (bench.states(), len(stand.bodies), stand.groups) == (["refused"], 1, [])
        assert "not submitting request" in bench.lines()[-1]["reason"]
        assert bench.ledger.spent("follow", bench.ledger.rows()[0].night)[0] == 0


def event(name="S261121a"):
    return alert(alert_id=f"lvk:{name}-1", object_id=None, event_name=name, ra=None, dec=None, mag=None)


@pytest.mark.parametrize("how", ["ok", "taken-close"])
def test_a_plan_is_asked_for_by_skyportals_own_numbers_and_deleted(tmp_path, clock, how):
    with skyportal(how) as stand, live(tmp_path, "skyportal_plan", stand, clock) as bench:
        bench.take(event())
        bench.work(2)
        clock.pass_(seconds=31)
        bench.work(2)
        (row,) = bench.ledger.rows()
        assert (row.state, row.number, len(stand.groups)) == ("requested", "7", 1)
        assert (stand.bodies[0]["gcnevent_id"], stand.bodies[0]["localization_id"]) == (5, 9)
        assert stand.bodies[0]["payload"]["queue_name"] == row.name
        bench.take(alert(9, event_name="S261121a", alert_type="retraction", ra=None, dec=None))
        bench.work()
        assert (bench.states(), stand.groups[0]["status"]) == (["cancelled"], "deleted")


def test_a_plan_waits_for_an_event_that_skyportal_does_not_know(tmp_path, clock):
    with skyportal() as stand, live(tmp_path, "skyportal_plan", stand, clock) as bench:
        bench.take(event("S261119b"))
        bench.work(3)
        assert (bench.states(), stand.groups) == (["waiting"], [])
        assert "does not know S261119b yet" in bench.lines()[-1]["reason"]


@pytest.mark.parametrize("how", ["ok", "taken-close"])
def test_swift_is_logged_in_to_validated_posted_once_and_cannot_take_back(tmp_path, clock, how):
    with swift_api(how) as stand, live(tmp_path, "swift", stand, clock) as bench:
        bench.take(up())
        bench.work(2)
        clock.pass_(seconds=31)
        bench.work(2)
        (row,) = bench.ledger.rows()
        assert (row.state, row.number, len(stand.groups)) == ("requested", "900", 1)
        assert [body["validate_only"] for body in stand.bodies] == ["true", "false"]
        assert stand.asked[0] == ("POST", "/login")
        bench.take(back())
        bench.work()
        assert bench.states() == ["uncancelled"]
        assert "see to request 900 by hand" in bench.lines()[-1]["said"]
    assert TOKEN not in bench.audit.read_text()


POST = """
import json, sys
from swifttools.swift_too.swift.toorequest import SwiftTOORequest
fields = json.loads(sys.stdin.read())
request = SwiftTOORequest(**fields)
request.username, request.shared_secret, request.validate_only = fields["username"], "SECRET", False
print(request.submit(), request.status.too_id, request.status.errors)
"""


def test_swifttools_itself_would_post_the_same_fields_to_the_same_place(tmp_path, clock, toolkit):
    with swift_api() as stand, live(tmp_path, "swift", stand, clock) as bench:
        bench.take(up())
        bench.work(2)
        ours, asked = stand.bodies[-1], stand.asked[-1]
        body = json.loads(bench.ledger.rows()[0].payload)
        done = by_swifttools(toolkit, tmp_path, [body], POST.replace("SECRET", TOKEN), SWIFT_TOO_API_URL=stand.url)
        assert done.stdout.split()[:2] == ["True", "901"], done.stdout + done.stderr
        theirs = stand.bodies[-1]
        assert stand.asked[-1] == asked
        differ = {name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)}
        assert differ <= {"ra", "dec", "exp_time_per_visit"}, {name: (ours.get(name), theirs.get(name)) for name in differ}
        for name in differ:  # "120" and "120.0"; ICRS, and J2000 by way of astropy, 15 milliarcseconds apart
            assert float(theirs[name]) == pytest.approx(float(ours[name]), abs=1e-5)


def test_what_swift_finds_wrong_is_not_posted(tmp_path, clock):
    with swift_api() as stand, live(tmp_path, "swift", stand, clock) as bench:
        stand.validation = {"errors": ["Target is within 46 degrees of the Sun", f"for me, {TOKEN}"]}
        bench.take(up())
        bench.work(2)
        assert (bench.states(), stand.groups) == (["refused"], [])
        assert "of the Sun" in bench.lines()[-1]["reason"]
        assert TOKEN not in bench.audit.read_text()


@pytest.mark.parametrize("kind", ["lco", "skyportal", "skyportal_plan", "swift"])
def test_live_needs_a_token_where_nothing_is_taken_without(kind):
    table = "\n".join(line for line in TABLES[kind].splitlines() if "token_env" not in line)
    with pytest.raises(RulesError, match="names no token_env"):
        need_tokens(parse_rules(rules_text(kind, table=table)))
