"""API tokens, and log-ins, which are tokens that a browser holds. Of their secrets only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, Row, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from broker.errors import NotFoundError, TransientError, UsageError
from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.times import from_micros, now, to_micros

__all__ = ["ADMIN", "PREFIX", "READ", "SCOPES", "WRITE_FILTERS", "WRITE_SUBSCRIPTIONS", "WRITE_WATCHLISTS"]
__all__ += ["Holder", "Token", "end_session", "end_sessions", "holder", "listing", "make", "revoke", "signing_key"]

READ: Final = "read"
WRITE_FILTERS: Final = "write:filters"
WRITE_WATCHLISTS: Final = "write:watchlists"
WRITE_SUBSCRIPTIONS: Final = "write:subscriptions"
ADMIN: Final = "admin"
SCOPES: Final = (READ, WRITE_FILTERS, WRITE_WATCHLISTS, WRITE_SUBSCRIPTIONS, ADMIN)
PREFIX: Final = "ncs"
Kind = Literal["token", "session"]

_FORM = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([0-9a-f]{{64}})")
_SEEN_EVERY: Final = 60_000_000  # microseconds: use is noted no more often, since it is a write where a read was asked for


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: not its secret.

    Parameters
    ----------
    id
        Its second part, by which it is named: ``ncs_<id>_...``.
    user
        Whose it is.
    note
        What it is for.
    """

    id: str
    user: str
    note: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token that is good.

    Parameters
    ----------
    teams
        Role by team.
    scopes
        Those of the token that its account may have still.
    session
        Whether it is a log-in, and not a token of the API.
    """

    user: str
    admin: bool
    teams: Mapping[str, str]
    scopes: frozenset[str]
    token: str
    session: bool


def make(
    store: Store,
    user: str,
    scopes: Collection[str],
    *,
    note: str = "",
    expires: datetime | None = None,
    kind: Kind = "token",
) -> tuple[str, Token]:
    """A new token: what its holder sends, which is not kept, and what is known of it.

    Raises
    ------
    UsageError
        A scope is unknown, or more than the account may have; the end has come already; the account is disabled.
    NotFoundError
        There is no such account.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise UsageError(f"scope {', '.join(unknown) or '(none)'}: there are {', '.join(SCOPES)}")
    if expires is not None and to_micros(expires) <= now():
        raise UsageError(f"the token would end at {expires:%Y-%m-%dT%H:%M:%SZ}, which is past")
    ident, secret, at = secrets.token_hex(6), secrets.token_hex(32), now()
    row = {
        "id": ident,
        "user_name": user,
        "kind": kind,
        "note": note,
        "digest": _digest(secret),
        "scopes": " ".join(scope for scope in SCOPES if scope in scopes),
        "created": at,
        "expires": None if expires is None else to_micros(expires),
    }
    token, account = tables.tokens.c, tables.users.c
    with transaction(store) as conn:
        found = conn.execute(select(account.admin, account.disabled).where(account.name == user)).first()
        if found is None:
            raise NotFoundError(f"no account {user!r}: `nuncius user list` has them all")
        if found.disabled:
            raise UsageError(f"account {user!r} is disabled: `nuncius user enable {user}` first")
        if ADMIN in scopes and not found.admin:
            raise UsageError(f"account {user!r} is no administrator: leave out the scope {ADMIN}")
        if kind == "session":
            conn.execute(delete(tables.tokens).where(token.kind == "session", token.expires < at))
        conn.execute(tables.tokens.insert().values(row))
        made = conn.execute(select(tables.tokens).where(token.id == ident)).one()
    return f"{PREFIX}_{ident}_{secret}", _token(made)


def holder(store: Store, text: str) -> Holder | None:
    """Who holds a token; ``None`` where it is not known, has ended or was revoked, or its account is disabled."""
    parts = _FORM.fullmatch(text)
    if parts is None:
        return None
    token, account, member = tables.tokens.c, tables.users.c, tables.team_members.c
    wanted = select(tables.tokens, account.admin).join_from(tables.tokens, tables.users).where(token.id == parts[1])
    at = now()
    with connection(store) as conn:
        row = conn.execute(wanted.where(token.revoked.is_(None), account.disabled.is_(False))).first()
        same = hmac.compare_digest(_digest(parts[2]), bytes(row.digest) if row is not None else bytes(32))
        if row is None or not same or (row.expires is not None and row.expires <= at):
            return None
        roles = select(member.team_name, member.role).where(member.user_name == row.user_name)
        teams = {team: role for team, role in conn.execute(roles)}  # noqa: C416 - rows are no pairs to the type checker
    if row.last_used is None or row.last_used < at - _SEEN_EVERY:
        _note_use(store, row.id, at)
    scopes = frozenset(row.scopes.split()) - (frozenset() if row.admin else {ADMIN})
    return Holder(row.user_name, row.admin, teams, scopes, row.id, row.kind == "session")


def listing(store: Store, user: str | None = None) -> list[Token]:
    """Tokens of an account, or of all, the newest first; log-ins are not among them."""
    token = tables.tokens.c
    wanted = select(tables.tokens).where(token.kind == "token").order_by(token.created.desc(), token.id)
    if user is not None:
        wanted = wanted.where(token.user_name == user)
    with connection(store) as conn:
        return [_token(row) for row in conn.execute(wanted)]


def revoke(store: Store, ident: str, *, user: str | None = None) -> None:
    """Let a token be good no more; ``ncs_<id>`` and the whole token name it as well as its id.

    Parameters
    ----------
    user
        Only where it is this account's.

    Raises
    ------
    NotFoundError
        There is no such token.
    """
    name = ident.removeprefix(f"{PREFIX}_").partition("_")[0]
    token = tables.tokens.c
    ours = token.user_name == user if user is not None else token.id == name
    with transaction(store) as conn:
        found = conn.execute(select(token.id).where(token.id == name, ours)).first()
        if found is None:
            raise NotFoundError(f"no token {name!r}: `nuncius token list` and /api/v1/tokens have them")
        conn.execute(update(tables.tokens).where(token.id == name, token.revoked.is_(None)).values(revoked=now()))


def end_session(store: Store, ident: str) -> None:
    """End a log-in."""
    token = tables.tokens.c
    with transaction(store) as conn:
        conn.execute(delete(tables.tokens).where(token.id == ident, token.kind == "session"))


def end_sessions(conn: Connection, user: str) -> None:
    """End every log-in of an account."""
    token = tables.tokens.c
    conn.execute(delete(tables.tokens).where(token.user_name == user, token.kind == "session"))


def signing_key(store: Store, name: str = "cookies") -> bytes:
    """A key of ours, made when first asked for; every process has the same."""
    key = tables.signing_keys
    wanted = select(key.c.value).where(key.c.name == name)
    with connection(store) as conn:
        found = conn.execute(wanted).scalar()
    if found is None:
        try:
            with transaction(store) as conn:
                conn.execute(key.insert().values(name=name, value=secrets.token_bytes(32)))
        except IntegrityError:
            pass  # another process was first
        with connection(store) as conn:
            found = conn.execute(wanted).scalar_one()
    return bytes(found)


def _digest(secret: str) -> bytes:
    # No slow hash: 256 random bits cannot be guessed.
    return hashlib.sha256(secret.encode()).digest()


def _note_use(store: Store, ident: str, at: int) -> None:
    token = tables.tokens.c
    old = or_(token.last_used.is_(None), token.last_used < at - _SEEN_EVERY)
    try:
        with transaction(store) as conn:
            conn.execute(update(tables.tokens).where(token.id == ident, old).values(last_used=at))
    except TransientError:
        pass  # a database that cannot be written to just now can be read


def _token(row: Row[tuple[object, ...]]) -> Token:
    created = from_micros(row.created)
    assert created is not None
    times = (from_micros(each) for each in (row.expires, row.last_used, row.revoked))
    return Token(row.id, row.user_name, row.note, tuple(row.scopes.split()), created, *times)
