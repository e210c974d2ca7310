"""What watchlists and regions promise, held against both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from broker.errors import NotFoundError, UsageError
from broker.science.moc_read import read_moc
from broker.science.sky import NPIX29
from broker.store import lists, region_changes, regions, target_data, watchlist_changes, watchlists
from broker.store.engine import Store, close, open_store
from broker.store.target_tables import SCHEMA


def table(count: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"T{seed}-{number:07d}" for number in range(count)],
            "ra": rng.uniform(0, 360, count),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
            "radius": [float(number % 9 + 1) if number % 3 else None for number in range(count)],
        },
        schema=SCHEMA,
    )


class TestWatchlists:
    def test_come_back_as_they_were_made(self, store: Store) -> None:
        before = lists.state(store)
        given = table(50)
        made = watchlist_changes.create(
            store, "hosts", given, radius=7.0, description=" of things ", visibility="team", owner="me", who="I"
        )
        assert (made.name, made.owner, made.visibility, made.description, made.who) == ("hosts", "me", "team", "of things", "I")
        assert (made.newest.version, made.newest.targets, made.newest.radius) == (1, 50, 7.0)
        assert abs((made.created - datetime.now(UTC)).total_seconds()) < 600
        version, found = watchlists.targets(store, "hosts")
        assert version == made.newest
        assert_frame_equal(found, given)
        assert watchlists.listing(store) == [made] == [watchlists.get(store, "hosts")]
        assert lists.state(store)[0] > before[0]

    def test_a_change_makes_a_version_and_leaves_those_before(self, store: Store) -> None:
        watchlist_changes.create(store, "a", table(3))
        seen = [lists.state(store)[0]]
        watchlist_changes.replace(store, "a", table(4, 1), radius=3.0)
        seen.append(lists.state(store)[0])
        watchlist_changes.put_target(store, "a", "new", ra=1.0, dec=2.0, radius=5.0, who="me")
        seen.append(lists.state(store)[0])
        watchlist_changes.put_target(store, "a", "T1-0000002", ra=3.0, dec=4.0)
        watchlist_changes.remove_target(store, "a", "T1-0000000")
        watchlist_changes.change(store, "a", radius=9.0, description="said")
        seen.append(lists.state(store)[0])
        assert seen == sorted(set(seen))
        versions = watchlists.versions(store, "a")
        assert [each.version for each in versions] == [6, 5, 4, 3, 2, 1]
        assert [each.targets for each in versions] == [4, 4, 5, 5, 4, 3]
        assert [each.radius for each in versions] == [9.0, 3.0, 3.0, 3.0, 3.0, 2.0]
        assert [each.change for each in versions][:4] == [
            "radius 9 arcsec",
            "target T1-0000000 removed",
            "target T1-0000002 put",
            "target new put",
        ]
        assert len({each.digest for each in versions}) == 6
        assert watchlists.get(store, "a").description == "said"
        assert watchlists.targets(store, "a")[1].rows() == [
            *table(4, 1).rows()[1:2],
            table(4, 1).row(3),
            ("new", 1.0, 2.0, 5.0),
            ("T1-0000002", 3.0, 4.0, None),
        ]
        assert_frame_equal(watchlists.targets(store, "a", 1)[1], table(3))
        with pytest.raises(NotFoundError, match="there are 1 to 6"):
            watchlists.targets(store, "a", 7)

    def test_the_same_again_is_no_version(self, store: Store) -> None:
        watchlist_changes.create(store, "a", table(3))
        before = lists.state(store)
        watchlist_changes.replace(store, "a", table(3))
        row = table(3).row(1, named=True)
        watchlist_changes.put_target(store, "a", row["id"], ra=row["ra"], dec=row["dec"], radius=row["radius"])
        watchlist_changes.change(store, "a", radius=2.0)
        assert watchlists.get(store, "a").newest.version == 1
        assert lists.state(store) == before

    def test_changes_of_a_long_list_are_kept_as_such(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(watchlist_changes, "LONGEST", 5)
        given = table(target_data.FEW + 500)
        watchlist_changes.create(store, "long", given)
        expected = {row[0]: row for row in given.rows()}
        rng = np.random.default_rng(1)
        held = {1: dict(expected)}
        for number in range(2, 16):
            ident = str(rng.choice(list(expected)))
            if number % 3:
                watchlist_changes.put_target(store, "long", ident, ra=float(number), dec=1.0)
                expected[ident] = (ident, float(number), 1.0, None)
            else:
                watchlist_changes.remove_target(store, "long", ident)
                del expected[ident]
            held[number] = dict(expected)
        for number, rows in held.items():
            version, found = watchlists.targets(store, "long", number)
            assert sorted(found.rows()) == sorted(rows.values())
            assert version.targets == found.height
            assert version.digest == target_data.digest_of(found, version.radius)

    def test_what_cannot_be(self, store: Store) -> None:
        watchlist_changes.create(store, "hosts", table(1))
        with pytest.raises(UsageError, match="replace hosts FILE"):
            watchlist_changes.create(store, "hosts", table(1))
        for name in ("Hosts", "my-list", "1st", "", "a.b", "x" * 65):
            with pytest.raises(UsageError, match="lower-case letter"):
                watchlist_changes.create(store, name, table(1))
        with pytest.raises(UsageError, match="one at least"):
            watchlist_changes.create(store, "empty", table(0))
        with pytest.raises(UsageError, match="public"):
            watchlist_changes.create(store, "other", table(1), visibility="open")
        with pytest.raises(UsageError, match="only target"):
            watchlist_changes.remove_target(store, "hosts", "T0-0000000")
        with pytest.raises(UsageError, match="has an id"):
            watchlist_changes.put_target(store, "hosts", "  ", ra=1.0, dec=1.0)
        with pytest.raises(UsageError, match="radius"):
            watchlist_changes.change(store, "hosts", radius=0.0)
        with pytest.raises(UsageError, match="description"):
            watchlist_changes.change(store, "hosts", description="a\0b")
        for wrong in (
            lambda: watchlist_changes.remove_target(store, "hosts", "nobody"),
            lambda: watchlists.get(store, "host"),
            lambda: watchlists.versions(store, "none"),
            lambda: watchlist_changes.remove(store, "none"),
            lambda: watchlist_changes.replace(store, "none", table(1)),
        ):
            with pytest.raises(NotFoundError):
                wrong()
        with pytest.raises(NotFoundError, match="did you mean hosts"):
            watchlists.get(store, "host")
        assert [one.name for one in watchlists.listing(store)] == ["hosts"]

    def test_removed_it_can_be_made_anew(self, store: Store) -> None:
        watchlist_changes.create(store, "a", table(3))
        first = watchlists.current(store, ["a", "b"])
        before = lists.state(store)
        watchlist_changes.remove(store, "a")
        assert lists.state(store)[0] > before[0]
        assert watchlists.current(store, ["a"]) == {}
        watchlist_changes.create(store, "a", table(3, 5))
        assert watchlists.current(store, ["a"])["a"] != first["a"]

    def test_changes_at_once_are_all_kept(self, store: Store, url: str) -> None:
        watchlist_changes.create(store, "a", table(1))

        def put(number: int) -> None:
            mine = open_store(url)
            for each in range(5):
                watchlist_changes.put_target(mine, "a", f"{number}-{each}", ra=1.0, dec=2.0)
            close(mine)

        threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert watchlists.get(store, "a").newest.version == 21
        assert watchlists.targets(store, "a")[1].height == 21

    def test_a_million_targets(self, store: Store) -> None:
        rng = np.random.default_rng(1)
        given = pl.DataFrame({"ra": rng.uniform(0, 360, 1_000_000), "dec": rng.uniform(-90, 90, 1_000_000)})
        watchlist_changes.create(store, "many", given)
        watchlist_changes.put_target(store, "many", "500000", ra=1.0, dec=2.0)
        version, found = watchlists.targets(store, "many")
        assert (version.version, found.height) == (2, 1_000_000)
        assert found.row(-1) == ("500000", 1.0, 2.0, None)
        np.testing.assert_array_equal(found["ra"][:499_999].to_numpy(), given["ra"][:499_999].to_numpy())


class TestRegions:
    def test_come_back_as_they_were_made(self, store: Store) -> None:
        inside = read_moc(b"3/5-7 9 5/1000")
        before = lists.state(store)
        made = region_changes.create(store, "field", inside, description="ours", owner="me", who="I")
        assert lists.state(store)[0] > before[0]
        assert made.newest is not None
        assert (made.newest.version, made.newest.healpix_order) == (1, 5)
        assert made.newest.fraction == pytest.approx((4 / 64 + 1 / 1024) / 12)
        np.testing.assert_array_equal(regions.ranges(store, "field", 1), inside)
        again = region_changes.replace(store, "field", inside)
        assert again == made
        region_changes.replace(store, "field", np.array([[0, NPIX29]]), who="you")
        assert [(each.version, each.fraction == 1.0, each.who) for each in regions.versions(store, "field")] == [
            (2, True, "you"),
            (1, False, "I"),
        ]
        np.testing.assert_array_equal(regions.ranges(store, "field", 1), inside)
        assert [one.name for one in regions.listing(store)] == [one.name for one in regions.some(store, ["field", "no"])]

    def test_what_cannot_be(self, store: Store) -> None:
        inside = read_moc(b"3/5")
        region_changes.create(store, "field", inside)
        with pytest.raises(UsageError, match="empty"):
            region_changes.create(store, "nothing", read_moc(b"3/"))
        with pytest.raises(UsageError, match="replace field FILE"):
            region_changes.create(store, "field", inside)
        with pytest.raises(NotFoundError, match="no event 'S1'"):
            region_changes.follow(store, "merger", "S1", 0.9)
        with pytest.raises(UsageError, match="level 0"):
            region_changes.follow(store, "merger", "S1", 0.0)
        with pytest.raises(NotFoundError, match="did you mean field"):
            region_changes.replace(store, "fields", inside)
        with pytest.raises(NotFoundError, match="version 2"):
            regions.ranges(store, "field", 2)
        region_changes.remove(store, "field")
        with pytest.raises(NotFoundError):
            region_changes.remove(store, "field")
        assert regions.listing(store) == []
