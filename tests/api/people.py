"""Accounts, and services that ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from broker.api.policy import Auth
from broker.api.services import Services
from broker.store import people, teams, tokens
from broker.store.engine import Store
from tests.api.world import served

PASSWORD = "a sky full of stars"  # of nobody


@dataclass(frozen=True)
class Thing:
    """What belongs to someone."""

    owner: str | None
    team: str | None
    visibility: str


def populate(store: Store) -> None:
    """An administrator, two people of a team, one of none."""
    people.add(store, "admin", admin=True, password=PASSWORD)
    for name in ("hypatia", "theon", "stranger"):
        people.add(store, name, password=PASSWORD)
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
