"""Faults of the database, told apart: those to wait out and those of the program."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from broker.errors import StoreUnavailableError, UsageError
from broker.store import tables
from broker.store.bulk import upsert
from broker.store.claims import claim
from broker.store.engine import Store, close, connection, open_store, transaction
from broker.store.migrate import migrate


def take(store: Store, name: str) -> None:
    claim(store, [name], [("raw.x", 0, 0)], [None])


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/name", "sqlite://", "sqlite:///:memory:"])
def test_addresses_of_no_use_are_told(url: str) -> None:
    with pytest.raises(UsageError, match="sqlite:///path"):
        open_store(url)


def test_a_lock_held_too_long_passes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/n.db"
    one, other = open_store(url), open_store(url, busy_timeout=0.05)
    migrate(one)
    with transaction(one), pytest.raises(StoreUnavailableError, match="locked"):
        take(other, "a")
    take(other, "a")
    close(one)
    close(other)


def test_a_reader_is_not_held_up_by_a_writer(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/n.db", busy_timeout=0.05)
    migrate(store)
    take(store, "a")
    with transaction(store) as writer, connection(store) as reader:
        writer.execute(text("DELETE FROM claims"))
        assert reader.execute(text("SELECT count(*) FROM claims")).scalar() == 1
    close(store)


def test_a_place_where_no_file_can_be_passes(tmp_path: Path) -> None:
    (tmp_path / "n.db").mkdir()
    store = open_store(f"sqlite:///{tmp_path}/n.db")
    with pytest.raises(StoreUnavailableError, match="unable to open"):
        migrate(store)


def test_a_fault_of_ours_stays_what_it_is(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/n.db")
    with pytest.raises(OperationalError, match="no such table"):
        take(store, "a")
    close(store)


@pytest.mark.parametrize(("synchronous", "number"), [("off", 0), ("normal", 1), ("full", 2)])
def test_sqlite_is_set_up(tmp_path: Path, synchronous: str, number: int) -> None:
    store = open_store(f"sqlite:///{tmp_path}/n.db", synchronous=synchronous)  # type: ignore[arg-type]
    with connection(store) as conn:
        found = [conn.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous", "foreign_keys")]
    close(store)
    assert found == ["wal", number, 1]


def test_no_server_passes() -> None:
    with socket.socket() as held:  # bound and not listening: nothing else can take the port
        held.bind(("127.0.0.1", 0))
        store = open_store(f"postgresql://nobody@127.0.0.1:{held.getsockname()[1]}/none")
        with pytest.raises(StoreUnavailableError, match="database is away"):
            take(store, "a")


@pytest.mark.postgres
class TestPostgres:
    @pytest.fixture
    def store(self, fresh_postgres: str) -> Store:
        store = open_store(fresh_postgres)
        migrate(store)
        return store

    def test_a_connection_lost_in_a_transaction_passes(self, store: Store) -> None:
        def lose() -> None:
            with transaction(store) as conn:
                self.cut_off(store, conn.execute(text("SELECT pg_backend_pid()")).scalar())
                conn.execute(text("SELECT 1"))

        with pytest.raises(StoreUnavailableError):
            lose()
        take(store, "a")
        close(store)

    def test_a_connection_lost_before_a_copy_passes(self, store: Store) -> None:
        frame = pl.DataFrame({"alert_id": [f"a{i}" for i in range(100)], "topic": "t", "partition": 0, "offset": 0})

        def lose() -> None:
            with transaction(store) as conn:
                upsert(conn, tables.claims, frame)
                self.cut_off(store, conn.execute(text("SELECT pg_backend_pid()")).scalar())
                upsert(conn, tables.claims, frame)

        with pytest.raises(StoreUnavailableError):
            lose()
        with connection(store) as conn:
            assert conn.execute(text("SELECT count(*) FROM claims")).scalar() == 0
        close(store)

    def test_a_connection_lost_between_transactions_is_made_anew(self, store: Store) -> None:
        with connection(store) as conn:
            pid = conn.execute(text("SELECT pg_backend_pid()")).scalar()
        other = open_store(store.engine.url.render_as_string(hide_password=False))
        self.cut_off(other, pid)
        close(other)
        take(store, "a")
        close(store)

    def test_a_fault_of_ours_stays_what_it_is(self, store: Store) -> None:
        with pytest.raises(ProgrammingError, match="no_such_table"), transaction(store) as conn:
            conn.execute(text("SELECT * FROM no_such_table"))
        close(store)

    def test_a_key_too_long_for_an_index_never_passes(self, store: Store) -> None:
        name = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000))
        with pytest.raises(OperationalError, match="index row"):
            take(store, name)
        close(store)

    @pytest.mark.parametrize(
        ("state", "passes"), [("40001", True), ("53100", True), ("55P03", True), ("57014", True), ("54000", False)]
    )
    def test_what_passes_is_told_by_its_class(self, store: Store, state: str, passes: bool) -> None:
        fault = text(f"DO $$ BEGIN RAISE EXCEPTION 'so' USING ERRCODE = '{state}'; END $$")
        with pytest.raises(StoreUnavailableError if passes else OperationalError), transaction(store) as conn:
            conn.execute(fault)
        close(store)

    @staticmethod
    def cut_off(store: Store, pid: int | None) -> None:
        with store.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
