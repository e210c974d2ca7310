"""Accounts, and services that ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import httpx
from sqlalchemy import update

from broker.api.policy import Auth
from broker.api.services import Services
from broker.store import passwords, people, tables, teams, tokens
from broker.store.engine import Store, transaction
from tests.api.world import served

PASSWORD = "a sky full of stars"  # of nobody


@dataclass(frozen=True)
class Thing:
    """What belongs to someone."""

    owner: str | None
    team: str | None
    visibility: str


@cache
def _kept() -> str:
    """What is kept of the password: it takes a quarter of a second to make, by intent."""
    return passwords.hashed(PASSWORD)


def populate(store: Store) -> None:
    """An administrator, two people of a team, one of none; all have the same password."""
    names = ("admin", "hypatia", "theon", "stranger")
    for name in names:
        people.add(store, name, admin=name == "admin")
    with transaction(store) as conn:
        conn.execute(update(tables.users).where(tables.users.c.name.in_(names)).values(password=_kept()))
    teams.add(store, "moon", manager="hypatia")
    teams.join(store, "moon", "theon")


def bearer(store: Store, user: str, *scopes: str) -> dict[str, str]:
    """The header of a new token."""
    secret, _ = tokens.make(store, user, scopes or ("read",))
    return {"Authorization": f"Bearer {secret}"}


@contextmanager
def asked(services: Services, auth: Auth, **more: Any) -> Iterator[httpx.Client]:
    """A client of services with these rules."""
    with served(replace(services, auth=auth, **more)) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


def log_in(client: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Log a client in, as a page of ours does."""
    return client.post("/api/v1/session", json={"name": name, "password": password}, headers=origin(client))


def origin(client: httpx.Client) -> dict[str, str]:
    """The header of a page of ours."""
    return {"Origin": str(client.base_url).rstrip("/")}
