"""Observations, classifications and sequences, held against both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import healpy as hp
import polars as pl
import pytest

from broker.errors import ConflictError, NotFoundError, UsageError
from broker.store import associations, classifications, events, observations, sequences
from broker.store.engine import Store, close, open_store, transaction
from broker.store.migrate import migrate
from broker.store.sequence_steps import Asked, followed, steps_of
from tests.api.world import frame_of, survey_alert, write
from tests.notices import circular, igwn, tell, unified

AT = datetime(2026, 5, 23, 5, tzinfo=UTC)
BURST = datetime(2026, 5, 23, 3, 25, 45, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nuncius.db"
    found: str = request.getfixturevalue("fresh_postgres")
    return found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url, synchronous="off")
    migrate(opened)
    yield opened
    close(opened)


def field(ident: str | None = None, **said: Any) -> dict[str, Any]:
    return {
        "sender_id": ident,
        "reporter": "me",
        "telescope": "LT",
        "status": "completed",
        "time": AT,
        "ra": 10.0,
        "dec": -5.25,
        "footprint": {"type": "circle", "radius": 0.1},
        "band": "r",
        "depth": 21.3,
        "depth_unit": "ab_mag",
        **said,
    }


class TestObservations:
    def test_come_back_as_they_were_sent(self, store: Store) -> None:
        polygon = {"type": "polygon", "vertices": [[1.1, 2.2], [3.3, 4.4], [0.1, 0.7]]}
        sent = [field(), field("a/1", footprint=polygon, photometry=[{"object": "x", "mag": 20.1}], exposure=30.0), field()]
        done = observations.post(store, "E", sent, who="me")
        assert (done.new, done.changed, done.unchanged) == (3, 0, 0)
        assert len({row["id"] for row in done.observations}) == 3
        kept = observations.page(store, "E").observations
        assert sorted(kept, key=lambda row: row["id"]) == sorted(done.observations, key=lambda row: row["id"])
        second = next(row for row in kept if row["sender_id"] == "a/1")
        assert {name: second[name] for name in sent[1]} == sent[1]
        assert second["who"] == "me"
        assert abs((second["created"] - datetime.now(UTC)).total_seconds()) < 600

    def test_sent_again_it_is_the_same(self, store: Store) -> None:
        first = observations.post(store, "E", [field("1"), field("2")], who="me").observations
        again = observations.post(store, "E", [field("2"), field("1"), field("3")], who="me")
        assert (again.new, again.changed, again.unchanged) == (1, 0, 2)
        assert again.observations[:2] == first[::-1]
        assert len(observations.page(store, "E").observations) == 3

    def test_an_id_is_one_of_an_account_and_an_event(self, store: Store) -> None:
        for event, who in (("E", "me"), ("E", "you"), ("F", "me")):
            assert observations.post(store, event, [field("1")], who=who).new == 1
        assert len(observations.page(store, "E").observations) == 2

    @pytest.mark.parametrize("then", ["completed", "cancelled"])
    def test_what_was_planned_comes_to_something(self, store: Store, then: str) -> None:
        (before,) = observations.post(store, "E", [field("1", status="planned", depth=None)], who="me").observations
        done = observations.post(store, "E", [field("1", status=then, time=AT + timedelta(hours=1))], who="me")
        assert (done.new, done.changed) == (0, 1)
        (after,) = observations.page(store, "E").observations
        assert (after["id"], after["status"], after["depth"], after["created"]) == (before["id"], then, 21.3, before["created"])
        assert after["changed"] >= before["changed"]
        assert after["time"] == AT + timedelta(hours=1)

    @pytest.mark.parametrize(
        ("first", "then"), [("completed", "planned"), ("cancelled", "planned"), ("cancelled", "completed")]
    )
    def test_what_cannot_become_is_refused_and_nothing_is_kept(self, store: Store, first: str, then: str) -> None:
        observations.post(store, "E", [field("1", status=first)], who="me")
        with pytest.raises(ConflictError, match=f"'1' is {first} and cannot become {then}"):
            observations.post(store, "E", [field("2"), field("1", status=then)], who="me")
        assert [(row["sender_id"], row["status"]) for row in observations.page(store, "E").observations] == [("1", first)]

    def test_a_report_is_corrected_and_withdrawn(self, store: Store) -> None:
        observations.post(store, "E", [field("1")], who="me")
        assert observations.post(store, "E", [field("1", depth=20.9)], who="me").changed == 1
        assert observations.post(store, "E", [field("1", status="cancelled")], who="me").changed == 1
        assert observations.of_events(store, ["E"]) == []
        assert len(observations.of_events(store, ["E"], ["cancelled"])) == 1

    def test_one_id_twice_at_once_is_refused(self, store: Store) -> None:
        with pytest.raises(UsageError, match="two observations have the id '7'"):
            observations.post(store, "E", [field("7"), field("8"), field("7")], who="me")
        assert observations.page(store, "E").observations == []

    def test_sent_by_several_at_once_they_are_there_once(self, store: Store, url: str) -> None:
        faults: list[BaseException] = []

        def send() -> None:
            mine = open_store(url, synchronous="off")
            try:
                observations.post(mine, "E", [field(str(number)) for number in range(30)], who="me")
            except BaseException as error:  # noqa: BLE001 - told below
                faults.append(error)
            finally:
                close(mine)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []
        assert len(observations.page(store, "E").observations) == 30

    def test_pages_and_what_is_asked_for(self, store: Store) -> None:
        sent = [
            field(str(number), time=AT + timedelta(minutes=number // 2), band="gr"[number % 2], telescope="ab"[number % 3 == 0])
            for number in range(23)
        ]
        observations.post(store, "E", sent, who="me")
        found, cursor = [], None
        while True:
            page = observations.page(store, "E", limit=5, cursor=cursor)
            assert len(page.observations) <= 5
            found += page.observations
            cursor = page.cursor
            if cursor is None:
                break
        assert len({row["id"] for row in found}) == 23
        assert [row["time"] for row in found] == sorted(row["time"] for row in found)
        assert len(observations.page(store, "E", band="g").observations) == 12
        assert {row["band"] for row in observations.page(store, "E", band="g").observations} == {"g"}
        assert len(observations.page(store, "E", telescope="b", band="r").observations) == 4
        assert observations.page(store, "E", reporter="you").observations == []
        assert observations.page(store, "E", status="planned").observations == []
        for wrong in (0, 10_001):
            with pytest.raises(UsageError, match="limit"):
                observations.page(store, "E", limit=wrong)
        with pytest.raises(UsageError, match="cursor"):
            observations.page(store, "E", cursor="x")

    def test_they_follow_an_event_that_becomes_part_of_another(self, store: Store) -> None:
        tell(store, unified(mission="Fermi", instrument="GBM", messenger="EM", id="700000001"))
        tell(store, unified(mission="Swift", instrument="BAT", id="1234567"), first=1)
        for name in ("Fermi 700000001", "Swift 1234567"):
            observations.post(store, name, [field("1", note=name)], who="me")
        tell(store, unified(mission="Swift", instrument="XRT", id="1234567", ref_ID="700000001", ref_instrument="GBM"), first=2)
        assert events.canonical_name(store, "Swift 1234567") == "Fermi 700000001"
        assert observations.page(store, "Swift 1234567").observations == []
        assert {row["note"] for row in observations.page(store, "Fermi 700000001").observations} == {
            "Fermi 700000001",
            "Swift 1234567",
        }
        again = observations.post(store, "Fermi 700000001", [field("1", note="after")], who="me")
        assert (again.new, again.changed) == (0, 1)


class TestClassifications:
    @pytest.fixture
    def alert(self, store: Store) -> str:
        row = survey_alert(1)
        write(store, [row], {})
        return str(row["alert_id"])

    def test_come_back_the_likelier_first(self, store: Store, alert: str) -> None:
        said = [
            {"classification": "SN Ia", "probability": 0.2, "taxonomy": "TNS", "classifier": "c", "version": "1"},
            {"classification": "SN II", "probability": 0.7, "taxonomy": "TNS", "classifier": "c", "version": "1"},
            {"classification": "AGN"},
        ]
        found = classifications.post(store, alert, said, who="me")
        assert [(one["classification"], one["probability"]) for one in found] == [("SN II", 0.7), ("SN Ia", 0.2), ("AGN", None)]
        assert found == classifications.of_alert(store, alert)
        assert {one["who"] for one in found} == {"me"}
        assert (found[0]["taxonomy"], found[0]["classifier"], found[0]["version"], found[0]["reference"]) == (
            "TNS",
            "c",
            "1",
            None,
        )

    def test_said_again_it_is_replaced_and_others_stay(self, store: Store, alert: str) -> None:
        def said(probability: float, **more: Any) -> dict[str, Any]:
            return {"classification": "SN Ia", "probability": probability, "classifier": "c", "version": "1", **more}

        (first,) = classifications.post(store, alert, [said(0.4)], who="me")
        (again,) = classifications.post(store, alert, [said(0.9, reference="a spectrum")], who="me")
        assert (again["id"], again["probability"], again["reference"]) == (first["id"], 0.9, "a spectrum")
        assert again["created"] == first["created"] <= again["changed"]
        assert len(classifications.post(store, alert, [said(0.1, version="2")], who="me")) == 2
        assert len(classifications.post(store, alert, [said(0.3)], who="you")) == 3

    def test_of_no_alert(self, store: Store, alert: str) -> None:
        for name in ("ztf:none", "ztf:\0", "\ud800"):
            with pytest.raises(NotFoundError, match="no alert"):
                classifications.post(store, name, [{"classification": "x"}], who="me")
        assert classifications.of_alert(store, alert) == []

    def test_an_alert_written_again_keeps_them(self, store: Store, alert: str) -> None:
        classifications.post(store, alert, [{"classification": "x"}], who="me")
        write(store, [survey_alert(1)], {})
        assert len(classifications.of_alert(store, alert)) == 1


def inside(store: Store, event: str, count: int, first: datetime) -> None:
    """Alerts in an event's map, one every six hours."""
    rows = [survey_alert(number) | {"time": first + timedelta(hours=6 * number)} for number in range(count)]
    for row in rows:
        row["hpx"] = int(hp.ang2pix(1 << 29, row["ra"], row["dec"], nest=True, lonlat=True))
    frame = frame_of(rows)
    write(store, rows, {})
    found = frame.select("alert_id", "hpx", pl.col("time").dt.epoch("us")).with_columns(
        pl.lit(event).alias("event_name"),
        pl.lit(1, pl.Int64).alias("revision"),
        pl.lit("live").alias("state"),
        pl.lit(0.5).alias("credible_level"),
        pl.lit(1.0).alias("density"),
        pl.Series("dt", [(row["time"] - BURST).total_seconds() for row in rows]),
        pl.lit(None, pl.Float64).alias("volume_level"),
        pl.lit(None, pl.Float64).alias("distance"),
    )
    with transaction(store) as conn:
        associations.upsert_rows(conn, found, 1)


class TestSequences:
    def burst(self, store: Store) -> None:
        tell(
            store,
            unified(mission="Fermi", instrument="GBM", messenger="EM", id="700000001", event_name=["GRB 260523A"]),
            unified(
                mission="Swift",
                instrument="XRT",
                id="1234567",
                ref_ID="700000001",
                ref_instrument="GBM",
                alert_datetime="2026-05-23T03:45:45Z",
            ),
            unified(
                mission="Swift",
                instrument="XRT",
                id="1234567",
                record_number=2,
                ref_ID="700000001",
                ref_instrument="GBM",
                alert_datetime="2026-05-23T04:45:45Z",
            ),
        )

    def test_from_detection_to_follow_up(self, store: Store) -> None:
        self.burst(store)
        name = events.canonical_name(store, "GRB 260523A")
        minutes = int(BURST.timestamp() * 1000)
        tell(
            store,
            circular(1, "GRB 260523A: NOT optical afterglow", createdOn=minutes + 7_200_000),
            circular(2, "GRB 260523A: Fermi GBM detection", createdOn=minutes + 600_000),
            circular(1, "GRB 260523A: NOT optical afterglow (corrected)", version=2, createdOn=minutes + 7_200_000),
            first=10,
        )
        inside(store, name, 4, BURST + timedelta(hours=1))
        sent = [
            field("1", time=BURST + timedelta(minutes=30), instrument="IO:O"),
            field("2", time=BURST + timedelta(minutes=31), instrument="IO:O"),
        ]
        observations.post(
            store,
            name,
            [*sent, field("3", status="planned", band="X", telescope="VLA", time=BURST + timedelta(days=3))],
            who="me",
        )
        observations.post(store, name, [field("4", status="cancelled")], who="me")
        found = sequences.of_event(store, name)
        shown = [
            (step.what, step.who, step.own, step.band, step.count, step.status) for step in found.steps if step.what != "alert"
        ]
        assert shown == [
            ("notice", "Fermi GBM", True, None, 1, None),
            ("circular", "Fermi GBM", True, None, 1, None),
            ("notice", "Swift XRT", False, None, 2, None),
            ("observation", "LT IO:O", False, "r", 2, "completed"),
            ("circular", "NOT", False, None, 1, None),
            ("observation", "VLA", False, "X", 1, "planned"),
        ]
        seen = [step for step in found.steps if step.what == "alert"]
        assert {step.who for step in seen} == {"ZTF"}
        assert sum(step.count for step in seen) == 4
        assert {step.band for step in seen} == {"g", "r", "i"}
        swift = next(step for step in found.steps if step.who == "Swift XRT")
        assert (swift.dt, (swift.until - swift.time).total_seconds()) == (1200.0, 3600.0)
        assert swift.spectrum is not None
        assert (swift.spectrum.low, swift.spectrum.high, swift.spectrum.unit) == (0.3, 10, "keV")
        assert [step.dt for step in found.steps] == sorted(step.dt or 0.0 for step in found.steps)
        with pytest.raises(NotFoundError):
            sequences.of_event(store, "nobody")

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            (Asked(), {"GRB", "GW"}),
            (Asked(telescope="swift"), {"GRB"}),
            (Asked(telescope="swift", within=1199.0), set()),
            (Asked(telescope="swift", within=1200.0), {"GRB"}),
            (Asked(band="x-ray"), {"GRB"}),
            (Asked(band="r"), {"GW"}),
            (Asked(band="Optical"), {"GW"}),
            (Asked(band="optical", within=60.0), set()),
            (Asked(telescope="Fermi"), set()),
        ],
    )
    def test_which_event_was_followed_by_whom(self, store: Store, asked: Asked, expected: set[str]) -> None:
        self.burst(store)
        tell(
            store,
            igwn("S260523ab", "INITIAL", "2026-05-23T03:26:20Z"),
            igwn("S260523cd", "INITIAL", "2026-05-23T03:26:20Z"),
            stream="lvk",
        )
        observations.post(store, "S260523ab", [field("1")], who="me")
        found = sequences.listing(store, asked)
        assert {"GW" if one.event["messenger"] == "GW" else "GRB" for one in found.sequences} == expected
        assert found.cursor is None
        for one in found.sequences:
            assert one.steps[0].own
            assert all(asked.picks(step) for step in one.steps[1:])

    def test_of_an_event_without_a_mission_who_told_first_found_it(self) -> None:
        def notice(mission: str | None, seconds: int) -> dict[str, Any]:
            told = {"mission": mission, "instrument": None, "messenger": "EM", "type": "x", "alert_id": f"gcn:{seconds}"}
            return told | {"issued": BURST + timedelta(seconds=seconds), "received": None}

        steps = steps_of({"time": BURST, "mission": None}, [notice("Swift", 600), notice("Fermi", 60)], [], [], [])
        assert [(step.who, step.own) for step in steps] == [("Fermi", True), ("Swift", False)]
        assert [step.who for step in followed(steps, Asked(telescope="Swift"))] == ["Fermi", "Swift"]

    def test_events_taken_back_say_so(self, store: Store) -> None:
        for stage in ("INITIAL", "RETRACTION"):
            tell(store, igwn("S260523ab", stage, "2026-05-23T03:26:20Z"), stream="lvk")
        observations.post(store, "S260523ab", [field("1")], who="me")
        (one,) = sequences.listing(store, Asked()).sequences
        assert one.event["state"] == "retracted"

    def test_of_which_events(self, store: Store) -> None:
        self.burst(store)
        tell(store, igwn("MS260523ab", "INITIAL", "2026-05-23T03:26:20Z"), stream="lvk")
        observations.post(store, "MS260523ab", [field("1")], who="me")

        def found(**asked: Any) -> list[str]:
            return [one.event["event_name"] for one in sequences.listing(store, Asked(), **asked).sequences]

        assert len(found()) == 2
        assert found(messenger="GW") == ["MS260523ab"]
        assert found(mission="fermi") == ["GRB 260523A"] == found(real_only=True)
        assert found(since=BURST + timedelta(seconds=1)) == []
        assert len(found(since=BURST, until=BURST + timedelta(seconds=1))) == 2
        with pytest.raises(UsageError, match="limit"):
            found(limit=0)

    def test_in_pages(self, store: Store) -> None:
        names = [f"S260523a{letter}" for letter in "abcdefg"]
        tell(store, *(igwn(name, "INITIAL", "2026-05-23T03:26:20Z") for name in names), stream="lvk")
        for name in names[::2]:
            observations.post(store, name, [field("1")], who="me")
        seen: list[str] = []
        cursor = None
        for _ in range(9):
            page = sequences.listing(store, Asked(), limit=1, cursor=cursor)
            seen += [one.event["event_name"] for one in page.sequences]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == names[::2][::-1]
