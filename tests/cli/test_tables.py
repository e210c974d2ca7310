"""Tables on terminals of any width: names and ids are whole."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from broker.api.associations import AssociatedAlert
from broker.cli import demo, event_alerts, filter_life
from broker.cli.app import run
from broker.cli.tables import LEAST_PROSE, said, show_table
from broker.wiring.demo import Match

COLUMNS = ("alert", "object", "why")
ROWS = [("lsst:170028518341017610", "170028518341017610", "near a galaxy of 12 Mpc, 5 arcsec from its centre, mag 18.3")]


def printed(width: int, prose: dict[str, int]) -> str:
    file = io.StringIO()
    show_table(Console(file=file, width=width), COLUMNS, ROWS, prose=prose)
    return file.getvalue()


def test_values_are_written_as_people_read_them() -> None:
    assert (
        said({"mag": None, "positive": True, "ra": 10.123456789, "ids": ["a", 2]})
        == "mag null, positive true, ra 10.12346, ids a; 2"
    )


@pytest.mark.parametrize("width", [200, 80, 60, 40])
@pytest.mark.parametrize("prose", [{}, {"why": LEAST_PROSE}], ids=["cells", "prose"])
def test_nothing_is_cut_and_no_id_is_broken(width: int, prose: dict[str, int]) -> None:
    shown = printed(width, prose)
    for name in ROWS[0][:2]:
        assert name in shown
    assert "…" not in shown
    assert not set(ROWS[0][2].split()) - set(shown.split())
    assert max(map(len, shown.splitlines())) <= width


def test_an_id_wider_than_the_terminal_is_whole_over_lines() -> None:
    assert ROWS[0][0] in "".join(line.strip() for line in printed(16, {}).splitlines())


def test_alerts_in_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(event_alerts, "out", Console(file=file, width=80))
    told = dict.fromkeys(AssociatedAlert.model_fields) | {
        "alert_id": ROWS[0][0], "object_id": ROWS[0][1], "credible_level": 0.123, "volume_level": 0.5, "dt": 4000.0,
        "mag": 21.22, "band": "g", "revision": 3, "state": "live", "time": datetime.now(UTC), "computed": datetime.now(UTC),
    }  # fmt: skip
    event_alerts._write([AssociatedAlert.model_construct(**told)], event_alerts.Format.table)
    assert ROWS[0][0] in file.getvalue()
    assert ROWS[0][1] in file.getvalue()


def test_filters_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(filter_life, "out", Console(file=file, width=80))
    assert run(["filter", "list"]) == 0
    assert "ztf_nuclear_transients" in file.getvalue()
    assert "…" not in file.getvalue()


def test_what_matched_in_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(demo, "out", Console(file=file, width=80))
    alert = {"alert_id": "gcn:ivo://nasa.gsfc.gcn/Fermi#GBM_Flt_Pos_2026-11-21T04:20:23.30_123456_67-890", "annotations": {}}
    demo._show_matches([Match("neutrino_gold_tracks", alert | {"mag": None, "band": None, "skymaps": ()})])
    assert alert["alert_id"] in "".join(line.strip() for line in file.getvalue().splitlines())
