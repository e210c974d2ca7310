"""Versions of filters, held against both databases."""

from __future__ import annotations

import threading

import pytest

from broker.errors import ConflictError, FilterError, NotFoundError, UsageError
from broker.filtering.definition import FilterSpec
from broker.store import filter_files, filter_life, filters
from broker.store.engine import Store, transaction
from broker.wiring.filter_book import FilterBook

TEXT = 'name = "mine"\nversion = 1\nstream = "ztf"\ndescription = "Bright"\nwhere = "mag < {}"\n'


def let(_spec: FilterSpec) -> None:
    """Any filter may go live."""


def test_a_life(store: Store) -> None:
    one = filter_life.add(store, TEXT.format(18), "ann")
    assert (one.version, one.state, one.author, one.visibility) == (1, "draft", "ann", "public")
    assert filters.live(store) == []
    before = filters.generation(store)
    assert filter_life.examine(store, "mine", 1, "bob", let).state == "tested"
    assert filters.generation(store) == before  # nothing in force has changed
    assert filter_life.go_live(store, "mine", 1, "bob", let).state == "live"
    assert filters.generation(store) > before
    two = filter_life.add(store, TEXT.format(17), "ann", base=1)
    assert two.version == 2
    assert "version = 2" in two.text
    assert filters.get(store, "mine").version == 1  # the live one, though a newer is there
    filter_life.go_live(store, "mine", 2, "ann", let)
    assert [(each.version, each.state) for each in filters.versions(store, "mine")] == [(1, "retired"), (2, "live")]
    filter_life.retire(store, "mine", 2, "ann")
    assert filters.live(store) == []
    told = [(each.version, each.state, each.who) for each in filters.history(store, "mine")]
    assert told == [
        *[(1, "draft", "ann"), (1, "tested", "bob"), (1, "live", "bob"), (2, "draft", "ann"), (2, "tested", "ann")],
        *[(1, "retired", "ann"), (2, "live", "ann"), (2, "retired", "ann")],
    ]
    assert filter_life.go_live(store, "mine", 1, "cy", let).state == "live"  # a retired one comes back


def test_what_says_the_same_is_the_same_version(store: Store) -> None:
    filter_life.add(store, TEXT.format(18), "ann")
    again = filter_life.add(store, "# a remark\n" + TEXT.format(18).replace("version = 1", "version = 7"), "bob")
    assert (again.version, again.author) == (1, "ann")
    other = filter_life.add(store, TEXT.format(18).replace("version = 1\n", "") + "tests = true\n", "bob")
    assert other.version == 2
    assert other.text.startswith("version = 2\n")


def test_two_edits_at_once(store: Store) -> None:
    filter_life.add(store, TEXT.format(18), "ann")
    outcomes: list[str] = []

    def edit(limit: int) -> None:
        try:
            filter_life.add(store, TEXT.format(limit), "x", base=1)
            outcomes.append("kept")
        except ConflictError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=edit, args=(limit,)) for limit in (10, 11, 12, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("kept") == 1
    assert all("version 2 came after version 1" in each for each in outcomes if each != "kept")
    assert len(filters.versions(store, "mine")) == 2


def test_going_live_at_once_leaves_one_live(store: Store) -> None:
    for limit in range(10, 16):
        filter_life.add(store, TEXT.format(limit), "ann")
    threads = [threading.Thread(target=filter_life.go_live, args=(store, "mine", number, "ann", let)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filters.live(store)) == 1
    assert {one.state for one in filters.versions(store, "mine")} == {"live", "retired"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TEXT.format("'bright'"), "kinds do not go together"),
        ("name = 'x'", "stream is missing"),
        ("name = ", "not TOML"),
        ("x" * 300_000, "300,000 characters"),
        ('version = "one"\nname = "x"', "version"),
    ],
)
def test_wrong_texts(store: Store, text: str, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        filter_life.add(store, text, "ann")
    assert filters.every(store) == []


def test_examples_and_gate_hold_a_version_back(store: Store) -> None:
    example = "[[example]]\nalert = { mag = 17.0 }\nmatches = false\n"
    filter_life.add(store, TEXT.format(18) + example, "ann")
    with pytest.raises(FilterError, match="example 1"):
        filter_life.go_live(store, "mine", 1, "ann", let)
    assert filters.get(store, "mine").state == "draft"

    def refuse(spec: FilterSpec) -> None:
        raise FilterError(f"{spec.name} passes too much")

    filter_life.add(store, TEXT.format(30), "ann")
    with pytest.raises(FilterError, match="too much"):
        filter_life.go_live(store, "mine", 2, "ann", refuse)
    assert filter_life.go_live(store, "mine", 2, "ann", refuse, force=True).state == "live"
    assert filters.history(store, "mine")[-1].note == "forced"


def test_what_there_is_not(store: Store) -> None:
    filter_life.add(store, TEXT.format(18), "ann")
    with pytest.raises(NotFoundError, match="no filter 'other'"):
        filters.get(store, "other")
    with pytest.raises(NotFoundError, match="has no version 9"):
        filters.get(store, "mine", 9)
    with filters.editing(store) as conn, pytest.raises(UsageError, match="is draft and cannot become live"):
        filters.set_state(conn, "mine", 1, "live", "ann")


def test_the_book_reads_again_what_has_changed_and_parses_it_once(store: Store) -> None:
    book = FilterBook(store)
    assert book.now() == ()
    filter_life.add(store, TEXT.format(18), "ann")
    filter_life.go_live(store, "mine", 1, "ann", let)
    (first,) = book.now()
    assert (first.name, first.version, first.where) == ("mine", 1, "mag < 18")
    with transaction(store) as conn:
        filters.bump(conn)
    assert book.now()[0] is first
    filter_life.add(store, TEXT.format(16), "ann")
    filter_life.go_live(store, "mine", 2, "ann", let)
    assert [(spec.version, spec.where) for spec in book.now()] == [(2, "mag < 16")]


def test_one_that_is_not_active_does_not_go_live(store: Store) -> None:
    filter_life.add(store, TEXT.format(18) + "active = false\n", "ann")
    with pytest.raises(FilterError, match="active = false"):
        filter_life.go_live(store, "mine", 1, "ann", let, force=True)
    assert filters.live(store) == []


def test_numbers_end(store: Store) -> None:
    filter_life.add(store, TEXT.format(18).replace("1", str(2**31 - 1), 1), "ann")
    with pytest.raises(FilterError, match="the last there can be"):
        filter_life.add(store, TEXT.format(17), "ann")


def test_files_by_place(store: Store) -> None:
    with filters.editing(store) as conn:
        filter_files.keep_file(conn, "", "old", "1")
        filter_files.keep_file(conn, "one", "mine", "1")
        filter_files.keep_file(conn, "two", "mine", "2")
        assert filter_files.files(conn, "one") == ({"old": "1", "mine": "1"}, {("mine", "2")})
        filter_files.keep_file(conn, "one", "old", None)
        assert filter_files.files(conn, "two") == ({"mine": "2"}, {("mine", "1")})


def test_a_wrong_example_and_one_not_active_can_be_mended(store: Store) -> None:
    example = "[[example]]\nalert = {{ mag = 17.0 }}\nmatches = {}\n"
    for wrong, right in (
        (TEXT.format(18) + example.format("false"), TEXT.format(18) + example.format("true")),
        (TEXT.format(17) + "active = false\n", TEXT.format(17)),
    ):
        one = filter_life.add(store, wrong, "ann")
        with pytest.raises(FilterError):
            filter_life.go_live(store, "mine", one.version, "ann", let)
        two = filter_life.add(store, right, "ann", base=one.version)
        assert filter_life.go_live(store, "mine", two.version, "ann", let).state == "live"
    assert [spec.active for spec in FilterBook(store).now()] == [True]
