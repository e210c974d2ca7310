"""Bring the tables of a database up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from broker.errors import UsageError
from broker.store.engine import Store, connection, transaction
from broker.telemetry import get_logger

__all__ = ["migrate", "migration_config"]

log = get_logger(__name__)

_LOCK = 0x4E554E43  # "NUNC": any number will do, as long as every process takes the same


def migration_config(conn: Connection | None = None) -> Config:
    """Alembic's settings for the changes that come with Nuncius."""
    config = Config(attributes={} if conn is None else {"connection": conn})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def migrate(store: Store) -> None:
    """Make the tables, or change them to what this version needs.

    Any number of processes may call it at once: one does the work, in a single transaction, and the others wait for it.

    Raises
    ------
    UsageError
        The database was made by a newer version.
    StoreUnavailableError
        The database is away.
    """
    scripts = ScriptDirectory.from_config(migration_config())
    head = scripts.get_current_head()
    with connection(store) as conn:
        if _revision(conn) == head:
            return
    with transaction(store) as conn:
        if store.dialect == "postgresql":
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        found = _revision(conn)
        if found == head:
            return
        if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
            raise UsageError(f"the database is at revision {found}, which this version does not know: upgrade Nuncius")
        command.upgrade(migration_config(conn), "head")
        told = log.debug if found is None else log.info  # of a new one nobody need be told
        told("database migrated", before=found, now=head)


def _revision(conn: Connection) -> str | None:
    return MigrationContext.configure(conn).get_current_revision()
