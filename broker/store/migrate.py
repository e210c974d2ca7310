"""Bring the tables of a database up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from broker.errors import UsageError
from broker.store.engine import Store, connection, transaction
from broker.telemetry import get_logger

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["migrate", "migration_config", "revisions"]

log = get_logger(__name__)

_LOCK = 0x4E554E43  # "NUNC": any number will do, as long as every process takes the same
_SCRIPTS = Path(__file__).parent / "migrations"


def migration_config(conn: Connection | None = None) -> Config:
    """Alembic's settings for the changes that come with Nuncius."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={} if conn is None else {"connection": conn})
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    return config


def revisions() -> list[str]:
    """Of the changes that come with Nuncius, in order: files are named after them, and numbered."""
    return sorted(path.stem.partition("_")[0] for path in (_SCRIPTS / "versions").glob("r*.py"))


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
    known = revisions()
    if not known:
        raise UsageError(f"there are no changes of the tables in {_SCRIPTS / 'versions'}: install Nuncius anew")
    head = known[-1]
    with connection(store) as conn:
        if _revision(conn) == head:
            return
    from alembic import command  # noqa: PLC0415 - which is slow to load, and most often there is nothing to do

    with transaction(store) as conn:
        if store.dialect == "postgresql":
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        found = _revision(conn)
        if found == head:
            return
        if found is not None and found not in known:
            raise UsageError(f"the database is at revision {found}, which this version does not know: upgrade Nuncius")
        command.upgrade(migration_config(conn), "head")
        told = log.debug if found is None else log.info  # of a new one nobody need be told
        told("database migrated", before=found, now=head)


def _revision(conn: Connection) -> str | None:
    if not inspect(conn).has_table("alembic_version"):
        return None
    found = conn.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if len(found) > 1:
        raise UsageError(f"the database is at several revisions, {', '.join(found)}: leave one in its table alembic_version")
    return found[0] if found else None
