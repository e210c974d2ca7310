"""Reports of observers from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.cli.app import run
from broker.store import classifications, observations
from broker.wiring.parts import Parts
from tests.api.world import survey_alert, write
from tests.notices import igwn, tell
from tests.subscribers import parts_with

AT = datetime(2026, 5, 23, 5, tzinfo=UTC)


def test_taken_out_whoever_sent_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def nuncius(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(["--data", str(tmp_path / "data"), *arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    with parts_with(tmp_path / "data", "bright") as parts:
        observed, taken_for = _sent(parts)
    status, out, errors = nuncius("reports", "list", "s260523AB", "--json")
    assert status == 0, errors
    assert [(one["id"], one["who"]) for one in json.loads(out)] == [(ident, "ann") for ident in observed]
    assert "ann" in nuncius("reports", "list", "S260523ab")[1]
    assert nuncius("reports", "remove", observed[0], "obs_0")[0] == 1
    assert nuncius("reports", "remove", observed[0], "sub_0")[0] == 2
    assert len(json.loads(nuncius("reports", "list", "S260523ab", "--json")[1])) == 2  # all of them, or none
    status, _, errors = nuncius("reports", "remove", observed[0], taken_for, observed[0])
    assert (status, "2 taken out" in errors) == (0, True)
    assert [one["id"] for one in json.loads(nuncius("reports", "list", "S260523ab", "--json")[1])] == observed[1:]
    assert nuncius("reports", "remove", taken_for)[0] == 1


def _sent(parts: Parts) -> tuple[list[str], str]:
    """Ids of two observations and a classification."""
    tell(parts.store, igwn("S260523ab", "INITIAL", "2026-05-23T03:26:20Z"), stream="lvk")
    alert = survey_alert(1)
    write(parts.store, [alert], {})
    looked = {
        "reporter": "Ann",
        "telescope": "LT",
        "status": "completed",
        "time": AT,
        "ra": 10.0,
        "dec": -5.25,
        "sender_id": None,
    }
    observed = observations.post(parts.store, "S260523ab", [looked, looked | {"dec": 5.0}], who="ann").observations
    (one,) = classifications.post(parts.store, alert["alert_id"], [{"classification": "SN Ia"}], who="ann")
    return sorted(each["id"] for each in observed), one["id"]
