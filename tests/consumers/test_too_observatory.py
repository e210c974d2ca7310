"""Requests posted to observatories that behave, and to ones that do not: nothing is posted twice blindly."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from datetime import UTC, datetime
from importlib.resources import files

import jsonschema_rs
import pytest

from consumers.too.errors import StateError
from consumers.too.exchange import Answer, exchange
from consumers.too.ledger import Ledger
from consumers.too.observatories import open_observatory
from consumers.too.observatory import Wire
from consumers.too.reading import parse_rules
from consumers.too.request import stamp
from consumers.too.rules import Manners
from tests.consumers.test_too_rules import TABLES
from tests.consumers.too_observatories import TOKEN, eventually, own_telescope, portal, rtml_telescope
from tests.consumers.too_world import NOW, Bench, Clock, alert, in_map, rules_text

MANNERS = "\n[observatory]\ntimeout = 1.0\nsettle = 30\ntries = 3\npoll = 600\n"


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("TOO_TEST_TOKEN", TOKEN)


@pytest.fixture
def live_clock():
    """Windows must lie in the portal's future: it is now, at a pole, where a target of the south never sets."""
    return Clock(datetime.now(UTC).replace(microsecond=0))


def live(folder, stand, clock, kind="lco", more_rule="", **more):
    limits = "min_altitude = 10\nmax_sun_altitude = 90\nmax_age_hours = 1e6"
    more_rule = f"valid_hours = 24\n{more_rule}"
    text = rules_text(kind, address=stand.url, limits=limits, more=more_rule, site="pole=0,-89.9,2800", **more)
    return Bench(folder, text + MANNERS, live=True, clock=clock)


def up(number=1, **changes):
    return in_map(number, dec=-60.0, **changes)


def back(number=1):
    return alert(number, dec=-60.0, update="retracted", update_event="S261121a")


def test_a_request_is_validated_posted_once_and_noted(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up())
        bench.work(3)
        (row,) = bench.ledger.rows()
        assert (row.state, row.number, row.posts) == ("requested", "1000", 1)
        assert [path for _, path in stand.asked] == [
            "/api/requestgroups/", "/api/requestgroups/validate/", "/api/requestgroups/",
        ]  # fmt: skip
        assert [group["name"] for group in stand.groups] == [row.name]
        assert [line["decision"] for line in bench.lines()] == ["request", "requested"]
        assert bench.lines()[1]["request"]["number"] == "1000"


def test_a_dry_run_sends_nothing_not_even_to_validate(tmp_path, live_clock):
    with portal() as stand:
        text = rules_text(address=stand.url, limits="max_sun_altitude = 90\nmin_altitude = 10", site="pole=0,-89.9,2800")
        with Bench(tmp_path, text, clock=live_clock) as bench:
            bench.take(up(time=live_clock.now))
            bench.work(3)
            bench.take(back())
            bench.work(3)
            assert bench.states() == ["cancelled"]
        assert stand.asked == []


def test_what_the_portal_finds_wrong_is_not_posted(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        stand.validation = {"non_field_errors": ["You do not belong to the proposal you are trying to submit"]}
        bench.take(up())
        bench.work(3)
        assert (bench.states(), stand.posts) == (["refused"], 0)
        assert "You do not belong" in bench.lines()[-1]["reason"]
        assert bench.ledger.spent("follow", bench.ledger.rows()[0].night)[0] == 0


def test_an_observatory_that_refuses_is_not_asked_without_end(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock, more_rule='only_once = "object"') as bench:
        stand.validation = {"non_field_errors": ["There is no time left on the proposal"]}
        for number in range(20):
            bench.take(up(number // 2, alert_id=f"ztf:{number}"))  # each object comes twice
            bench.work(2)
        assert (bench.states(), stand.posts) == (["refused"] * 5, 0)
        assert stand.count("POST", "/api/requestgroups/validate/") == 5
        line = bench.lines()[-1]
        assert (line["decision"], "5 refusals in a row" in line["reason"]) == ("refuse", True)
        live_clock.pass_(minutes=61)
        stand.validation = {}
        bench.take(up(30), up(31))
        bench.work(2)
        assert bench.states() == ["refused"] * 5 + ["requested"] * 2


def test_what_was_refused_counts_for_the_cool_down(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock, more_rule="cool_down = 30") as bench:
        stand.validation = {"non_field_errors": ["no"]}
        bench.take(up(1))
        bench.work()
        bench.take(up(2))
        assert (bench.states(), bench.lines()[-1]["decision"]) == (["refused"], "refuse")


@pytest.mark.parametrize("how", ["taken-hang", "taken-close", "taken-empty", "taken-odd", "taken-nested", "500-taken"])
def test_taken_but_not_told_is_found_by_its_name_and_not_posted_again(tmp_path, live_clock, how):
    with portal(how) as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up())
        bench.work(5)
        assert bench.states() == ["unknown"]
        assert stand.posts == 1
        live_clock.pass_(seconds=29)
        bench.work(5)
        assert bench.states() == ["unknown"]
        live_clock.pass_(seconds=2)
        bench.work(5)
        (row,) = bench.ledger.rows()
        assert (row.state, row.number, stand.posts, len(stand.groups)) == ("requested", "1000", 1, 1)
        assert [line["decision"] for line in bench.lines()] == ["request", "unknown", "found"]


@pytest.mark.parametrize("how", ["hang", "close", "500", "slow"])
def test_not_taken_is_posted_again_once_the_list_says_it_is_not_there(tmp_path, live_clock, how):
    with portal(how) as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up())
        bench.work(5)
        assert (bench.states(), stand.posts) == (["unknown"], 1)
        live_clock.pass_(seconds=31)
        bench.work(5)
        (row,) = bench.ledger.rows()
        assert (row.state, row.posts, stand.posts, len(stand.groups)) == ("requested", 2, 2, 1)
        assert [line["decision"] for line in bench.lines()] == ["request", "unknown", "absent", "requested"]


def test_an_observatory_that_always_fails_is_asked_a_bounded_number_of_times(tmp_path, live_clock):
    with portal(*["500"] * 50) as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up())
        for _ in range(40):
            bench.work()
            live_clock.pass_(seconds=31)
        assert (bench.states(), stand.posts, len(stand.groups)) == (["lost"], 3, 0)
        assert len(stand.asked) <= 15
        assert "given up after 3 posts" in bench.lines()[-1]["reason"]
        late = {"id": 1, "name": bench.ledger.rows()[0].name, "proposal": "TEST2026-001", "state": "PENDING"}
        stand.groups.append(late)  # it came through after all
        bench.take(back(1))
        bench.work(2)
        assert (bench.states(), late["state"], stand.posts) == (["cancelled"], "CANCELED", 3)


def test_while_its_list_does_not_answer_nothing_is_posted_again(tmp_path, live_clock):
    with portal("taken-close") as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up())
        bench.work()
        stand.lists_answer = 500
        for _ in range(20):
            live_clock.pass_(minutes=10)
            bench.work()
        assert (bench.states(), stand.posts) == (["unknown"], 1)  # they have it: it is not given up
        assert len(stand.asked) <= 20
        bench.take(back(1))
        live_clock.pass_(minutes=20)
        bench.work()
        assert (bench.states(), len(stand.live)) == (["unknown"], 1)
        stand.lists_answer = 200
        live_clock.pass_(minutes=20)
        bench.work(2)
        assert (bench.states(), stand.posts, stand.live) == (["cancelled"], 1, [])


@pytest.mark.parametrize(("taken_back", "state"), [(False, "lost"), (True, "uncancelled")])
def test_a_list_that_never_answers_is_asked_until_the_window_is_over_and_that_is_told(tmp_path, live_clock, taken_back, state):
    with portal("taken-close") as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up())
        bench.work()
        stand.lists_answer = 500
        if taken_back:
            bench.take(back(1))
        live_clock.pass_(hours=23)
        bench.work()
        assert bench.states() == ["unknown"]
        live_clock.pass_(hours=2)
        bench.work()
        assert (bench.states(), bench.lines()[-1]["decision"], stand.posts) == ([state], state, 1)


def test_a_server_that_is_away_is_waited_for_and_the_request_is_posted_when_it_is_back(tmp_path, live_clock):
    with portal() as stand:
        address = stand.url
    with Bench(tmp_path, rules_text(address=address, limits="max_sun_altitude = 90\nmin_altitude = 10\nmax_age_hours = 1e6",
                                    more="valid_hours = 24", site="pole=0,-89.9,2800") + MANNERS, live=True,
               clock=live_clock) as bench:  # fmt: skip
        bench.take(up())
        bench.work(3)
        assert (bench.states(), bench.ledger.rows()[0].posts) == (["waiting"], 0)
        live_clock.pass_(hours=23.99)
        bench.work()
        assert bench.states() == ["expired"]
        assert bench.lines()[-1]["reason"] == "its window went by before it could be posted"


def test_throttled_is_not_unclear(tmp_path, live_clock):
    with portal("429") as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up())
        bench.work(2)
        assert (bench.states(), bench.ledger.rows()[0].posts) == (["waiting"], 0)
        live_clock.pass_(seconds=31)
        bench.work(2)
        assert (bench.states(), stand.posts) == (["requested"], 2)


def test_a_hanging_observatory_costs_one_time_out_for_many_requests_and_holds_up_no_other(tmp_path, live_clock):
    with portal("hang") as slow, own_telescope() as quick:
        limits = "min_altitude = 10\nmax_sun_altitude = 90\nmax_age_hours = 1e6"
        more, site = "valid_hours = 24", "pole=0,-89.9,2800"
        text = rules_text(address=slow.url, limits=limits, more=more, site=site)
        text += rules_text("json", name="dome", address=quick.url, limits=limits, more=more, site=site)
        with Bench(tmp_path, text + MANNERS, live=True, clock=live_clock) as bench:
            bench.take(*(up(number) for number in range(10)))
            bench.work(2)
            assert slow.posts == 1
            assert len(quick.groups) == 10


def test_a_retraction_cancels_with_the_observatory(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1), up(2))
        bench.work(2)
        bench.take(back(1))
        bench.work()
        assert [one["state"] for one in stand.groups] == ["CANCELED", "PENDING"]
        assert bench.states() == ["cancelled", "requested"]
        assert [line["decision"] for line in bench.lines()][-2:] == ["cancel", "cancelled"]
        assert "S261121a is retracted" in bench.lines()[-1]["reason"]


def test_a_retraction_that_comes_before_the_post_stops_it(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1), back(1))
        bench.work(3)
        assert (bench.states(), stand.asked) == (["cancelled"], [])
        assert bench.ledger.spent("follow", bench.ledger.rows()[0].night)[0] == 0  # though its window has begun


def test_a_retraction_stops_a_second_post(tmp_path, live_clock):
    with portal("close", "429") as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work()
        live_clock.pass_(seconds=31)
        bench.work(3)
        assert (bench.states(), stand.posts) == (["waiting"], 2)
        bench.take(back(1))
        live_clock.pass_(seconds=3600)
        bench.work(3)
        assert (bench.states(), stand.posts, stand.groups) == (["cancelled"], 2, [])


def test_a_way_elsewhere_is_not_gone(tmp_path, live_clock):
    with portal("moved") as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work(3)
        assert (bench.states(), stand.posts) == (["refused"], 1)


@pytest.mark.parametrize("kind", ["lco", "json"])
def test_a_list_that_is_elsewhere_for_a_while_is_waited_for(tmp_path, live_clock, kind):
    stands = {"lco": portal, "json": own_telescope}
    with stands[kind]() as stand, live(tmp_path, stand, live_clock, kind) as bench:
        stand.lists_answer = 302
        bench.take(up(1))
        bench.work(3)
        assert (bench.states(), stand.groups) == (["waiting"], [])
        assert (bench.lines()[-1]["decision"], "answers 302" in bench.lines()[-1]["reason"]) == ("waiting", True)
        stand.lists_answer = 200
        live_clock.pass_(minutes=10)
        bench.work(3)
        assert (bench.states(), len(stand.groups)) == (["requested"], 1)


def test_where_the_list_is_refused_nothing_is_posted(tmp_path, live_clock):
    with own_telescope() as stand, live(tmp_path, stand, live_clock, "json") as bench:
        stand.lists_answer = 405
        bench.take(up(1))
        bench.work(3)
        assert (bench.states(), stand.groups) == (["refused"], [])
        assert "its list cannot be searched" in bench.lines()[-1]["reason"]


@pytest.mark.parametrize("how", ["taken-close", "close"])
def test_a_retraction_while_it_is_unclear_is_carried_out_once_it_is_clear(tmp_path, live_clock, how):
    with portal(how) as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work()
        bench.take(back(1))
        bench.work(3)
        assert bench.states() == ["unknown"]
        live_clock.pass_(seconds=31)
        bench.work(3)
        assert (bench.states(), stand.posts, stand.live) == (["cancelled"], 1, [])


def test_a_cancellation_is_repeated_until_it_is_answered(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work()
        stand.cancels_answer = 500
        bench.take(back(1))
        bench.work(2)
        assert bench.states() == ["cancelling"]
        stand.cancels_answer = 200
        live_clock.pass_(seconds=31)
        bench.work(2)
        assert (bench.states(), stand.groups[0]["state"]) == (["cancelled"], "CANCELED")


def test_a_cancellation_after_which_the_request_still_stands_is_repeated(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work()
        stand.cancels_in_vain = 1
        bench.take(back(1))
        bench.work(2)
        assert (bench.states(), len(stand.live)) == (["cancelling"], 1)
        live_clock.pass_(seconds=31)
        bench.work(2)
        assert (bench.states(), stand.live) == (["cancelled"], [])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("COMPLETED", "done"), ("WINDOW_EXPIRED", "expired"), ("FAILURE_LIMIT_REACHED", "failed"), ("CANCELED", "cancelled")],
)
def test_how_a_request_stands_is_looked_after(tmp_path, live_clock, theirs, ours):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work()
        stand.groups[0]["state"] = theirs
        bench.work()
        assert bench.states() == ["requested"]  # not asked at every turn
        live_clock.pass_(seconds=601)
        bench.work()
        assert bench.states() == [ours]
        asked = len(stand.asked)
        live_clock.pass_(hours=1)
        bench.work()
        assert len(stand.asked) == asked


def test_what_is_over_cannot_be_cancelled_and_is_not_called_cancelled(tmp_path, live_clock):
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work()
        stand.groups[0]["state"] = "COMPLETED"
        bench.take(back(1))
        bench.work()
        assert (bench.states(), stand.groups[0]["state"]) == (["done"], "COMPLETED")


def test_a_lost_state_makes_no_second_request_of_what_the_portal_has(tmp_path, live_clock):
    with portal() as stand:
        with live(tmp_path / "a", stand, live_clock) as bench:
            bench.take(up(1))
            bench.work()
        with live(tmp_path / "b", stand, live_clock) as bench:
            bench.take(up(1))
            bench.work()
            (row,) = bench.ledger.rows()
            assert (row.state, row.number, row.posts, stand.posts) == ("requested", "1000", 0, 1)


def test_the_token_is_in_nothing_that_is_written(tmp_path, live_clock):
    with portal("500", "500") as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        for _ in range(4):
            bench.work()
            live_clock.pass_(seconds=31)
        assert stand.tokens == {f"Token {TOKEN}"}
        assert "sorry, Token ***" in bench.audit.read_text()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert TOKEN.encode() not in written


def test_a_token_across_the_place_where_an_answer_is_cut_is_blotted_out_whole(tmp_path):
    (rule,) = parse_rules(rules_text()).rules
    wire = Wire(rule.table, Manners())
    for length in range(250, 420):
        said = wire.said(Answer(500, b"x" * length + TOKEN.encode()))
        assert TOKEN[:4] not in said
        assert len(said) <= 400
    for blanks in range(3985, 4001):  # of which one is left
        assert TOKEN[:4] not in wire.said(Answer(500, b"x" + b" " * blanks + TOKEN.encode()))


def test_the_end_of_a_line_behind_a_token_is_no_part_of_it(tmp_path, live_clock, monkeypatch):
    monkeypatch.setenv("TOO_TEST_TOKEN", f"{TOKEN}\n")
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work()
        assert (bench.states(), stand.tokens) == (["requested"], {f"Token {TOKEN}"})


def test_a_token_that_is_not_good_is_waited_for(tmp_path, live_clock, monkeypatch):
    monkeypatch.setenv("TOO_TEST_TOKEN", "old")
    with portal() as stand, live(tmp_path, stand, live_clock) as bench:
        bench.take(up(1))
        bench.work(2)
        assert (bench.states(), stand.posts) == (["waiting"], 0)
        assert "answers 401" in bench.lines()[-1]["reason"]


def test_a_telescope_of_ones_own_speaks_the_generic_protocol(tmp_path, live_clock):
    with own_telescope("taken-close") as stand, live(tmp_path, stand, live_clock, "json") as bench:
        bench.take(up(1), up(2))
        bench.work(2)
        live_clock.pass_(seconds=31)
        bench.work(2)
        assert sorted(bench.states()) == ["requested", "requested"]
        assert len(stand.groups) == 2
        assert stand.tokens == {f"Bearer {TOKEN}"}
        bench.take(back(1))
        bench.work()
        assert sorted(one["state"] for one in stand.groups) == ["cancelled", "requested"]
        told = stand.bodies[-1]
        assert (told["type"], told["request_id"]) == ("nuncius.cancel", bench.ledger.rows("alert_id = 'ztf:1'")[0].key)


RTML = '[rule.rtml]\naddress = "{address}/rtml"\nproject = "PL26A01"\nusername = "me"\ndevice = "IO:O"\n'


def test_rtml_is_confirmed_refused_or_stays_unclear(tmp_path, live_clock):
    with rtml_telescope("confirm", "reject", "close") as stand, live(tmp_path, stand, live_clock, "rtml", table=RTML) as bench:
        bench.take(up(1), up(2), up(3))
        bench.work(3)
        assert sorted(bench.states()) == ["refused", "requested", "unknown"]
        live_clock.pass_(hours=2)
        bench.work(5)
        assert len(stand.bodies) == 3  # what is unclear is not posted again: nobody can be asked
        number = next(row for row in bench.ledger.rows() if row.state == "unknown").alert_id.removeprefix("ztf:")
        bench.take(back(int(number)))
        bench.work(2)
        assert b'mode="abort"' in stand.bodies[-1]
        assert sorted(bench.states()) == ["cancelled", "refused", "requested"]


def test_a_state_is_of_one_process_and_one_mode(tmp_path):
    with Ledger(tmp_path / "state.sqlite", live=True):
        with pytest.raises(StateError, match="in use by another process"):
            Ledger(tmp_path / "state.sqlite", live=True)
        with Ledger(tmp_path / "state.sqlite", live=False, reading=True) as reader:
            assert reader.rows() == []
    with pytest.raises(StateError, match="is the state of a live, and this is a dry run"):
        Ledger(tmp_path / "state.sqlite", live=False)
    (tmp_path / "other").write_bytes(b"not a database, but long enough to be looked at" * 20)
    with pytest.raises(StateError, match="no state of ours"):
        Ledger(tmp_path / "other", live=False)


def test_an_exchange_is_bounded_however_slowly_it_is_answered():
    with portal(*["slow"] * 2) as stand:
        body = {
            "name": "x",
            "proposal": "p",
            "operator": "SINGLE",
            "observation_type": "NORMAL",
            "ipp_value": 1,
            "requests": [],
        }
        begun = time.monotonic()
        answer = exchange(
            "POST", f"{stand.url}/api/requestgroups/", headers={"Authorization": f"Token {TOKEN}"}, timeout=0.5, data=body
        )
        assert (answer.good, answer.arrived) == (False, True)
        assert time.monotonic() - begun < 30  # not the 50 s that its thousand bytes would take


@pytest.mark.parametrize("how", ["confirm", "close"])
def test_a_request_of_which_nothing_is_told_ends_with_its_window(tmp_path, live_clock, how):
    with rtml_telescope(how) as stand, live(tmp_path, stand, live_clock, "rtml", table=RTML) as bench:
        bench.take(up(1))
        bench.work()
        live_clock.pass_(seconds=31)
        bench.work()
        assert bench.states() == ["requested" if how == "confirm" else "unknown"]
        live_clock.pass_(hours=49)
        bench.work()
        assert (bench.states(), bench.lines()[-1]["decision"]) == (["expired"], "expired")
        (line,) = bench.take(back(1))
        bench.work(2)
        assert (line["decision"], len(stand.bodies)) == ("nothing", 1)  # weeks later no document is sent, and nobody called


def test_a_dry_run_ends_what_it_planned_and_asks_for_the_object_no_more(tmp_path):
    with Bench(tmp_path, rules_text(limits="max_age_hours = 1e6")) as bench:
        bench.take(in_map(1))
        bench.work()
        assert bench.states() == ["planned"]
        bench.clock.pass_(hours=48)
        bench.work()
        assert (bench.states(), bench.lines()[-1]["mode"]) == (["expired"], "dry-run")
        (line,) = bench.take(in_map(2, object_id="ZTF26aa00001"))
        assert (line["decision"], "one request for each object" in line["reason"]) == ("refuse", True)


def test_an_exchange_that_was_given_up_does_not_arrive_later(monkeypatch):
    known, released = socket.getaddrinfo, threading.Event()

    def slowly(*about, **more):
        released.wait(60)
        return known(*about, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with own_telescope() as stand:
        body = {"request_id": "x"}
        answer = exchange("POST", f"{stand.url}/requests", headers={}, timeout=0.3, data=body)
        assert (answer.good, answer.arrived) == (False, True)
        released.set()
        eventually(lambda: not any(thread.name == "too-exchange" for thread in threading.enumerate()))
        assert stand.groups == []
        assert exchange("POST", f"{stand.url}/requests", headers={}, timeout=30, data=body).good


def test_an_observatory_that_was_renamed_out_of_the_rules_is_left_to_people(tmp_path, live_clock):
    with portal() as stand:
        with live(tmp_path, stand, live_clock) as bench:
            bench.take(up(1))
        with live(tmp_path, stand, live_clock, name="other") as bench:
            bench.work()
            assert bench.lines()[-1]["decision"] == "orphaned"
            bench.work(3)
            assert [line["decision"] for line in bench.lines()].count("orphaned") == 1
            assert stand.asked == []
        with live(tmp_path, stand, live_clock) as bench:  # its rule is back: it goes on
            bench.work()
            assert (bench.states(), stand.posts) == (["requested"], 1)


@pytest.mark.parametrize("how", ["ok", "taken-close"])
def test_a_rule_that_asks_another_observatory_now_takes_no_request_there(tmp_path, live_clock, how):
    with portal(how) as first, portal() as second:
        with live(tmp_path, first, live_clock) as bench:
            bench.take(up(1))
            bench.work()
        live_clock.pass_(seconds=31)
        with live(tmp_path, second, live_clock) as bench:
            bench.take(back(1))
            bench.work(3)
            assert (second.asked, bench.lines()[-1]["decision"]) == ([], "orphaned")
            assert first.url in bench.lines()[-1]["reason"]
        with live(tmp_path, first, live_clock) as bench:
            bench.work(3)
            assert (bench.states(), first.posts, first.live) == (["cancelled"], 1, [])


def test_a_rule_of_another_kind_now_posts_nothing_of_the_old_kind(tmp_path, live_clock):
    with portal() as stand, own_telescope() as dome:
        with live(tmp_path, dome, live_clock, "json") as bench:
            bench.take(up(1))
        with live(tmp_path, stand, live_clock) as bench:
            bench.work(3)
            assert (stand.asked, dome.asked, bench.states()) == ([], [], ["waiting"])


def test_a_ledger_of_before_is_gone_on_with(tmp_path, live_clock):
    with portal() as stand:
        with live(tmp_path, stand, live_clock) as bench:
            bench.take(up(1))
        with sqlite3.connect(tmp_path / "state.sqlite") as old:
            old.execute("ALTER TABLE requests DROP COLUMN address")
        old.close()
        with live(tmp_path, stand, live_clock) as bench:
            bench.take(up(2))
            bench.work(2)
            assert bench.states() == ["requested", "requested"]


def test_a_generic_request_is_as_its_schema_says(tmp_path, live_clock):
    schema = json.loads((files("consumers.too") / "request.schema.json").read_text("utf-8"))
    validator = jsonschema_rs.validator_for(schema)
    with own_telescope() as stand, live(tmp_path, stand, live_clock, "json") as bench:
        bench.take(up(1), alert(2, dec=-60.0, mag=None, band=None, object_id=None, time=NOW))
        bench.work(2)
        assert len(stand.bodies) == 2
        for body in stand.bodies:
            validator.validate(body)
        assert stand.bodies[0]["window"]["start"] == stamp(live_clock.now)
        assert not validator.is_valid({**stand.bodies[0], "target": {"name": "x", "ra": 400, "dec": 0, "frame": "ICRS"}})


def test_every_kind_of_observatory_opens(tmp_path):
    for kind, table in TABLES.items():
        (rule,) = parse_rules(rules_text(kind, table=table)).rules
        at = open_observatory(rule, Manners())
        assert isinstance(at.looks_up, bool)
        assert isinstance(at.by_name, bool)
