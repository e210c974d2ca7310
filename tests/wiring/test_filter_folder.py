"""The folder of filters, taken in while it is edited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.errors import FilterError
from broker.store import filter_life, filters
from broker.store.engine import Store, close, open_store
from broker.store.migrate import migrate
from broker.wiring.filter_book import FilterBook
from broker.wiring.filter_folder import take_in, watching
from tests.running import wait_for

TEXT = 'name = "mine"\nversion = {}\nstream = "ztf"\ndescription = "Bright"\nwhere = "mag < {}"\n'


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/x.sqlite", synchronous="off")
    migrate(opened)
    yield opened
    close(opened)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "filters"
    made.mkdir()
    return made


def live(store: Store) -> list[tuple[str, int]]:
    return [(one.name, one.version) for one in filters.live(store)]


def test_new_changed_and_gone(store: Store, folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    take_in(store, folder)
    assert live(store) == [("mine", 1)]
    file.write_text(TEXT.format(1, 17))  # and forgot to count
    take_in(store, folder)
    assert live(store) == [("mine", 2)]
    assert "mag < 17" in filters.get(store, "mine").text
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    assert live(store) == [("mine", 1)]
    file.write_text(TEXT.format(5, 16))
    take_in(store, folder)
    assert live(store) == [("mine", 5)]
    file.write_text(TEXT.format(5, 16) + "active = false\n")
    take_in(store, folder)
    assert live(store) == []
    file.unlink()
    take_in(store, folder)
    file.write_text(TEXT.format(5, 16))
    take_in(store, folder)
    assert live(store) == [("mine", 5)]
    assert all(one.author == "file" for one in filters.versions(store, "mine"))


@pytest.mark.parametrize(
    "wrong",
    [
        TEXT.format(2, 17)[:-4],
        TEXT.format(2, 17).replace("mag", "magg()"),
        TEXT.format(2, 17) + "[[example]]\nalert = { mag = 16.0 }\nmatches = false\n",
        TEXT.format(2, 17).replace('name = "mine"\n', ""),
        "",
        "\0\x01",
    ],
)
def test_a_wrong_file_changes_nothing(store: Store, folder: Path, wrong: str) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    file.write_text(wrong)
    take_in(store, folder)
    assert live(store) == [("mine", 1)]
    (folder / "other.toml").write_text(TEXT.format(1, 18).replace("mine", "other"))
    take_in(store, folder)
    assert live(store) == [("mine", 1), ("other", 1)]


def test_what_people_did_otherwise_stays(store: Store, folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    filter_life.retire(store, "mine", 1, "ann")
    take_in(store, folder)
    assert live(store) == []  # the file has not changed since
    filter_life.add(store, TEXT.format(1, 20), "ann")
    filter_life.go_live(store, "mine", 2, "ann", lambda _spec: None)
    take_in(store, folder)
    assert live(store) == [("mine", 2)]
    file.unlink()
    take_in(store, folder)
    assert live(store) == [("mine", 2)]  # hers, not the file's


def test_two_files_of_one_name(store: Store, folder: Path) -> None:
    (folder / "a.toml").write_text(TEXT.format(1, 18))
    (folder / "b.toml").write_text(TEXT.format(2, 17))
    take_in(store, folder)
    assert live(store) == [("mine", 1)]


def test_a_gate(store: Store, folder: Path) -> None:
    def refuse(_spec: object) -> None:
        raise FilterError("passes too much")

    (folder / "mine.toml").write_text(TEXT.format(1, 18))
    take_in(store, folder, refuse)
    assert live(store) == []


def test_no_folder(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FilterError, match="no folder of filters"):
        take_in(store, tmp_path / "nowhere")


def test_changes_are_seen_while_running(store: Store, folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    with watching(store, folder):
        file.write_text(TEXT.format(2, 17)[:40])  # half written
        file.write_text(TEXT.format(2, 17))
        wait_for(lambda: live(store) == [("mine", 2)], 30, "the change is not taken up")
        file.unlink()
        wait_for(lambda: live(store) == [], 30, "the filter goes on without its file")


def test_two_hosts_on_one_database(store: Store, folder: Path, tmp_path: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder, place="one")
    empty = tmp_path / "empty"
    empty.mkdir()
    take_in(store, empty, place="two")
    assert live(store) == [("mine", 1)]  # never there, and so not gone
    filter_life.retire(store, "mine", 1, "ann")
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.toml").write_text(TEXT.format(1, 18))
    take_in(store, other, place="three")
    assert live(store) == []  # not new either
    file.write_text(TEXT.format(2, 17))
    take_in(store, folder, place="one")
    take_in(store, other, place="three")
    assert live(store) == [("mine", 2)]  # an old copy elsewhere changes nothing
    (other / "mine.toml").unlink()
    take_in(store, other, place="three")
    assert live(store) == []


def test_a_number_that_cannot_be_counted_up_holds_nobody_else_back(store: Store, folder: Path) -> None:
    quoted = TEXT.replace("version", '"version"')
    (folder / "a.toml").write_text(quoted.format(1, 18))
    (folder / "last.toml").write_text(TEXT.format(2**31 - 1, 18).replace("mine", "last"))
    take_in(store, folder)
    (folder / "a.toml").write_text(quoted.format(1, 17))
    (folder / "last.toml").write_text(TEXT.format(2**31 - 1, 17).replace("mine", "last"))
    (folder / "b.toml").write_text(TEXT.format(1, 18).replace("mine", "other"))
    take_in(store, folder)
    assert live(store) == [("last", 2**31 - 1), ("mine", 1), ("other", 1)]
    (folder / "a.toml").write_text("# a remark\n" + quoted.format(1, 18))  # it says what version 1 says: no number is needed
    take_in(store, folder)
    assert live(store) == [("last", 2**31 - 1), ("mine", 1), ("other", 1)]


def test_a_new_name_with_a_mistake(store: Store, folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    file.write_text(TEXT.format(1, "'bright'").replace("mine", "renamed"))
    take_in(store, folder)
    assert live(store) == [("mine", 1)]
    file.write_text(TEXT.format(1, 18).replace("mine", "renamed"))
    take_in(store, folder)
    assert live(store) == [("renamed", 1)]


def test_what_changed_before_the_watch_began_and_a_fault_of_the_gate(store: Store, folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    file.write_text(TEXT.format(2, 17))
    tried: list[int] = []

    def fails_at_first(_spec: object) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise OSError("a disk went away")

    with watching(store, folder, fails_at_first):
        wait_for(lambda: live(store) == [("mine", 2)], 30, "the change is not taken up")
    assert len(tried) == 2


def test_one_that_becomes_active(store: Store, folder: Path) -> None:
    file = folder / "mine.toml"
    file.write_text(TEXT.format(1, 18) + "active = false\n")
    take_in(store, folder)
    assert live(store) == []
    file.write_text(TEXT.format(1, 18))
    take_in(store, folder)
    (spec,) = FilterBook(store).now()
    assert spec.active
