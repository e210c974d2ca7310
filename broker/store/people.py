"""Accounts. Nobody is ever removed, only disabled: a name stands for one person for good."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Row, Select, select, update
from sqlalchemy.exc import IntegrityError

from broker.errors import NotFoundError, UsageError
from broker.store import passwords, tables, tokens
from broker.store.engine import Store, connection, transaction
from broker.store.times import from_micros, now

__all__ = [
    "NAME",
    "RESERVED",
    "User",
    "add",
    "by_subject",
    "checked_name",
    "free_name",
    "get",
    "log_in",
    "set_disabled",
    "set_password",
    "users",
]

NAME: Final = r"[a-z0-9][a-z0-9._-]{0,63}"
"""Pattern of names of accounts and of teams: lower case alone, so that no two look alike."""
RESERVED: Final = frozenset({"local", "file", "anonymous", "nobody"})
"""What things without an owner are said to be of."""


@dataclass(frozen=True, slots=True)
class User:
    """An account.

    Parameters
    ----------
    display
        The person's name as people write it.
    has_password
        Whether it can be logged into with one.
    oidc_subject
        Issuer and subject, a space between, of the log-in elsewhere that it is of.
    teams
        Its role by team.
    """

    name: str
    email: str | None
    display: str | None
    admin: bool
    disabled: bool
    has_password: bool
    oidc_subject: str | None
    created: datetime
    teams: Mapping[str, str]


def checked_name(name: str, what: str) -> str:
    """The name, if an account or a team can have it.

    Raises
    ------
    UsageError
        It cannot.
    """
    if not re.fullmatch(NAME, name):
        message = f"{what} {name!r}: take lower-case letters, digits, dots, dashes and underscores, 64 at most, first a letter"
        raise UsageError(f"{message} or a digit")
    if name in RESERVED:
        raise UsageError(f"{what} {name!r}: the name stands for what nobody owns; take another")
    return name


def add(
    store: Store,
    name: str,
    *,
    email: str | None = None,
    display: str | None = None,
    admin: bool = False,
    password: str | None = None,
    oidc_subject: str | None = None,
) -> None:
    """Make an account.

    Raises
    ------
    UsageError
        The name or the subject is taken, the name or the password cannot be.
    """
    row = {
        "name": checked_name(name, "account"),
        "email": email,
        "display": display,
        "password": None if password is None else passwords.hashed(password),
        "oidc_subject": oidc_subject,
        "admin": admin,
        "disabled": False,
        "created": now(),
    }
    try:
        with transaction(store) as conn:
            conn.execute(tables.users.insert().values(row))
    except IntegrityError as error:
        taken = by_subject(store, oidc_subject) if oidc_subject else None
        if taken is not None:
            raise UsageError(f"subject {oidc_subject!r} is account {taken.name!r} already") from error
        raise UsageError(f"there is an account {name!r} already: take another name") from error


def users(store: Store) -> list[User]:
    """All accounts, by name."""
    with connection(store) as conn:
        return _read(conn, select(tables.users).order_by(tables.users.c.name))


def get(store: Store, name: str) -> User:
    """An account.

    Raises
    ------
    NotFoundError
        There is none of the name.
    """
    with connection(store) as conn:
        found = _read(conn, select(tables.users).where(tables.users.c.name == name))
    if not found:
        raise _nobody(name)
    return found[0]


def by_subject(store: Store, subject: str) -> User | None:
    """The account of a log-in elsewhere."""
    with connection(store) as conn:
        found = _read(conn, select(tables.users).where(tables.users.c.oidc_subject == subject))
    return found[0] if found else None


def free_name(store: Store, wanted: str) -> str:
    """A name that can be had and is like the one wanted."""
    base = re.sub(r"[^a-z0-9._-]+", "-", wanted.lower()).strip("-._")[:48] or "user"
    with connection(store) as conn:
        taken = set(
            conn.execute(select(tables.users.c.name).where(tables.users.c.name.startswith(base, autoescape=True))).scalars()
        )
    if base not in taken | RESERVED:
        return base
    return next(name for number in range(2, len(taken) + 4) if (name := f"{base}-{number}") not in taken)


def set_disabled(store: Store, name: str, disabled: bool) -> None:
    """Let nobody use an account any more, or let them again; `NotFoundError` where there is none. Its log-ins end."""
    with transaction(store) as conn:
        _changed(conn, name, disabled=disabled)
        tokens.end_sessions(conn, name)


def set_password(store: Store, name: str, password: str | None) -> None:
    """Give an account another password, or none; its log-ins end, its tokens stay.

    Raises
    ------
    NotFoundError
        There is no such account.
    UsageError
        The password cannot be.
    """
    kept = None if password is None else passwords.hashed(password)
    with transaction(store) as conn:
        _changed(conn, name, password=kept)
        tokens.end_sessions(conn, name)


def log_in(store: Store, name: str, password: str) -> User | None:
    """The account whose name and password these are, if it may be used. Every answer takes as long."""
    user = tables.users.c
    asked = name if re.fullmatch(NAME, name) else ""  # what no account is called need not be shown to the database
    with connection(store) as conn:
        row = conn.execute(select(user.password, user.disabled).where(user.name == asked)).first()
    if not passwords.holds(password, row.password if row is not None else None) or row is None or row.disabled:
        return None
    if passwords.is_stale(row.password):
        with transaction(store) as conn:
            conn.execute(update(tables.users).where(user.name == name).values(password=passwords.hashed(password)))
    return get(store, name)


def _nobody(name: str) -> NotFoundError:
    return NotFoundError(f"no account {name!r}: `nuncius user list` has them all")


def _changed(conn: Connection, name: str, **values: object) -> None:
    if not conn.execute(update(tables.users).where(tables.users.c.name == name).values(values)).rowcount:
        raise _nobody(name)


def _read(conn: Connection, wanted: Select[tuple[object, ...]]) -> list[User]:
    rows = conn.execute(wanted).all()
    member = tables.team_members.c
    roles: defaultdict[str, dict[str, str]] = defaultdict(dict)
    asked = select(member.user_name, member.team_name, member.role).order_by(member.team_name)
    if len(rows) == 1:
        asked = asked.where(member.user_name == rows[0].name)
    if rows:
        for name, team, role in conn.execute(asked):
            roles[name][team] = role
    return [_user(row, roles[row.name]) for row in rows]


def _user(row: Row[tuple[object, ...]], teams: Mapping[str, str]) -> User:
    created = from_micros(row.created)
    assert created is not None
    has_password = row.password is not None
    return User(row.name, row.email, row.display, row.admin, row.disabled, has_password, row.oidc_subject, created, dict(teams))
