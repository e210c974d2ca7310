"""Neighbours for finding charts, from catalogues that are built."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.settings import load
from broker.store import catalogs
from broker.wiring.neighbours import FIELD, neighbours
from broker.wiring.parts import open_parts


def test_those_in_the_field_the_nearest_first(tmp_path: Path) -> None:
    data, arcsecond = tmp_path / "data", 1 / 3600
    rows = [(f"S{number}", 359.99999 + 0.0, 10 + number * 20 * arcsecond, 15.0 + number) for number in range(12)]
    lines = ["id,ra,dec,gmag", *(f"{name},{ra},{dec},{mag if name != 'S1' else ''}" for name, ra, dec, mag in rows)]
    (tmp_path / "stars.csv").write_text("\n".join(lines))
    catalogs.add(data / "catalogs", "stars", tmp_path / "stars.csv")
    with open_parts(load(None), data) as parts:
        found = [one for one in neighbours(parts, 0.00001, 10.0) if one.catalog == "stars"]
        assert [one.name for one in found] == [name for name, _, dec, _ in rows if dec - 10 < FIELD - arcsecond]
        assert [one.mag for one in found[:3]] == [15.0, None, 17.0]
        assert found[2].dec == pytest.approx(10 + 40 * arcsecond)
        assert [one for one in neighbours(parts, 180.0, 10.0) if one.catalog == "stars"] == []
