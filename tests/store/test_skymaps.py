"""Sky maps on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from broker.errors import NotFoundError, StoreUnavailableError
from broker.store.skymaps import load, save

ARRAYS = {
    "start": np.arange(0, 1000, 10),
    "density": np.linspace(0.0, 1e9, 100),
    "level": np.array([np.nan, np.inf] * 50),
    "distmu": None,
}


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    name = save(tmp_path, "MS181101ab", "lvk:MS181101ab-1", ARRAYS, {"order": 9, "name": "é"})
    arrays, facts = load(tmp_path, name)
    assert facts == {"order": 9, "name": "é"}
    assert list(arrays) == ["start", "density", "level"]
    for column, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[column])
        assert array.dtype == ARRAYS[column].dtype
        assert array.flags.c_contiguous
        assert not array.flags.writeable


def test_is_mapped_into_memory_not_read(tmp_path: Path) -> None:
    name = save(tmp_path, "S1", "1", {"start": np.zeros(4_000_000, np.int64)})
    before = pa.total_allocated_bytes()
    arrays, _ = load(tmp_path, name)
    assert arrays["start"].nbytes == 32_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_replaced_while_it_is_read(tmp_path: Path) -> None:
    name = save(tmp_path, "S1", "1", {"density": np.zeros(10)})
    before, _ = load(tmp_path, name)
    assert save(tmp_path, "S1", "1", {"density": np.ones(5)}) == name
    np.testing.assert_array_equal(before["density"], np.zeros(10))
    np.testing.assert_array_equal(load(tmp_path, name)[0]["density"], np.ones(5))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["1.arrow"]


def test_any_name_is_a_file_of_its_own(tmp_path: Path) -> None:
    names = ["..", ".", "", "a/b", "a%2Fb", "ivo://x/y#1", "GRB 260101A", "x" * 400, "x" * 401, "é" * 100, "a\0b", "~"]
    saved = {save(tmp_path, name, name, {"density": np.array([float(i)])}): i for i, name in enumerate(names)}
    assert len(saved) == len(names)
    for path, number in saved.items():
        assert load(tmp_path, path)[0]["density"][0] == number
        assert (tmp_path / path).resolve().is_relative_to(tmp_path)


def test_an_empty_map(tmp_path: Path) -> None:
    name = save(tmp_path, "S1", "1", {"density": np.zeros(0)})
    assert load(tmp_path, name)[0]["density"].shape == (0,)


def test_what_is_not_there_or_no_map_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.arrow").write_bytes(b"rubbish")
    for name in ("none.arrow", "bad.arrow"):
        with pytest.raises(NotFoundError, match=name):
            load(tmp_path, name)


def test_a_place_that_cannot_be_written_passes(tmp_path: Path) -> None:
    (tmp_path / "S1").write_text("a file")
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        save(tmp_path, "S1", "1", ARRAYS)
