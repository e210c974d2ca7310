"""What filters ask of single bands, through the whole path, held against plain Python over the packets."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest

from broker.cli.app import run
from broker.settings import load
from broker.simulate import ztf
from broker.store import columns
from broker.wiring.parts import open_parts
from broker.wiring.reading import Query, query

FILTER = (
    'name = "risers"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "rise_rate(\'g\') > 0 AND n_det(\'r\') >= 1"\n'
)


def of_band(packet: dict[str, Any], fid: int) -> tuple[int, float | None]:
    """Detections in a band, and by how much it brightens there in a day."""
    now = packet["candidate"]
    sign = now["isdiffpos"] in {"t", "1"}
    past = [one for one in packet["prv_candidates"] or () if one["magpsf"] is not None and one["jd"] <= now["jd"]]
    seen = [one for one in (*past, now) if one["fid"] == fid]
    alike = sorted((one["jd"], one["magpsf"]) for one in seen if (one["isdiffpos"] in {"t", "1"}) == sign)
    if not alike:
        return len(seen), None
    last, bright = alike[-1]
    before = [(jd, mag) for jd, mag in alike if last - jd >= 0.02]
    return len(seen), (before[-1][1] - bright) / (last - before[-1][0]) if before else None


def test_rates_and_counts_of_bands(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    packets: dict[str, dict[str, Any]] = {}
    for one in ztf.packets(11, 120, datetime(2026, 11, 21, 4, tzinfo=UTC), history=20):
        (tmp_path / "in" / f"{one.name}.avro").write_bytes(one.data)
        for record in fastavro.reader(io.BytesIO(one.data)):
            assert isinstance(record, dict)
            packets[f"ztf:{record['candid']}"] = record
    filters = tmp_path / "data" / "filters"
    filters.mkdir(parents=True)
    (filters / "risers.toml").write_text(FILTER)
    (tmp_path / "data" / "nuncius.toml").write_text('filters = "filters"\n')
    assert run(["--data", str(tmp_path / "data"), "ingest", str(tmp_path / "in")]) == 0
    settings = load(tmp_path / "data" / "nuncius.toml")
    with open_parts(settings, tmp_path / "data") as parts:
        kept = columns.scan(parts.frames, ["ztf"], ["alert_id", "lightcurve.rate.g", "lightcurve.n_det.r"]).collect()
        risers = query(parts, Query("rise_rate('g') > 0 AND n_det('r') >= 1"))["alert_id"].to_list()
    assert kept.height == len(packets)
    expected = []
    for alert_id, rate, count in kept.iter_rows():
        (_, rise), (seen, _) = of_band(packets[alert_id], 1), of_band(packets[alert_id], 2)
        assert count == seen
        assert rate == (None if rise is None else pytest.approx(-rise, abs=1e-4))
        if rise is not None and rise > 0 and seen >= 1:
            expected.append(alert_id)
    assert sorted(risers) == sorted(expected)
    assert 0 < len(expected) < len(packets)
    assert kept.schema["lightcurve.n_det.r"] == pl.Int64
