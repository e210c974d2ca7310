"""Queries: what is read of the packets for them, and what is refused before any is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.cli.app import run
from broker.errors import NotFoundError, UsageError
from broker.settings import load
from broker.simulate import gcn, ztf
from broker.wiring.parts import Parts, open_parts
from broker.wiring.reading import Query, fields, packet, query

START = datetime(2026, 11, 21, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reading")
    packets = folder / "in"
    packets.mkdir()
    for made in [*ztf.packets(2, 30, START, history=3), *gcn.packets(2, 10, START)]:
        (packets / made.name.replace("/", "_")).write_bytes(made.data)
    assert run(["--data", str(folder / "data"), "ingest", str(packets), "--json"]) == 0
    return folder / "data"


@pytest.fixture
def parts(data: Path) -> Iterator[Parts]:
    with open_parts(load(None), data) as opened:
        yield opened


def ask(parts: Parts, where: str, *columns: str, streams: tuple[str, ...] = (), most: int | None = None):
    read: list[int] = []
    frame = query(parts, Query(where, streams, columns, most_packets=most), lambda done, _total: read.append(done))
    return frame, read


def test_a_mistyped_name_costs_no_packet_and_is_told_with_the_nearest(parts: Parts) -> None:
    read: list[int] = []
    with pytest.raises(UsageError, match=r"no packet has a field 'candidate.magapbigg': did you mean candidate.magapbig\?"):
        query(parts, Query("candidate.magapbigg > 1", ("ztf",)), lambda done, _total: read.append(done))
    assert read == []


def test_a_name_that_only_notices_could_have_is_looked_for_in_them(parts: Parts) -> None:
    with pytest.raises(
        UsageError, match=r"no packet looked at has a field 'candidate.magapbigg': did you mean candidate.magapbig\?"
    ):
        ask(parts, "candidate.magapbigg > 1", most=10)


def test_fields_of_schemas_are_read_and_only_of_their_stream(parts: Parts) -> None:
    frame, _ = ask(parts, "TRUE", "candidate.magapbig", most=30)
    assert frame.height > 30
    assert frame.filter(frame["stream"] == "ztf")["candidate.magapbig"].null_count() == 0
    assert frame.filter(frame["stream"] != "ztf")["candidate.magapbig"].is_null().all()


def test_columns_of_ours_are_null_where_no_frame_has_them(parts: Parts) -> None:
    frame, _ = ask(parts, "skymap.area90 IS NULL", "skymap.area90", most=0)
    assert frame.height > 30
    assert frame["skymap.area90"].is_null().all()


def test_packets_read_for_one_search_are_bounded(parts: Parts) -> None:
    with pytest.raises(UsageError, match=r"more than 29 packets would have to be read for candidate.magapbig"):
        ask(parts, "candidate.magapbig > 0", streams=("ztf",), most=29)
    assert ask(parts, "candidate.magapbig > 0", streams=("ztf",), most=30)[0].height == 30


def test_fields_are_those_of_surveys_and_of_notices_in_json(parts: Parts) -> None:
    frame, _ = ask(parts, "TRUE")
    read = 0
    for alert_id, stream in frame.select("alert_id", "stream").iter_rows():
        told = packet(parts, alert_id)
        if stream == "ztf":
            assert fields(parts, alert_id)["objectId"]
        elif told.lstrip().startswith(b"{"):
            assert fields(parts, alert_id) == json.loads(told)
            read += 1
        else:
            with pytest.raises(NotFoundError, match="not in JSON"):
                fields(parts, alert_id)
    assert read > 0


def test_a_fresh_folder_has_the_columns_of_its_catalogues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--data", str(tmp_path), "query", "mag < 18", "--columns", "ngc.sep,ngc.id"]) == 0
    assert capsys.readouterr().out.strip().startswith("[")
    assert run(["--data", str(tmp_path), "query", "candidate.rbb > 1", "--stream", "ztf"]) == 2
    assert "did you mean candidate.rb?" in capsys.readouterr().err
