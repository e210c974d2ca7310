"""Names of processes, which a crash hands on and no two living ones share."""

from __future__ import annotations

from pathlib import Path

from broker.wiring.instance import instance_name


def test_the_lowest_free_place_is_taken_and_given_back(tmp_path: Path) -> None:
    with instance_name(tmp_path) as first, instance_name(tmp_path) as second:
        assert first != second
    with instance_name(tmp_path) as third:
        assert third == first


def test_two_folders_never_share_a_name(tmp_path: Path) -> None:
    with instance_name(tmp_path / "a") as one, instance_name(tmp_path / "b") as other:
        assert one != other
