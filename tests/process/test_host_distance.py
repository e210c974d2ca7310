"""How far an alert's host is: what its packet says before what catalogues say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from broker.process.host_distance import columns_of, host_distances
from broker.science.cosmology import luminosity_distance


def catalog(name: str, units: dict[str, str], *columns: str) -> Any:
    return SimpleNamespace(name=name, columns=dict.fromkeys(columns), meta={"units": units})


CATALOGS = [
    catalog("ngc", {}, "type", "z"),
    catalog("glade", {"dist": "Mpc"}, "z", "dist"),
    catalog("stars", {"dist": "pc"}, "dist"),
]


def test_which_columns_tell_a_distance() -> None:
    assert columns_of(CATALOGS, ["host.z", "host.z"]) == (("host.z",), ("glade.dist",), ("ngc.z", "glade.z"))


def test_the_packet_then_distances_then_redshifts() -> None:
    frame = pl.DataFrame(
        {
            "host.z": [0.02, -9.0, None, None, None],
            "glade.dist": [50.0, 60.0, None, 0.0, None],
            "glade.z": [0.01, 0.01, 0.01, 0.01, None],
            "stars.dist": [5.0] * 5,
        }
    )
    far = luminosity_distance([0.02, 0.01])
    expected = [far[0], 60.0, far[1], far[1], np.nan]
    assert host_distances(CATALOGS, ["host.z"])(frame) == pytest.approx(expected, nan_ok=True)
    assert np.isnan(host_distances([], [])(frame)).all()
