"""What the demonstration says in the end."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from broker.cli import demo, ingest
from broker.simulate.happenings import Truth
from broker.simulate.night import Night
from broker.store import association_pages, events
from broker.store.ledger import Counts, Totals
from broker.wiring import running


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    for module in (demo, ingest):
        monkeypatch.setattr(module, "out", Console(file=file, width=200))
    return file


def told(monkeypatch: pytest.MonkeyPatch, truths: tuple[Any, ...], levels: list[float], *, ours: int) -> bool:
    by_stream = {"ztf": Counts(received=2, published=2), "coincidence": Counts(received=ours, published=ours)}
    overall = Counts(received=2 + ours, published=2 + ours)
    monkeypatch.setattr(running, "totals", lambda _parts: Totals(overall, by_stream))
    monkeypatch.setattr(events, "canonical_name", lambda _store, name: name)
    rows = [{"alert_id": "ztf:1", "credible_level": level} for level in levels]
    monkeypatch.setattr(association_pages, "page", lambda *_, **__: SimpleNamespace(alerts=rows))
    return demo._report(SimpleNamespace(store=None), Night(truths, {"ztf": 2}, (), ()), 2, [])  # type: ignore[arg-type]


def truth() -> Any:
    return SimpleNamespace(kind="afterglow", event="GRB 261121A", stream="ztf", packets=("1", "2"))


def test_what_nobody_sent_is_told_apart(monkeypatch: pytest.MonkeyPatch, shown: io.StringIO) -> None:
    assert told(monkeypatch, (), [], ours=1)
    assert "sent 2, all accounted for; 1 more of our own making (coincidence)" in shown.getvalue()
    assert told(monkeypatch, (), [], ours=0)
    assert shown.getvalue().rstrip().endswith("sent 2, all accounted for")


@pytest.mark.parametrize(
    ("levels", "why"), [([], "none lies in a map of GRB 261121A"), ([0.9, 0.604], "in the 60 % region of GRB 261121A at best")]
)
def test_why_no_filter_picked_a_counterpart(
    monkeypatch: pytest.MonkeyPatch, shown: io.StringIO, levels: list[float], why: str
) -> None:
    assert {"kind", "event", "stream", "packets"} <= set(Truth.__dataclass_fields__)
    told(monkeypatch, (truth(),), levels, ours=0)
    assert f"picked by no filter: {why}" in shown.getvalue()
