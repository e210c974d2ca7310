"""Lists that are private stay so from filters that asked for them before they were there, and quotas hold for many at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from broker.api.policy import Auth, Quotas
from broker.filtering.definition import parse_filter
from tests.api.people import Thing, asked, bearer, populate
from tests.api.world import World

FILTER = 'name = "spy"\nversion = 1\nstream = "*"\ndescription = "x"\nwhere = "watchlist.secret.inside OR moc.secret"\n'
LISTS, REGIONS = "/api/v1/watchlists", "/api/v1/regions"
CSV = b"ra,dec\n1,2\n"


@pytest.fixture(scope="module")
def client(here: World) -> Iterator[httpx.Client]:
    populate(here.store)
    services = replace(
        here.services,
        filters=lambda: (parse_filter(FILTER),),
        filter_owners=lambda: {"spy": Thing("theon", None, "private")},
    )
    with asked(services, Auth(required=True, quotas=Quotas(watchlists_per_user=3))) as made:
        yield made


def test_no_filter_waits_for_a_private_list(here: World, client: httpx.Client) -> None:
    headers = bearer(here.store, "hypatia", "read", "write:watchlists")
    for path, content in ((LISTS, CSV), (REGIONS, b"3/5")):

        def make(path: str = path, content: bytes = content, **more: str) -> httpx.Response:
            return client.post(path, params={"name": "secret", **more}, content=content, headers=headers)

        refused = make(visibility="private")
        assert (refused.status_code, "spy" in refused.text) == (409, False), refused.text
        assert make(visibility="team", team="moon").status_code == 201  # whose the filter is, is in that team
        assert client.patch(f"{path}/secret", json={"visibility": "private"}, headers=headers).status_code == 409
        assert client.get(f"{path}/secret", headers=headers).json()["visibility"] == "team"


def test_quotas_hold_for_many_at_once(here: World, client: httpx.Client) -> None:
    headers = bearer(here.store, "stranger", "read", "write:watchlists")

    def make(number: int) -> int:
        return client.post(LISTS, params={"name": f"many{number}"}, content=CSV, headers=headers).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(make, range(8)))
    assert sorted(codes) == [201] * 3 + [403] * 5
