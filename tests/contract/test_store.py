"""What the store promises, held against both databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from broker.alert import conform
from broker.errors import NotFoundError, UsageError
from broker.record import Record, TopicPartition
from broker.science.sky import radec_to_hpx, separation
from broker.store import alerts, claims, events, ledger, ledger_fold, live_events, matches, schemas_seen, steps, tables
from broker.store.alerts import write
from broker.store.archive import Address
from broker.store.engine import Store, close, connection, open_store, transaction
from broker.store.ledger import Counts, Entry, Totals
from broker.store.matches import Match
from broker.store.migrate import migrate, migration_config, revisions
from broker.store.search import AlertQuery, Cone, search

START = datetime(2026, 3, 1, 4, tzinfo=UTC)


def record(offset: int, *, topic: str = "raw.ztf", partition: int = 0, value: bytes = b"") -> Record:
    return Record(topic, partition, offset, 1_780_000_000_000 + offset, None, value)


def survey(count: int, seed: int = 0, **columns: Any) -> pl.DataFrame:
    """Frame of `count` alerts at random places, a second apart."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    frame = pl.DataFrame(
        {
            "alert_id": [f"ztf:{seed}-{i:05d}" for i in range(count)],
            "stream": "ztf",
            "object_id": [f"ZTF26a{i % 7}" for i in range(count)],
            "time": [START + timedelta(seconds=i) for i in range(count)],
            "ra": ra,
            "dec": dec,
            "hpx": radec_to_hpx(ra, dec),
            "mag": rng.uniform(15, 21, count),
            "positive": rng.uniform(size=count) < 0.5,
            "_record": pl.Series(range(count), dtype=pl.UInt32),
            "_unit": pl.Series([0] * count, dtype=pl.UInt32),
        }
        | columns
    )
    return conform(frame)


def put(store: Store, frame: pl.DataFrame, records: Sequence[Record] | None = None, addresses: Sequence[Address] = ()) -> None:
    with transaction(store) as conn:
        write(conn, frame, records or [record(i) for i in range(frame.height)], addresses)


def every_page(store: Store, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = search(store, AlertQuery(**asked, cursor=cursor))
        found += page.alerts
        cursor = page.cursor
        if cursor is None:
            return found


class TestMigrations:
    def test_tables_are_as_declared(self, store: Store) -> None:
        with connection(store) as conn:
            assert compare_metadata(MigrationContext.configure(conn), tables.metadata) == []

    def test_files_are_named_in_the_order_of_the_changes(self) -> None:
        scripts = ScriptDirectory.from_config(migration_config())
        assert revisions() == [script.revision for script in scripts.walk_revisions()][::-1]

    def test_several_revisions_at_once_are_told(self, store: Store) -> None:
        with transaction(store) as conn:
            conn.exec_driver_sql("INSERT INTO alembic_version (version_num) VALUES ('r0001')")
        with pytest.raises(UsageError, match=r"at several revisions, .*r0001"):
            migrate(store)

    def test_can_be_undone(self, store: Store) -> None:
        with transaction(store) as conn:
            command.downgrade(migration_config(conn), "base")
        migrate(store)
        assert search(store, AlertQuery()).alerts == []

    def test_events_of_before_have_a_name_and_a_state(self, store: Store) -> None:
        with transaction(store) as conn:
            command.downgrade(migration_config(conn), "r0001")
            for name, kind, tense, state in (
                ("S1", "update", "current", "active"),
                ("S2", None, None, "retracted"),
                ("MS3", "initial", "test", "active"),
            ):
                conn.exec_driver_sql(
                    "INSERT INTO events "
                    "(event_name, stream, alert_type, alert_tense, state, revision, alert_id, created, updated) "
                    f"VALUES ('{name}', 'lvk', {kind!r}, {tense!r}, '{state}', 1, 'lvk:{name}', 5, 6)".replace("None", "NULL")
                )
                conn.exec_driver_sql(
                    "INSERT INTO event_notices (event_name, revision, alert_id, stream, received) "
                    f"VALUES ('{name}', 1, 'lvk:{name}', 'lvk', 5)"
                )
        migrate(store)
        found = [events.get_event(store, name) for name in ("s1", "S2", "ms3")]
        assert [(one["event_name"], one["state"], one["real"]) for one in found] == [
            ("S1", "update", True),
            ("S2", "retracted", True),
            ("MS3", "initial", False),
        ]
        tell(store, notice("S1", 2, alert_type="update"), first=9)
        assert [one["revision"] for one in events.get_event(store, "S1")["revisions"]] == [1, 2]

    def test_by_several_processes_at_once(self, url: str) -> None:
        code = "import sys; from broker.store.engine import open_store; from broker.store.migrate import migrate; "
        code += "store = open_store(sys.argv[1]); migrate(store); migrate(store)"
        started = [subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE) for _ in range(3)]
        ended = [process.communicate(timeout=120) for process in started]
        assert [process.returncode for process in started] == [0, 0, 0], ended
        opened = open_store(url)
        assert search(opened, AlertQuery()).alerts == []
        close(opened)

    def test_a_newer_database_is_refused(self, store: Store) -> None:
        with transaction(store) as conn:
            conn.exec_driver_sql("UPDATE alembic_version SET version_num = 'r9999'")
        with pytest.raises(UsageError, match="r9999"):
            migrate(store)


class TestAlerts:
    @pytest.mark.parametrize("others", [0, 60], ids=["few", "many"])
    def test_come_back_as_they_were_written(self, store: Store, others: int) -> None:
        frame = survey(3).with_columns(
            pl.Series("gaia.sep", [1.5, None, float("nan")]),
            pl.Series("ngc.name", ["M 31", 'a "quote", a comma', "nul\0byte"]),
            pl.Series("mag_err", [float("nan"), 0.1, None]),
            pl.Series("classification", ["", None, "é\n\\."]),
            pl.Series("_digest", [b'\x00\xff,"', None, b""]),
            pl.Series("_deviations", ["private", None, None]),
            pl.Series("history.mag", [[1.0], [], None]),
            pl.Series("candidate.all_null", [None, None, None], dtype=pl.Float64),
            pl.Series(
                "skymaps", [[{"event": "S1", "revision": 2, "credible_level": 0.5, "density": 1e3, "dt": -3.5}], [], None]
            ),
        )
        addresses = [Address("2026/03/01/w.avro", 10 * i, 10) for i in range(3)]
        put(
            store,
            pl.concat([frame, survey(others, seed=1, _record=pl.Series([0] * others, dtype=pl.UInt32))], how="diagonal"),
            [record(i, partition=i) for i in range(3)],
            addresses,
        )
        first, second, third = (alerts.get(store, alert_id) for alert_id in frame["alert_id"])
        for number, found in enumerate((first, second, third)):
            for name in ("alert_id", "stream", "object_id", "time", "ra", "dec", "hpx", "mag", "positive"):
                assert found[name] == frame[name][number], name
            assert found["archive"] == {"file": "2026/03/01/w.avro", "offset": 10 * number, "length": 10}
            assert found["origin"] == {"topic": "raw.ztf", "partition": number, "offset": number, "unit": 0}
            assert found["received"] == datetime.fromtimestamp(1_780_000_000 + number / 1000, UTC)
            assert found["matches"] == []
        assert first["annotations"] == {"gaia.sep": 1.5, "ngc.name": "M 31"}
        assert second["annotations"] == {"ngc.name": 'a "quote", a comma'}
        assert third["annotations"] == {"ngc.name": "nulbyte"}
        assert [found["mag_err"] for found in (first, second, third)] == [None, 0.1, None]
        assert [found["classification"] for found in (first, second, third)] == ["", None, "é\n\\."]
        assert first["skymaps"] == [{"event": "S1", "revision": 2, "credible_level": 0.5, "density": 1e3, "dt": -3.5}]
        assert second["skymaps"] == third["skymaps"] == []
        with connection(store) as conn:
            digests = conn.execute(select(tables.alerts.c.digest).order_by(tables.alerts.c.alert_id).limit(3)).scalars().all()
        assert digests == [b'\x00\xff,"', None, b""]

    @pytest.mark.parametrize("count", [3, 300], ids=["few", "many"])
    def test_written_again_they_are_replaced(self, store: Store, count: int) -> None:
        put(store, survey(count))
        put(store, survey(count, mag=17.25))
        assert [found["mag"] for found in every_page(store)] == [17.25] * count

    def test_the_last_of_an_id_repeated_in_a_batch_is_kept(self, store: Store) -> None:
        put(store, survey(40, alert_id="ztf:1", mag=np.arange(40.0)))
        assert [found["mag"] for found in every_page(store)] == [39.0]

    def test_several_alerts_of_one_record_share_its_address(self, store: Store) -> None:
        frame = survey(2, _record=pl.Series([0, 0], dtype=pl.UInt32), _unit=pl.Series([0, 4], dtype=pl.UInt32))
        put(store, frame, [record(9)], [Address("f", 5, 6)])
        found = [alerts.get(store, alert_id) for alert_id in frame["alert_id"]]
        assert [each["origin"]["unit"] for each in found] == [0, 4]
        assert {each["archive"]["offset"] for each in found} == {5}

    def test_addresses_must_be_one_a_record(self, store: Store) -> None:
        with pytest.raises(ValueError, match="1 archive addresses for 2 records"), transaction(store) as conn:
            write(conn, survey(2), [record(0), record(1)], [Address("f", 0, 1)])

    def test_an_empty_batch_is_nothing(self, store: Store) -> None:
        put(store, survey(0))
        assert every_page(store) == []

    def test_a_failed_transaction_leaves_nothing(self, store: Store) -> None:
        class OnPurposeError(Exception):
            pass

        def fail() -> None:
            with transaction(store) as conn:
                write(conn, survey(50), [record(i) for i in range(50)])
                raise OnPurposeError

        with pytest.raises(OnPurposeError):
            fail()
        assert every_page(store) == []

    def test_unknown_id(self, store: Store) -> None:
        with pytest.raises(NotFoundError, match="ztf:none"):
            alerts.get(store, "ztf:none")

    def test_of_an_object_oldest_first(self, store: Store) -> None:
        put(store, survey(30))
        put(store, survey(30, seed=1, stream="lsst"))
        found = alerts.object_alerts(store, "ZTF26a3", stream="ztf")
        assert [each["alert_id"] for each in found] == [f"ztf:0-{i:05d}" for i in range(3, 30, 7)]
        assert len(alerts.object_alerts(store, "ZTF26a3")) == 8


class TestSearch:
    @pytest.mark.parametrize(("ra", "dec"), [(0.0, 0.0), (359.999, -45.0), (123.4, 89.9), (10.0, -90.0), (200.0, 60.0)])
    def test_a_cone_finds_what_brute_force_finds(self, store: Store, ra: float, dec: float) -> None:
        rng = np.random.default_rng(7)
        count = 3000
        scale = 10.0 ** rng.uniform(-5, 1.5, count)  # from 36 mas to 30 degrees away
        lat = np.clip(dec + scale * rng.normal(size=count), -90, 90)
        lon = (ra + scale * rng.normal(size=count) / np.maximum(np.cos(np.radians(lat)), 1e-3)) % 360
        put(store, survey(count, ra=lon, dec=lat, hpx=radec_to_hpx(lon, lat)))
        ids = np.array([f"ztf:0-{i:05d}" for i in range(count)])
        distance = separation(ra, dec, lon, lat)
        for radius in (1e-4, 0.01, 0.7, 12.0, 90.0):
            inside = np.flatnonzero(distance <= radius)
            expected = inside[np.argsort(distance[inside], kind="stable")]
            found = every_page(store, cone=Cone(ra, dec, radius), limit=900)
            assert [each["alert_id"] for each in found] == list(ids[expected])
            assert [each["separation"] for each in found] == list(distance[expected])

    def test_alerts_without_a_position_are_in_no_cone(self, store: Store) -> None:
        put(store, survey(2, ra=[None, 5.0], dec=[None, 5.0], hpx=[None, int(radec_to_hpx(5.0, 5.0))]))
        assert len(every_page(store, cone=Cone(5.0, 5.0, 90.0))) == 1

    def test_pages_of_a_cone_with_ties(self, store: Store) -> None:
        put(store, survey(25, ra=5.0, dec=5.0, hpx=int(radec_to_hpx(5.0, 5.0))))
        found = every_page(store, cone=Cone(5.0, 5.1, 1.0), limit=4)
        assert [each["alert_id"] for each in found] == [f"ztf:0-{i:05d}" for i in range(25)]

    def test_newest_first_in_pages_with_ties(self, store: Store) -> None:
        put(store, survey(50, time=[START + timedelta(seconds=i // 6) for i in range(50)]))
        found = every_page(store, limit=7)
        assert [each["alert_id"] for each in found] == [f"ztf:0-{i:05d}" for i in reversed(range(50))]

    def test_alerts_without_a_time_are_ordered_by_receipt(self, store: Store) -> None:
        put(store, survey(2, time=pl.Series([None, START], dtype=pl.Datetime("us", "UTC"))))
        received = datetime.fromtimestamp(1_780_000_000, UTC)  # after START
        assert [each["time"] for each in every_page(store)] == [None, START]
        assert len(every_page(store, start=received - timedelta(seconds=1), end=received + timedelta(seconds=1))) == 1

    def test_conditions_hold_together(self, store: Store) -> None:
        put(store, survey(60))
        put(store, survey(60, seed=1, stream="gcn", event_name="GRB 260301A", alert_tense=["test", None, "current"] * 20))
        with transaction(store) as conn:
            matches.write(conn, [Match("bright", "1", f"ztf:1-{i:05d}") for i in range(0, 60, 2)])

        def numbers(**asked: Any) -> list[int]:
            return sorted(int(each["alert_id"].split("-")[1]) for each in every_page(store, **asked))

        assert numbers(stream="gcn") == list(range(60))
        assert numbers(event_name="GRB 260301A", real_only=True) == [i for i in range(60) if i % 3]
        assert numbers(filter="bright") == list(range(0, 60, 2))
        assert numbers(filter="other") == []
        window = {"start": START + timedelta(seconds=10), "end": START + timedelta(seconds=20)}
        assert numbers(stream="ztf", **window) == list(range(10, 20))
        assert numbers(filter="bright", real_only=True, object_id="ZTF26a4", **window) == []
        assert numbers(filter="bright", real_only=True, object_id="ZTF26a2", **window) == [16]
        assert numbers(stream="ztf", cone=Cone(0, 0, 90), **window) == sorted(
            set(numbers(stream="ztf", cone=Cone(0, 0, 90))) & set(range(10, 20))
        )

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"limit": 0}, "limit 0"),
            ({"limit": 10_001}, "limit 10001"),
            ({"cone": Cone(0, 91, 1)}, "dec 91"),
            ({"cone": Cone(float("nan"), 0, 1)}, "ra nan"),
            ({"cone": Cone(400, 0, 1)}, "ra 400"),
            ({"cone": Cone(0, 0, 0)}, "radius 0"),
            ({"cone": Cone(0, 0, 91)}, "radius 91"),
            ({"cone": Cone(0, 0, float("nan"))}, "radius nan"),
            ({"start": START, "end": START - timedelta(1)}, "before it starts"),
            ({"cursor": "%%%"}, "not one of ours"),
            ({"cursor": "W10"}, "not one of ours"),
            ({"cursor": "é"}, "not one of ours"),
        ],
    )
    def test_wrong_use_is_told(self, store: Store, asked: dict[str, Any], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            search(store, AlertQuery(**asked))

    def test_a_cursor_of_another_search_is_told(self, store: Store) -> None:
        put(store, survey(5))
        cursor = search(store, AlertQuery(limit=2)).cursor
        assert cursor is not None
        with pytest.raises(UsageError, match="another search"):
            search(store, AlertQuery(limit=2, cursor=cursor, cone=Cone(0, 0, 90)))


CLAIM = """
import json, sys
from broker.store.claims import claim
from broker.store.engine import open_store
store, name = open_store(sys.argv[1], synchronous="off"), sys.argv[2]
sys.stdin.readline()
owned = []
for batch in range(20):
    ids = [f"ztf:{(i * 7 if name == 'a' else -i * 7) % 200 + batch * 150}" for i in range(200)]
    owners = claim(store, ids, [(name, 0, i) for i in range(200)], [None] * 200)
    owned.append([owner.origin[0] for owner in owners] + ids)
print(json.dumps(owned))
"""


class TestClaims:
    def test_first_come_first_served(self, store: Store) -> None:
        first = claims.claim(store, ["a", "b"], [("raw.x", 0, 1), ("raw.x", 0, 2)], [None, b"\x01"])
        assert first == [(("raw.x", 0, 1), None), (("raw.x", 0, 2), b"\x01")]
        later = claims.claim(store, ["c", "b", "a"], [("raw.x", 1, i) for i in range(3)], [b"\x02"] * 3)
        assert later == [(("raw.x", 1, 0), b"\x02"), first[1], first[0]]

    def test_done_again_it_says_the_same(self, store: Store) -> None:
        asked = ([f"i{i}" for i in range(500)], [("raw.x", 0, i) for i in range(500)], [None] * 500)
        assert claims.claim(store, *asked) == claims.claim(store, *asked)

    def test_an_id_repeated_in_a_call_goes_to_the_first(self, store: Store) -> None:
        owners = claims.claim(store, ["a", "b", "a"], [("raw.x", 0, 5), ("raw.x", 0, 6), ("raw.x", 0, 4)], [b"5", None, b"4"])
        assert [owner.origin[2] for owner in owners] == [5, 6, 5]
        assert owners[2].digest == b"5"

    def test_nothing_asked(self, store: Store) -> None:
        assert claims.claim(store, [], [], []) == []

    def test_odd_ids(self, store: Store) -> None:
        ids = ['"', "\\", "é\U0001f52d", "", "nul\0", "a,b{}"]
        origins = [("raw.x", 0, i) for i in range(len(ids))]
        claims.claim(store, ids, origins, [None] * len(ids))
        owners = claims.claim(store, ids, [("raw.y", 0, 0)] * len(ids), [None] * len(ids))
        assert [owner.origin for owner in owners] == origins

    def test_two_processes_at_once_agree(self, url: str, store: Store) -> None:
        started = [
            subprocess.Popen([sys.executable, "-c", CLAIM, url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for name in ("a", "b")
        ]
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        ended = [process.communicate(timeout=120) for process in started]
        assert [process.returncode for process in started] == [0, 0]
        owner: dict[str, str] = {}
        for output, _ in ended:
            for batch in json.loads(output):
                for name, alert_id in zip(batch[:200], batch[200:], strict=True):
                    assert owner.setdefault(alert_id, name) == name
        assert len(owner) == 19 * 150 + 200
        with connection(store) as conn:
            rows = conn.execute(select(tables.claims.c.alert_id, tables.claims.c.topic))
            assert {row[0]: row[1] for row in rows} == owner


class TestFaults:
    def test_what_exceeds_the_limits_does_not_pass_by_waiting(self, store: Store) -> None:
        """PostgreSQL calls it operational, as it does a lost connection."""
        endless = os.urandom(20_000).hex()
        of_postgres = f"INSERT INTO counters (name, value) VALUES ('{endless}', 1)"
        asked = of_postgres if store.engine.dialect.name == "postgresql" else f"SELECT {'+'.join('1' * 5_000)}"
        with pytest.raises(DBAPIError, match=r"maximum (size|depth)"), transaction(store) as conn:
            conn.exec_driver_sql(asked)


@pytest.mark.parametrize("odd", ["ztf:1\0", "ztf:\udcff", "\0"])
def test_ids_that_cannot_be(store: Store, odd: str) -> None:
    for look in (alerts.get, steps.of_alert):
        with pytest.raises(NotFoundError, match="no id has such characters"):
            look(store, odd)


class TestMatches:
    def test_are_numbered_once(self, store: Store) -> None:
        put(store, survey(6))
        found = [Match("bright", "1", "ztf:0-00001"), Match("bright", "1", "ztf:0-00002"), Match("young", "2", "ztf:0-00002")]
        for _ in range(2):  # a batch done again
            with transaction(store) as conn:
                matches.write(conn, found)
        with transaction(store) as conn:
            matches.write(conn, [Match("young", "2", "ztf:0-00005")])
        newest = matches.latest(store)
        assert [(each["filter"], each["alert"]["alert_id"]) for each in newest] == [
            ("young", "ztf:0-00005"),
            ("young", "ztf:0-00002"),
            ("bright", "ztf:0-00002"),
            ("bright", "ztf:0-00001"),
        ]
        assert matches.last_seq(store) == newest[0]["seq"]
        assert matches.counts(store) == {"bright": 2, "young": 2}
        assert [each["seq"] for each in matches.since(store, newest[2]["seq"])] == [newest[1]["seq"], newest[0]["seq"]]
        assert len(matches.since(store, 0, filter_name="bright", limit=1)) == 1
        shown = alerts.get(store, "ztf:0-00002")["matches"]
        assert [(each["filter"], each["version"]) for each in shown] == [("bright", "1"), ("young", "2")]

    def test_carry_what_their_filters_select(self, store: Store) -> None:
        put(store, survey(2))
        said = alerts.get(store, "ztf:0-00001")["annotations"]
        with transaction(store) as conn:
            sent = '{"candidate.drb": 0.9, "name": "é", "none": null}'
            matches.write(conn, [Match("chosen", "1", "ztf:0-00001", sent), Match("old", "1", "ztf:0-00001")])
        old, chosen = matches.latest(store)
        assert chosen["alert"]["annotations"] == {"candidate.drb": 0.9, "name": "é"}
        assert old["alert"]["annotations"] == said

    def test_a_batch_done_again_forgets_what_other_versions_picked(self, store: Store) -> None:
        """More of them than a database takes values in one statement."""
        put(store, survey(100))
        ids = [f"ztf:0-{number:05d}" for number in range(100)]
        with transaction(store) as conn:
            matches.write(conn, [Match(f"f{number}", "1", one) for number in range(700) for one in ids[:99]])
            matches.write(conn, [Match("kept", "2", one) for one in ids] + [Match("f1", "1", ids[99])])
            matches.forget(conn, ids[:99], {"kept": "2", "f1": "2"})
        assert matches.counts(store) == {"f1": 1, "kept": 100}

    def test_none(self, store: Store) -> None:
        assert matches.last_seq(store) == 0
        assert matches.latest(store) == []

    def test_a_reader_never_misses_one(self, store: Store) -> None:
        """A transaction that took its numbers first is seen first, also when another would have committed before it."""
        put(store, survey(2))
        done = threading.Event()

        def other() -> None:
            with transaction(store) as conn:
                matches.write(conn, [Match("b", "1", "ztf:0-00001")])
            done.set()

        with transaction(store) as conn:
            matches.write(conn, [Match("a", "1", "ztf:0-00000")])
            thread = threading.Thread(target=other)
            thread.start()
            done.wait(0.3)  # it has to wait for us; if it does not, it shows below
            early = [each["seq"] for each in matches.since(store, 0)]
        thread.join()
        late = [each["seq"] for each in matches.since(store, max(early, default=0))]
        assert len(early + late) == 2


def entry(first: int, last: int, counts: Counts, *, partition: int = 0, stream: str = "ztf") -> Entry:
    return Entry(f"raw.{stream}", partition, first, last, stream, counts)


class TestLedger:
    def test_totals(self, store: Store) -> None:
        assert ledger.totals(store) == Totals()
        with transaction(store) as conn:
            ledger.record(conn, [entry(0, 9, Counts(10, 8, 1, 1, 3)), entry(0, 4, Counts(5, 5), stream="lsst")])
        assert ledger.totals(store) == Totals(Counts(15, 13, 1, 1, 3), {"lsst": Counts(5, 5), "ztf": Counts(10, 8, 1, 1, 3)})
        with transaction(store) as conn:
            ledger.record(conn, [entry(10, 19, Counts(10, 0, 10))])
        assert ledger.totals(store).by_stream["ztf"] == Counts(20, 8, 11, 1, 3)
        assert ledger.check(store) == []

    def test_what_became_of_some_records(self, store: Store) -> None:
        with transaction(store) as conn:
            ledger.record(conn, [entry(first, first + 9, Counts(10, 9, 1)) for first in range(0, 100, 10)])
            ledger.record(conn, [entry(0, 9, Counts(10, 10), partition=1), entry(0, 9, Counts(20, 0, 0, 20), stream="gcn")])
        assert ledger.of_offsets(store, {}) == (Totals(), 0)
        ztf, gcn = TopicPartition("raw.ztf", 0), TopicPartition("raw.gcn", 0)
        spans = {ztf: [(20, 39), (60, 69)], gcn: [(0, 9)]}
        exact = Totals(Counts(50, 27, 3, 20), {"ztf": Counts(30, 27, 3), "gcn": Counts(20, 0, 0, 20)})
        assert ledger.of_offsets(store, spans) == (exact, 0)
        # Batches with others' records in them are counted whole, and the others told.
        found, others = ledger.of_offsets(store, {ztf: [(15, 15), (18, 21), (95, 200)], gcn: [(90, 91)]})
        assert (found.overall.received, others) == (30, 7 + 8 + 5)

    def test_a_batch_done_again_with_other_bounds_counts_once(self, store: Store) -> None:
        for bounds in ([(0, 9)], [(10, 29)], [(10, 14), (15, 34)], [(15, 24)]):
            with transaction(store) as conn:
                ledger.record(conn, [entry(first, last, Counts(last - first + 1, last - first + 1)) for first, last in bounds])
        with transaction(store) as conn:
            ledger.record(conn, [entry(0, 4, Counts(5, 5), partition=1)])
        assert ledger.totals(store).overall.received == 25 + 5
        assert ledger.check(store) == []

    def test_who_writes_late_takes_nothing_from_who_went_on(self, store: Store) -> None:
        for first, last in ((0, 9), (10, 19), (0, 9)):  # stalled over 0 to 9, which another did and went on
            with transaction(store) as conn:
                ledger.record(conn, [entry(first, last, Counts(10, 10))])
        assert ledger.totals(store).overall.received == 20
        assert ledger.check(store) == []

    def test_halted_streams(self, store: Store) -> None:
        assert ledger.halted(store) == []
        for stream in ("ztf", "gcn", "ztf"):
            ledger.mark_halted(store, stream, halted=True)
        assert ledger.halted(store) == ["gcn", "ztf"]
        ledger.mark_halted(store, "ztf", halted=False)
        assert ledger.halted(store) == ["gcn"]

    def test_what_does_not_add_up_is_told(self, store: Store) -> None:
        with transaction(store) as conn:
            ledger.record(conn, [entry(0, 9, Counts(10, 8, 1, 0)), entry(12, 14, Counts(3, 3)), entry(14, 20, Counts(7, 7))])
        found = ledger.check(store)
        assert [(fault.kind, fault.offset) for fault in found] == [("sum", 0), ("gap", 12), ("overlap", 14)]
        assert "raw.ztf partition 0, offset 12: offsets 10 to 11 are in no entry" in found[1].text

    def test_old_entries_are_folded_and_the_sums_stay(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ledger_fold, "STEP", 7)
        spans = [(first, first + 9) for first in range(0, 300, 10)]
        entries = [entry(first, last, Counts(20, 10, 7, 3, 1), partition=part) for part in (0, 1) for first, last in spans]
        entries[4] = entry(40, 49, Counts(20, 10, 7, 2, 1))  # does not add up
        del entries[15:17]
        entries.append(entry(300, 309, Counts(5, 5), stream="gcn"))
        with transaction(store) as conn:
            ledger.record(conn, entries)
        sums, faults = ledger.totals(store), [(fault.kind, fault.offset) for fault in ledger.check(store)]
        assert ledger_fold.fold(store, 3600.0) == 0
        # One partition in four: before and after what does not add up, that, and behind the gap.
        assert ledger_fold.fold(store, -1.0) == len(entries) - 4 - 1 - 1
        assert ledger_fold.fold(store, -1.0) == 0
        assert ledger.totals(store) == sums
        assert [(fault.kind, fault.offset) for fault in ledger.check(store)] == faults == [("sum", 40), ("gap", 170)]
        with transaction(store) as conn:
            ledger.record(conn, [entry(300, 309, Counts(10, 10), partition=1)])
        assert ledger_fold.fold(store, -1.0) == 1
        assert ledger.totals(store).overall.received == sums.overall.received + 10

    def test_what_expired_unread_is_noted(self, store: Store) -> None:
        with transaction(store) as conn:
            ledger.record(conn, [entry(0, 9, Counts(10, 10)), entry(30, 39, Counts(10, 10)), entry(45, 49, Counts(5, 5))])
        firsts = {TopicPartition("raw.ztf", 0): 30}
        assert [fault.kind for fault in ledger.check(store, firsts)] == ["expired", "gap"]
        assert ledger_fold.accept_expired(store, firsts) == 20
        assert [fault.kind for fault in ledger.check(store, firsts)] == ["gap"]
        assert ledger_fold.accept_expired(store, {TopicPartition("raw.ztf", 0): 100}) == 5
        assert ledger.check(store) == []
        assert ledger_fold.accept_expired(store, firsts) == 0
        assert ledger_fold.expired(store) == 25
        assert ledger.totals(store).overall == Counts(25, 25)


class TestSchemasSeen:
    def test_new_once(self, store: Store) -> None:
        one = {"type": "record", "name": "alert", "fields": [{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]}
        reordered = {"fields": one["fields"], "name": "alert", "type": "record"}
        other = one | {"fields": list(reversed(one["fields"]))}
        assert schemas_seen.see(store, "ztf", one, "container")
        assert not schemas_seen.see(store, "ztf", reordered, "container")
        assert schemas_seen.see(store, "ztf", other, "registry")
        assert schemas_seen.see(store, "winter", one, "container")
        found = schemas_seen.listing(store, "ztf")
        assert [each["schema"] for each in found] == [one, other]
        assert [each["how"] for each in found] == ["container", "registry"]


def notice(name: str | None, number: int, **columns: Any) -> pl.DataFrame:
    usual = {"event_name": name, "object_id": name, "messenger": "GW", "mission": "LVK", "ra": None, "dec": None, "hpx": None}
    return survey(1, alert_id=f"lvk:{name}-{number}", stream="lvk", **(usual | columns))


def tell(
    store: Store, *notices: pl.DataFrame, maps: dict[str, str] | None = None, first: int = 0
) -> dict[str, tuple[str, int]]:
    frame = pl.concat(notices, how="diagonal_relaxed").with_columns(pl.Series("_record", range(len(notices)), dtype=pl.UInt32))
    records = [record(first + i, topic="raw.lvk") for i in range(len(notices))]
    with transaction(store) as conn:
        changes = events.upsert_notices(conn, frame, records, maps)
    return {change.alert_id: (change.event_name, change.revision) for change in changes}


class TestEvents:
    def test_notices_become_revisions(self, store: Store) -> None:
        before = live_events.version(store)
        assert tell(store, notice("S1", 1, alert_type="initial", far=1e-9), notice("S2", 1), notice(None, 7)) == {
            "lvk:S1-1": ("S1", 1),
            "lvk:S2-1": ("S2", 1),
        }
        assert tell(
            store,
            notice("S1", 2, alert_type="update", classification="BNS", p_astro=0.9, **{"skymap.area90": 20.0}),
            notice("S1", 3, ra=10.0, dec=5.0, ra_dec_error=1.0),
            maps={"lvk:S1-2": "S1/2.arrow"},
            first=5,
        ) == {"lvk:S1-2": ("S1", 2), "lvk:S1-3": ("S1", 3)}
        assert live_events.version(store) > before
        found = events.get_event(store, "S1")
        assert [each["alert_id"] for each in found["revisions"]] == ["lvk:S1-1", "lvk:S1-2", "lvk:S1-3"]
        expected = {
            "far": 1e-9,
            "classification": "BNS",
            "alert_type": "update",
            "map_path": "S1/2.arrow",
            "map_revision": 2,
            "area90": 20.0,
            "ra": 10.0,
            "dec": 5.0,
            "ra_dec_error": 1.0,
            "revision": 3,
            "alert_id": "lvk:S1-3",
            "state": "update",
            "time": START,
            "created": datetime.fromtimestamp(1_780_000_000, UTC),
            "updated": datetime.fromtimestamp(1_780_000_000.006, UTC),
        }
        assert {name: found[name] for name in expected} == expected

    def test_done_again_nothing_is_numbered_anew(self, store: Store) -> None:
        first, second = notice("S1", 1), notice("S1", 2, alert_type="update")
        tell(store, first, second)
        once = events.get_event(store, "S1")
        tell(store, second, first=1)
        tell(store, first, second)
        assert events.get_event(store, "S1") == once

    def test_many_at_once(self, store: Store) -> None:
        told = tell(store, *(notice(f"S{i % 40}", i) for i in range(100)))
        assert [told[f"lvk:S7-{i}"] for i in (7, 47, 87)] == [("S7", 1), ("S7", 2), ("S7", 3)]
        assert len(events.list_events(store, limit=1000).events) == 40

    def test_a_notice_read_anew_moves_to_its_event(self, store: Store) -> None:
        tell(store, notice("S1", 1))
        tell(store, notice("S1", 1).with_columns(event_name=pl.lit("S2")))
        with pytest.raises(NotFoundError, match="S1"):
            events.get_event(store, "S1")
        assert [each["alert_id"] for each in events.get_event(store, "S2")["revisions"]] == ["lvk:S1-1"]

    def test_a_retraction_is_final(self, store: Store) -> None:
        tell(store, notice("S1", 1), maps={"lvk:S1-1": "S1/1.arrow"})
        windows = {"": (-100.0, 100.0)}
        assert len(live_events.live_maps(store, START, START, windows)) == 1
        tell(store, notice("S1", 2, alert_type="retraction", time=None))
        tell(store, notice("S1", 3, alert_type="update"))
        assert events.get_event(store, "S1")["state"] == "retracted"
        assert live_events.live_maps(store, START, START, windows) == []

    def test_live_maps_by_window(self, store: Store) -> None:
        tell(
            store,
            notice("S1", 1, alert_tense="current"),
            notice("G1", 1, messenger="EM"),
            notice("T1", 1, alert_tense="test"),
            notice("N1", 1, messenger="Neutrino"),
            notice("S9", 1, time=START + timedelta(days=40)),
            notice("S8", 1),
            maps={f"lvk:{name}-1": f"{name}.arrow" for name in ("S1", "G1", "T1", "N1", "S9")},
        )
        windows = {"GW": (-10.0, 86400.0), "EM": (-100.0, 1000.0)}

        def live(start: float, end: float, *, real_only: bool = False) -> list[str]:
            edges = (START + timedelta(seconds=seconds) for seconds in (start, end))
            return [each.event_name for each in live_events.live_maps(store, *edges, windows, real_only=real_only)]

        assert live(0, 0) == ["G1", "S1", "T1"]
        assert live(0, 0, real_only=True) == ["G1", "S1"]
        assert live(-50, -20) == ["G1"]
        assert live(-50, -10) == ["G1", "S1", "T1"]
        assert live(1001, 86400) == ["S1", "T1"]
        assert live(86401, 90000) == []
        found = live_events.live_maps(store, START, START, windows)[1]
        assert (found.path, found.revision, found.time, found.window) == ("S1.arrow", 1, START, windows["GW"])
        assert live_events.live_maps(store, START, START, {}) == []

    def test_listing_in_pages(self, store: Store) -> None:
        for i in range(5):
            tell(store, notice(f"S{i}", 1, alert_tense="test" if i == 2 else None), first=i // 2)
        first = events.list_events(store, limit=2)
        second = events.list_events(store, limit=2, cursor=first.cursor)
        third = events.list_events(store, limit=2, cursor=second.cursor)
        pages = [[each["event_name"] for each in page.events] for page in (first, second, third)]
        assert pages == [["S4", "S3"], ["S2", "S1"], ["S0"]]
        assert third.cursor is None
        assert [each["event_name"] for each in events.list_events(store, real_only=True).events] == ["S4", "S3", "S1", "S0"]
        assert events.list_events(store, end=START).events == []
        with pytest.raises(UsageError, match="limit 0"):
            events.list_events(store, limit=0)
        with pytest.raises(UsageError, match="not one of ours"):
            events.list_events(store, cursor="x")
