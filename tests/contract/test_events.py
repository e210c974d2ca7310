"""Events that change their mind, held against both databases."""

from __future__ import annotations

import itertools
import random
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from sqlalchemy import func, select, update

from broker.errors import NotFoundError, TransientError
from broker.store import events, live_events, tables
from broker.store.authors import stage_of
from broker.store.engine import Store, connection, transaction
from broker.store.events import get_event
from broker.store.migrate import migrate, migration_config
from tests.notices import circular, igwn, tell, unified, voevent

GBM = {"mission": "Fermi", "instrument": "GBM", "messenger": "EM"}
SWIFT = "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1234567-890"


def names(store: Store) -> list[str]:
    return sorted(each["event_name"] for each in events.list_events(store).events)


def told(event: dict[str, Any], *columns: str) -> list[Any]:
    return [tuple(each[column] for column in columns) if len(columns) > 1 else each[columns[0]] for each in event["revisions"]]


class TestSuperevent:
    def test_from_early_warning_to_retraction(self, store: Store) -> None:
        tell(
            store,
            igwn("S260523ab", "EARLYWARNING", "2026-05-23T03:25:40Z", far=1e-8),
            igwn("S260523ab", "PRELIMINARY", "2026-05-23T03:26:20Z"),
            igwn("S260523ab", "INITIAL", "2026-05-23T04:00:00Z"),
            igwn("S260523ab", "UPDATE", "2026-05-23T08:00:00Z", classification={"NSBH": 0.95, "Terrestrial": 0.05}),
            stream="lvk",
        )
        event = get_event(store, "s260523AB")
        assert (event["event_name"], event["state"], event["revision"], event["real"]) == ("S260523ab", "update", 4, True)
        assert (event["classification"], event["far"], event["significant"]) == ("NSBH", 1e-9, True)
        assert told(event, "state") == ["early_warning", "preliminary", "initial", "update"]
        assert told(event, "change") == [
            "early warning; significant; BNS (astrophysical 90%); false alarms 1 per 3.17 yr",
            "preliminary after early warning; false alarms 1 per 3.17 yr → 1 per 31.7 yr",
            "initial after preliminary",
            "update after initial; NSBH (astrophysical 95%), was BNS",
        ]
        (change,) = tell(store, igwn("S260523ab", "RETRACTION", "2026-05-23T09:00:00Z"), stream="lvk", first=9)
        assert (change.event_name, change.revision, change.retracted) == ("S260523ab", 5, True)
        event = get_event(store, "S260523ab")
        assert (event["state"], told(event, "change")[-1]) == ("retracted", "retracted, was update")
        assert event["time"] == datetime(2026, 5, 23, 3, 25, 45, 670_000, tzinfo=UTC)

    def test_the_best_goes_by_the_notice_s_own_clock(self, store: Store) -> None:
        tell(
            store,
            igwn("S260523ab", "UPDATE", "2026-05-23T08:00:00Z", far=1e-12),
            igwn("S260523ab", "PRELIMINARY", "2026-05-23T03:26:20Z", far=1e-7),
            stream="lvk",
        )
        event = get_event(store, "S260523ab")
        assert (event["state"], event["far"], event["revision"]) == ("update", 1e-12, 2)
        assert told(event, "revision", "state") == [(1, "update"), (2, "preliminary")]
        assert told(event, "change")[1] == "preliminary, sent before what is known; nothing known changes"

    def test_numbers_put_in_order_what_has_no_clock(self, store: Store) -> None:
        plain: dict[str, Any] = GBM | {"id": "700000001", "alert_datetime": None}
        tell(store, unified(**plain, record_number=2, far=1e-9), unified(**plain, record_number=1, far=1e-5))
        assert get_event(store, "Fermi 700000001")["far"] == 1e-9

    def test_a_clock_of_the_future_is_not_believed(self, store: Store) -> None:
        tell(
            store,
            igwn("S260523ab", "PRELIMINARY", "2099-05-23T03:26:20Z", far=1e-7),
            igwn("S260523ab", "UPDATE", "2026-05-28T20:26:41Z", far=1e-12),
            stream="lvk",
        )
        assert get_event(store, "S260523ab")["far"] == 1e-12

    def test_json_and_avro_of_one_alert_are_one_revision(self, store: Store) -> None:
        alert = igwn("S260523ab", "INITIAL", "2026-05-23T03:26:20Z")
        tell(store, alert, stream="lvk")
        tell(store, alert.replace(b'"group": "CBC"', b'"group": "CBC", "duration": null'), stream="lvk", first=3)
        assert get_event(store, "S260523ab")["revision"] == 1

    def test_a_retraction_before_what_it_retracts(self, store: Store) -> None:
        tell(store, igwn("S260523ab", "RETRACTION", "2026-05-23T09:00:00Z"), stream="lvk")
        assert get_event(store, "S260523ab")["state"] == "retracted"
        (change,) = tell(store, igwn("S260523ab", "UPDATE", "2026-05-23T08:00:00Z"), stream="lvk", first=4)
        assert (change.revision, change.retracted) == (2, False)
        event = get_event(store, "S260523ab")
        assert (event["state"], event["far"]) == ("retracted", 1e-9)

    @pytest.mark.parametrize("name", ["S261323a", "S260523", "S260230b", "MS26052a"])
    def test_a_name_that_cannot_be(self, store: Store, name: str) -> None:
        assert tell(store, igwn(name, "INITIAL", "2026-05-23T03:26:20Z"), stream="lvk") == []
        assert names(store) == []

    def test_mock_events_are_told_apart(self, store: Store) -> None:
        tell(
            store,
            igwn("S260523ab", "INITIAL", "2026-05-23T03:26:20Z"),
            igwn("MS260523ab", "INITIAL", "2026-05-23T03:26:20Z"),
            igwn("TS260523ab", "INITIAL", "2026-05-23T03:26:20Z"),
            stream="lvk",
        )
        assert [each["event_name"] for each in events.list_events(store, real_only=True).events] == ["S260523ab"]
        tests = [each["event_name"] for each in events.list_events(store, tests_only=True).events]
        assert sorted(tests) == ["MS260523ab", "TS260523ab"]


class TestNames:
    def test_numbers_of_two_missions_do_not_meet(self, store: Store) -> None:
        tell(store, unified(**GBM, id="1000050"), unified(mission="Swift", instrument="BAT", id="1000050"))
        assert names(store) == ["Fermi 1000050", "Swift 1000050"]

    def test_placeholders_join_nothing(self, store: Store) -> None:
        tell(store, *(unified(**GBM, id=number, record_number=i) for i, number in enumerate(("0", "-1", "99999", ""))))
        assert names(store) == []

    def test_two_events_that_a_notice_links_become_one(self, store: Store) -> None:
        tell(store, unified(**GBM, id="700000001", ra=10.0, dec=5.0, ra_dec_error=4.0))
        tell(store, unified(mission="Swift", instrument="BAT", id="1234567", ra=11.0, dec=5.0, ra_dec_error=0.05), first=1)
        assert names(store) == ["Fermi 700000001", "Swift 1234567"]
        link = unified(
            mission="Swift",
            instrument="XRT",
            id="1234567",
            event_name=["GRB 260523A"],
            ref_ID="700000001",
            ref_instrument="GBM",
        )
        (change,) = tell(store, link, first=2)
        assert (change.event_name, change.revision) == ("Fermi 700000001", 3)
        assert names(store) == ["Fermi 700000001"]
        for name in ("fermi 700000001", "Swift 1234567", "GRB260523A", "grb 260523a"):
            event = get_event(store, name)
            assert event["event_name"] == "Fermi 700000001"
        assert set(event["aliases"]) == {"Swift 1234567", "GRB 260523A"}
        assert told(event, "revision", "mission") == [(1, "Fermi"), (2, "Swift"), (3, "Swift")]
        assert (event["ra"], event["ra_dec_error"], event["mission"]) == (11.0, 0.05, "Fermi")

    def test_any_order_ends_in_the_same_events(self, store: Store) -> None:
        values = [
            unified(**GBM, id="700000001"),
            unified(mission="Swift", id="1234567"),
            unified(mission="Swift", id="1234567", ref_ID="700000001", ref_instrument="Fermi-GBM", record_number=2),
            unified(mission="SVOM", id="sb26052301", event_name="GRB 260523A"),
            unified(mission="Swift", id="1234567", event_name="GRB 260523A", record_number=3),
        ]
        found = set()
        for number, order in enumerate(itertools.islice(itertools.permutations(range(len(values))), 0, None, 17)):
            changed = [
                value.replace(b"700000001", b"70000%04d" % number).replace(b"1234567", b"123%04d" % number) for value in values
            ]
            changed = [value.replace(b"260523", b"26%04d" % (1001 + number)) for value in changed]
            for index in order:  # whatever order they are worked off in, they were received in that of the list
                tell(store, changed[index], first=number * 100 + index)
            event = get_event(store, f"Fermi 70000{number:04d}")
            assert told(event, "revision") == [1, 2, 3, 4, 5]
            found.add(
                (event["event_name"] == f"Fermi 70000{number:04d}", len(event["aliases"]), *sorted(told(event, "mission")))
            )
        assert found == {(True, 3, "Fermi", "SVOM", "Swift", "Swift", "Swift")}

    def test_near_in_time_is_not_the_same(self, store: Store) -> None:
        tell(store, unified(**GBM, id="700000001"), unified(mission="SVOM", id="sb26052301"))
        assert len(names(store)) == 2

    def test_what_lvk_finds_in_coincidence_stays_apart_and_is_named(self, store: Store) -> None:
        tell(store, unified(**GBM, id="700000001"))
        alert = igwn("S260523ab", "UPDATE", "2026-05-23T08:00:00Z").replace(
            b'"external_coinc": null',
            b'"external_coinc": {"gcn_notice_id": 700000001, "observatory": "Fermi", "search": "GRB"}',
        )
        tell(store, alert, stream="lvk", first=1)
        assert names(store) == ["Fermi 700000001", "S260523ab"]
        assert told(get_event(store, "S260523ab"), "citations") == [[{"how": "coincidence", "of": "Fermi 700000001"}]]

    def test_a_search_around_an_event_is_a_notice_of_it_and_decides_nothing(self, store: Store) -> None:
        tell(store, igwn("S260523ab", "INITIAL", "2026-05-23T03:26:20Z"), stream="lvk")
        search = unified(mission="IceCube", ref_ID="s260523AB", alert_type="retraction", ra=1.0, dec=2.0, ra_dec_error=0.5)
        (change,) = tell(store, search, first=1)
        assert (change.event_name, change.revision, change.retracted) == ("S260523ab", 2, False)
        event = get_event(store, "S260523ab")
        assert (event["state"], event["ra"], event["mission"], event["messenger"]) == ("initial", None, "LVK", "GW")
        assert told(event, "change")[1] == "retraction of its own by IceCube; nothing known changes"

    def test_done_again_gives_the_same_changes(self, store: Store) -> None:
        values = [unified(**GBM, id="700000001"), unified(mission="Swift", id="7654321", follow_up_event="Fermi 700000001")]
        once = tell(store, *values)
        before = get_event(store, "Swift 7654321")
        assert tell(store, *values) == once
        assert get_event(store, "Swift 7654321") == before

    def test_writers_at_once(self, store: Store) -> None:
        """Eight writers, each with notices of the same four bursts under names that only some of them link."""

        def write(writer: int) -> None:
            for burst in range(4):
                name = {"event_name": f"GRB 26052{burst}A"} if writer % 2 else {}
                value = unified(mission="Swift", id=f"123450{burst}", record_number=writer, **name)
                while True:
                    try:
                        tell(store, value, first=writer * 100 + burst)
                        break
                    except TransientError:
                        continue

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert names(store) == [f"Swift 123450{burst}" for burst in range(4)]
        for burst in range(4):
            event = get_event(store, f"GRB 26052{burst}A")
            assert sorted(told(event, "revision")) == list(range(1, 9))


class TestCitations:
    def test_followed_up_superseded_retracted(self, store: Store) -> None:
        tell(store, voevent(SWIFT, Packet_Type=61, TrigID=1234567, place=(123.45, -6.7, 0.05)))
        asked = voevent("ivo://voevent.example/request#1", cites=[("followup", SWIFT)])
        (change,) = tell(store, asked, first=1)
        assert (change.event_name, change.revision) == ("Swift 1234567", 2)
        event = get_event(store, "Swift 1234567")
        assert (event["state"], event["ra"], event["mission"]) == ("initial", 123.45, "Swift")
        stranger = voevent("ivo://voevent.example/request#2", cites=[("retraction", SWIFT)])
        assert not tell(store, stranger, first=2)[0].retracted
        own = voevent("ivo://nasa.gsfc.gcn/ELSEWHERE#9", cites=[("retraction", SWIFT)], Packet_Type=9999)
        assert tell(store, own, first=3)[0].retracted
        assert get_event(store, "Swift 1234567")["state"] == "retracted"

    @pytest.mark.parametrize("role", ["observation", "test"])
    def test_a_retraction_before_what_it_cites(self, store: Store, role: str) -> None:
        first, second = "ivo://voevent.example/burst#1", "ivo://voevent.example/burst#2"
        tell(store, voevent(second, role=role, cites=[("retraction", first)]), stream="voevent")
        (change,) = tell(store, voevent(first, role=role, place=(10.0, 5.0, 1.0)), stream="voevent", first=5)
        assert change.event_name == first
        event = get_event(store, first)
        assert (event["state"], event["revision"], event["ra"], event["real"]) == ("retracted", 2, 10.0, role == "observation")
        assert len(names(store)) == 1

    def test_what_named_nothing_is_found_when_it_is_cited(self, store: Store) -> None:
        first, second = "ivo://voevent.example/test#1", "ivo://voevent.example/test#2"
        assert tell(store, voevent(first, role="test", place=(10.0, 5.0, 1.0)), stream="voevent") == []
        tell(store, voevent(second, role="test", cites=[("supersedes", first)]), stream="voevent", first=1)
        event = get_event(store, second)
        assert (told(event, "alert_id"), event["ra"]) == ([f"voevent:{first}", f"voevent:{second}"], 10.0)

    def test_citations_in_a_circle(self, store: Store) -> None:
        ring = [f"ivo://voevent.example/ring#{number}" for number in range(3)]
        for number, ivorn in enumerate(ring):
            cites = [("supersedes", ring[(number + 1) % 3]), ("followup", ivorn)]
            tell(store, voevent(ivorn, cites=cites), stream="voevent", first=number)
        assert len(names(store)) == 1
        assert get_event(store, ring[1])["revision"] == 3

    def test_a_stranger_s_summary_of_two_bursts_joins_it_to_the_first(self, store: Store) -> None:
        one, two, three = (f"ivo://voevent.example/burst#{number}" for number in range(1, 4))
        for number, ivorn in enumerate((one, two)):
            tell(store, voevent(ivorn, place=(10.0 + 90 * number, 5.0, 1.0)), stream="voevent", first=number)
        summary = voevent(
            "ivo://stranger.example/x#9", role="utility", cites=[("followup", one), ("followup", two), ("followup", SWIFT)]
        )
        (change,) = tell(store, summary, stream="voevent", first=2)
        assert (change.event_name, change.revision) == (one, 2)
        assert names(store) == [one, two]
        assert [each["of"] for each in get_event(store, one)["revisions"][1]["citations"]] == [one, two, SWIFT]
        own = voevent(three, cites=[("supersedes", one), ("supersedes", two)])
        assert tell(store, own, stream="voevent", first=3)[0].event_name == one
        assert names(store) == [one]
        assert get_event(store, one)["revision"] == 4

    def test_candidates_for_one_burst_are_events_of_their_own(self, store: Store) -> None:
        base = "ivo://nasa.gsfc.gcn/COUNTERPART#Position_021571-{}"
        said = {"Packet_Type": 45, "TrigID": 21571, "Telescope": "Swift-XRT"}
        tell(store, voevent(base.format("075"), place=(295.2059, 38.4686, 0.0017), **said))
        tell(store, voevent(base.format("067"), place=(295.7602, 38.3642, 0.0014), **said), first=1)
        assert names(store) == ["COUNTERPART 21571@295.2059+38.4686", "COUNTERPART 21571@295.7602+38.3642"]
        event = get_event(store, base.format("067"))
        assert (event["ra"], told(event, "citations")) == (295.7602, [[{"how": "coincidence", "of": "Swift 21571"}]])

    def test_gbm_and_lat_tell_of_one_burst(self, store: Store) -> None:
        page = "http://heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2026/bn260523143/quicklook/glg_lc_bn260523143.gif"
        fermi = "ivo://nasa.gsfc.gcn/Fermi#"
        tell(store, voevent(f"{fermi}GBM_1", Packet_Type=112, TrigID=801199550, LightCurve_URL=page, place=(1.0, 2.0, 9.0)))
        tell(store, voevent(f"{fermi}LAT_1", Packet_Type=128, TrigID=260523143, place=(1.5, 2.0, 0.1)), first=1)
        tell(store, unified(**GBM, event_name="GRB260523143", ra=3.0, dec=2.0, ra_dec_error=4.0), first=2)
        assert names(store) == ["Fermi 801199550"]
        event = get_event(store, "bn260523143")
        assert (event["ra"], event["revision"]) == (1.5, 3)
        assert set(event["aliases"]) == {"bn260523143", "Fermi 260523143", "GRB260523143"}

    def test_an_ivorn_again_with_other_bytes(self, store: Store) -> None:
        tell(store, voevent(SWIFT, Packet_Type=61, TrigID=1234567, place=(123.45, -6.7, 0.05)))
        tell(
            store,
            voevent(SWIFT, Packet_Type=61, TrigID=1234567, place=(123.46, -6.7, 0.04), sent="2026-05-23T03:27:00"),
            first=1,
        )
        tell(store, voevent(SWIFT, Packet_Type=61, TrigID=1234567, place=(123.45, -6.7, 0.05)), first=2)
        event = get_event(store, "Swift 1234567")
        assert told(event, "revision", "ra") == [(1, 123.45), (2, 123.46)]
        assert (event["ra"], event["ra_dec_error"]) == (123.46, 0.04)
        assert "error 3 arcmin → 2.4 arcmin" in told(event, "change")[1]

    def test_a_test_by_the_name_of_a_true_event_stays_apart(self, store: Store) -> None:
        other = SWIFT.replace("890", "891")
        tell(store, voevent(SWIFT, role="test", Packet_Type=61, TrigID=1234567, place=(1.0, 2.0, 0.05)))
        assert names(store) == ["Swift 1234567"]
        changes = tell(
            store,
            voevent(other, Packet_Type=61, TrigID=1234567, place=(123.45, -6.7, 0.05), cites=[("supersedes", SWIFT)]),
            first=1,
        )
        assert [(change.event_name, change.revision, change.real) for change in changes] == [("Swift 1234567", 1, True)]
        assert names(store) == ["Swift 1234567", "Swift 1234567 (test)"]
        assert get_event(store, "Swift 1234567")["ra"] == 123.45
        test = get_event(store, "Swift 1234567 (test)")
        assert (test["ra"], test["real"], test["aliases"]) == (1.0, False, [])

    def test_numbers_of_integral_hold_which_message_it_is(self, store: Store) -> None:
        base = "ivo://nasa.gsfc.gcn/INTEGRAL#"
        tell(store, voevent(f"{base}Wakeup_008088-0", Packet_Type=53, TrigID=8088))
        tell(store, voevent(f"{base}Refined_008088-1", Packet_Type=54, TrigID=73624), first=1)
        assert get_event(store, "INTEGRAL 8088")["revision"] == 2
        assert get_event(store, "INTEGRAL 73624")["event_name"] == "INTEGRAL 8088"


class TestBest:
    def test_a_follow_up_refines_the_place_and_not_the_time(self, store: Store) -> None:
        xrt = SWIFT.replace("BAT_GRB_Pos", "XRT_Pos")
        slew = SWIFT.replace("BAT_GRB_Pos", "BAT_Lightcurve")
        tell(
            store,
            voevent(SWIFT, Packet_Type=61, TrigID=1234567, place=(10.0, 5.0, 0.05)),
            voevent(
                xrt,
                Packet_Type=67,
                TrigID=1234567,
                place=(10.01, 5.0, 0.0005),
                time="2026-05-23T03:27:45",
                sent="2026-05-23T03:30:00",
            ),
            voevent(
                slew,
                Packet_Type=63,
                TrigID=1234567,
                place=(10.0, 5.0, 0),
                time="2026-05-23T03:25:45",
                sent="2026-05-23T03:31:00",
            ),
        )
        event = get_event(store, "Swift 1234567")
        assert (event["ra"], event["ra_dec_error"]) == (10.01, 0.0005)
        assert event["time"] == datetime(2026, 5, 23, 3, 25, 45, 670_000, tzinfo=UTC)

    def test_of_one_instrument_the_latest_counts_though_it_be_worse(self, store: Store) -> None:
        tell(
            store,
            unified(**GBM, id="700000001", ra=10.0, dec=5.0, ra_dec_error=2.0),
            unified(
                **GBM,
                id="700000001",
                ra=12.0,
                dec=5.0,
                ra_dec_error=5.0,
                alert_datetime="2026-05-23T03:40:00Z",
                alert_type="update",
            ),
        )
        assert get_event(store, "Fermi 700000001")["ra"] == 12.0


class TestWhoseWordCounts:
    """Anyone may cite an event or use its name: that makes no position, no map and no date of it."""

    def test_a_stranger_moves_no_burst(self, store: Store) -> None:
        tell(store, voevent(SWIFT, Packet_Type=61, TrigID=1234567, place=(123.45, -6.7, 0.05)))
        stranger = voevent("ivo://stranger.example/x#1", cites=[("followup", SWIFT)], place=(10.0, 80.0, 0.01))
        (change,) = tell(store, stranger, stream="voevent", first=1)
        assert (change.event_name, change.revision, change.map_changed) == ("Swift 1234567", 2, False)
        event = get_event(store, "Swift 1234567")
        assert (event["ra"], event["dec"], event["ra_dec_error"], event["messenger"]) == (123.45, -6.7, 0.05, "EM")

    @pytest.mark.parametrize("ivorn", ["ivo://stranger.example/x#2", "ivo://LVK#2", "ivo://swift#2"])
    def test_a_stranger_moves_and_retracts_no_gravitational_wave(self, store: Store, ivorn: str) -> None:
        tell(store, igwn("S260523ab", "INITIAL", "2026-05-23T03:26:20Z"), stream="lvk")
        said = {"place": (10.0, 80.0, 0.01), "Retraction": 1, "FAR": 1e-20, "sent": "2026-05-23T05:00:00"}
        stranger = voevent(ivorn, GraceID="S260523ab", **said)  # type: ignore[arg-type]
        assert not tell(store, stranger, stream="voevent", first=1)[0].retracted
        event = get_event(store, "S260523ab")
        assert (event["ra"], event["map_revision"], event["far"], event["mission"]) == (None, None, 1e-9, "LVK")
        assert (event["state"], event["revision"]) == ("initial", 2)

    def test_of_a_wave_only_lvk_says_how_likely_it_was_and_when(self, store: Store) -> None:
        guano = unified(
            mission="Swift", instrument="BAT-GUANO", id="4444", far=1e-5, follow_up_event="S260523ab", ra=1.0, dec=2.0
        )
        search = unified(mission="IceCube", ref_ID="S260523ab", messenger="Neutrino", far=1e-7, p_astro=0.4, ra=3.0, dec=4.0)
        tell(store, guano, search)
        event = get_event(store, "S260523ab")
        assert [event[name] for name in ("far", "p_astro", "time", "mission", "ra", "state")] == [None] * 5 + ["initial"]
        assert (event["messenger"], event["real"], event["revision"]) == ("GW", True, 2)
        tell(store, igwn("S260523ab", "PRELIMINARY", "2026-05-23T03:26:20Z"), stream="lvk", first=5)
        event = get_event(store, "S260523ab")
        assert (event["far"], event["mission"], event["time"].hour, event["ra"]) == (1e-9, "LVK", 3, None)

    def test_a_mission_we_know_leads_before_a_stranger(self, store: Store) -> None:
        name = {"Event_name": "GRB 260523A"}
        tell(store, voevent("ivo://stranger.example/x#3", place=(10.0, 80.0, 0.01), sent="2026-01-01T00:00:00", **name))
        tell(store, unified(**GBM, event_name="GRB 260523A", ra=100.0, dec=5.0, ra_dec_error=2.0), first=1)
        event = get_event(store, "GRB 260523A")
        assert (event["mission"], event["ra"], event["messenger"]) == ("Fermi", 100.0, "EM")

    def test_another_mission_that_sees_the_same_refines(self, store: Store) -> None:
        tell(store, unified(**GBM, id="700000001", ra=10.0, dec=5.0, ra_dec_error=4.0))
        link = {"ref_ID": "700000001", "ref_instrument": "GBM"}
        seen = unified(mission="Einstein Probe", id="77", ra=11.0, dec=5.0, ra_dec_error=0.05, **link)
        neutrino = unified(mission="IceCube", id="78", ra=12.0, dec=5.0, ra_dec_error=0.01, **link)
        tell(store, seen, neutrino, first=1)
        event = get_event(store, "Fermi 700000001")
        assert (event["ra"], event["revision"]) == (11.0, 3)

    def test_what_a_stranger_s_own_event_is_stays_its_own_to_say(self, store: Store) -> None:
        first, second = "ivo://voevent.example/burst#1", "ivo://voevent.example/burst#2"
        tell(store, voevent(first, place=(10.0, 5.0, 1.0)), stream="voevent")
        tell(store, voevent(second, place=(10.5, 5.0, 0.5), cites=[("supersedes", first)]), stream="voevent", first=1)
        other = voevent("ivo://stranger.example/x#4", place=(99.0, 5.0, 0.1), cites=[("followup", first)])
        tell(store, other, stream="voevent", first=2)
        assert get_event(store, first)["ra"] == 10.5

    def test_a_preliminary_notice_that_retracts(self, store: Store) -> None:
        ivorn = "ivo://gwnet/gcn_sender#MS181101abc-{}"
        tell(store, voevent(ivorn.format("1-Preliminary"), role="test", GraceID="MS181101abc", Packet_Type=150), stream="lvk")
        said = {"GraceID": "MS181101abc", "Packet_Type": 150, "AlertType": "Preliminary", "Retraction": 1}
        retraction = voevent(ivorn.format("4-Preliminary-Retraction"), role="test", **said)  # type: ignore[arg-type]
        assert tell(store, retraction, stream="lvk", first=1)[0].retracted
        event = get_event(store, "MS181101abc")
        assert (event["state"], told(event, "state")) == ("retracted", ["preliminary", "retracted"])

    def test_a_retraction_kept_as_something_else_is_one_after_an_upgrade(self, store: Store) -> None:
        ivorn = "ivo://gwnet/gcn_sender#S260523{}-1"
        for number, letters in enumerate(("ab", "cd")):
            said = {"GraceID": f"S260523{letters}", "Packet_Type": 150, "Retraction": 1 - number}
            tell(store, voevent(ivorn.format(letters), **said), stream="lvk", first=number)  # type: ignore[arg-type]
        before = live_events.version(store)
        with transaction(store) as conn:
            command.downgrade(migration_config(conn), "r0005")
            conn.execute(update(tables.event_notices).values(stage="preliminary"))
            conn.execute(update(tables.events).values(state="preliminary"))
        migrate(store)
        states = {name: get_event(store, f"S260523{name}") for name in ("ab", "cd")}
        assert {name: (event["state"], told(event, "state")) for name, event in states.items()} == {
            "ab": ("retracted", ["retracted"]),
            "cd": ("preliminary", ["preliminary"]),
        }
        assert live_events.version(store) > before

    def test_a_stage_kept_before_does_not_hide_a_retraction(self) -> None:
        assert stage_of({"alert_type": "retraction", "stage": "preliminary"}) == "retracted"

    def test_a_follow_up_that_was_nothing_places_no_more(self, store: Store) -> None:
        tell(store, unified(**GBM, id="700000001", ra=10.0, dec=5.0, ra_dec_error=5.0))
        guano: dict[str, Any] = {"mission": "Swift", "instrument": "BAT-GUANO", "follow_up_event": "Fermi 700000001"}
        tell(store, unified(**guano, id="701", ra=14.0, dec=7.0, ra_dec_error=0.05), first=1)
        tell(store, unified(**guano, id="702", ra=15.0, dec=7.0, ra_dec_error=0.07), first=2)
        event = get_event(store, "Fermi 700000001")
        assert event["ra"] == 15.0  # of one instrument the latest
        gone = {"alert_type": "retraction", "alert_datetime": "2026-05-23T04:00:00Z"}
        tell(store, unified(**guano, id="702", **gone), first=3)
        assert get_event(store, "Fermi 700000001")["ra"] == 14.0
        assert not tell(store, unified(**guano, id="701", **gone), first=4)[0].retracted
        event = get_event(store, "Fermi 700000001")
        assert (event["ra"], event["ra_dec_error"], event["state"]) == (10.0, 5.0, "initial")
        back = unified(**guano, id="701", ra=14.5, dec=7.0, ra_dec_error=0.05, alert_datetime="2026-05-23T05:00:00Z")
        tell(store, back, first=5)
        assert get_event(store, "Fermi 700000001")["ra"] == 14.5


class TestCirculars:
    def test_linked_and_decides_nothing(self, store: Store) -> None:
        tell(store, unified(**GBM, id="702818765", event_name=["GRB 230410A"], trigger_time="2023-04-10T11:26:00Z"))
        assert tell(store, circular(33603, "GRB 230410A: Fermi GBM", event_id="GRB 230410A"), first=1) == []
        event = get_event(store, "Fermi 702818765")
        assert (event["revision"], event["state"], event["time"].year) == (1, "initial", 2023)
        assert [(each["circular"], each["version"]) for each in event["circulars"]] == [("33603", 1)]

    def test_sent_again_and_edited(self, store: Store) -> None:
        sent = circular(33603, "GRB 230410A: Fermi GBM", event_id="GRB 230410A")
        tell(store, sent)
        tell(store, circular(33603, "GRB 230410A: Fermi GBM", event_id="GRB 230410A", version=2, editedOn=5), first=1)
        with connection(store) as conn:
            assert conn.execute(select(func.count()).select_from(tables.event_circulars)).scalar() == 1
        tell(store, circular(33603, "GRB 230410A: Fermi GBM (corrected)", event_id="GRB 230410A"), first=2)
        tell(store, sent, first=3)
        event = get_event(store, "GRB230410A")
        assert [(each["version"], each["subject"][-11:]) for each in event["circulars"]] == [
            (1, ": Fermi GBM"),
            (2, "(corrected)"),
        ]
        assert (event["revision"], event["time"], event["ra"], event["alert_type"]) == (0, None, None, None)

    def test_names_a_burst_that_a_trigger_has(self, store: Store) -> None:
        tell(store, unified(**GBM, id="702818765", ra=1.0, dec=2.0, ra_dec_error=3.0))
        body = (
            "At 11:26:00 UT on 10 Apr 2023, the Fermi Gamma-ray Burst Monitor (GBM) triggered and located GRB 230410A "
            "(trigger 702818765.135562 / 230410476)."
        )
        tell(store, circular(33603, "GRB 230410A: Fermi GBM", event_id="GRB 230410A", body=body), first=1)
        event = get_event(store, "GRB 230410A")
        assert (event["event_name"], event["ra"], len(event["circulars"])) == ("Fermi 702818765", 1.0, 1)

    def test_names_set_equal_in_a_subject_are_one_and_names_side_by_side_are_not(self, store: Store) -> None:
        tell(
            store, unified(mission="Einstein Probe", event_name="EP240315a"), unified(mission="Swift", event_name="GRB 240315C")
        )
        tell(store, circular(1, "LIGO/Virgo/KAGRA S240315ab: upper limits on GRB 240315C", event_id="S240315ab"), first=2)
        tell(store, circular(2, "GRB 240315C and GRB 240316A: two bursts", event_id="GRB 240315C"), first=3)
        assert names(store) == ["EP240315a", "GRB 240315C", "S240315ab"]
        tell(store, circular(3, "EP240315a/GRB 240315C: one burst", event_id="EP240315a"), first=4)
        assert names(store) == ["EP240315a", "S240315ab"]
        event = get_event(store, "GRB 240315C")
        assert event["aliases"] == ["GRB 240315C"]
        assert [each["circular"] for each in event["circulars"]] == ["2", "3"]


def test_nothing_by_that_name(store: Store) -> None:
    with pytest.raises(NotFoundError, match="S1"):
        get_event(store, "S1")
    with pytest.raises(NotFoundError, match="revision 4"):
        events.events_after(store, [("S1", 4)])


def test_no_name_is_too_long_for_an_index(store: Store) -> None:
    # Characters that folding makes three of, and nothing that can be pressed.
    longest = "".join(random.Random(3).choices("ΐΰ", k=200))
    stranger = "ivo://a/" + "".join(random.Random(4).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000))
    tell(
        store,
        unified(**GBM, id="1", event_name=longest),
        voevent("ivo://a/short#1", cites=[("followup", stranger)]),
        unified(**GBM, id="2", event_name="GRB 260523A", ref_ID=stranger),
    )
    assert names(store) == ["GRB 260523A", longest]  # what cites the same long name is of one event
    assert get_event(store, longest)["event_name"] == longest
