"""What the files of filters were when they were taken in, by the place they lie in."""

from __future__ import annotations

from sqlalchemy import Connection, select

from broker.store import tables

__all__ = ["files", "keep_file"]


def files(conn: Connection, place: str) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """Digest of each filter's file in a place as last taken in, by the filter's name; and name and digest of all other places'.

    What was taken in before places were told apart counts as any place's.
    """
    rows = conn.execute(select(tables.filter_files).order_by(tables.filter_files.c.place)).all()
    here = {row.name: row.digest for row in rows if row.place in {"", place}}
    return here, {(row.name, row.digest) for row in rows if row.place not in {"", place}}


def keep_file(conn: Connection, place: str, name: str, digest: str | None) -> None:
    """Note what a filter's file was when it was taken in; ``None``: it is gone."""
    table = tables.filter_files
    conn.execute(table.delete().where(table.c.place.in_(["", place]), table.c.name == name))
    if digest is not None:
        conn.execute(table.insert().values(place=place, name=name, digest=digest))
