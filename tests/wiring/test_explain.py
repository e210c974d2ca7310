"""The funnel and the verdicts, held against plain Python over the packets themselves."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pytest

from broker.cli.app import run
from broker.errors import NotFoundError, UsageError
from broker.filtering.definition import FilterSpec, parse_filter
from broker.settings import load
from broker.simulate import ztf
from broker.wiring.explain import REAL, funnel, verdicts
from broker.wiring.parts import Parts, open_parts

Clause = Callable[[dict[str, Any]], bool | None]


def compared(value: float | None, test: Callable[[float], bool]) -> bool | None:
    return None if value is None else test(value)


CLAUSES: dict[str, Clause] = {
    "mag < 19.5": lambda packet: packet["candidate"]["magpsf"] < 19.5,
    "positive": lambda packet: packet["candidate"]["isdiffpos"] in {"t", "1", 1},
    "candidate.rb > 0.6": lambda packet: compared(packet["candidate"].get("rb"), lambda value: value > 0.6),
    "candidate.distpsnr1 > 2": lambda packet: compared(packet["candidate"].get("distpsnr1"), lambda value: value > 2),
    "(candidate.sgscore1 > 0.9) IS NOT TRUE": lambda packet: not (packet["candidate"].get("sgscore1") or 0.0) > 0.9,
}


def spec(*clauses: str, stream: str = "ztf", more: str = "") -> FilterSpec:
    where = " AND ".join(clauses)
    return parse_filter(f'name = "x"\nversion = 1\nstream = "{stream}"\ndescription = "x"\nwhere = "{where}"\n{more}')


def packets_of(files: list[Path]) -> dict[str, dict[str, Any]]:
    """Each packet once, by its alert's id."""
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        for record in fastavro.reader(io.BytesIO(file.read_bytes())):
            assert isinstance(record, dict)
            found.setdefault(f"ztf:{record['candid']}", record)
    return found


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Parts, dict[str, dict[str, Any]]]]:
    folder = tmp_path_factory.mktemp("explain")
    (folder / "in").mkdir()
    for packet in ztf.packets(5, 60, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3):
        (folder / "in" / f"{packet.name}.avro").write_bytes(packet.data)
    assert run(["--data", str(folder / "data"), "ingest", str(folder / "in"), "--json"]) == 0
    with open_parts(load(None), folder / "data") as parts:
        yield parts, packets_of(sorted((folder / "in").iterdir()))


def held(parts: Parts, packets: dict[str, dict[str, Any]]) -> None:
    given = spec(*CLAUSES)
    told = funnel(parts, given)
    assert told.evaluated == len(packets)
    left = list(packets.values())
    for clause, (text, test) in zip(told.clauses, CLAUSES.items(), strict=True):
        left = [packet for packet in left if test(packet)]
        alone = sum(test(packet) is True for packet in packets.values())
        assert (clause.text, clause.passes_alone, clause.passes_in_order) == (text, alone, len(left))
    assert told.matched == len(left)
    picked = {f"ztf:{packet['candid']}" for packet in left}
    for alert_id, packet in list(packets.items())[:40]:
        said = verdicts(parts, given, alert_id)
        assert [each.true for each in said] == [test(packet) for test in CLAUSES.values()]
        assert all(each.true for each in said) == (alert_id in picked)


def test_counts_are_those_of_every_packet(night: tuple[Parts, dict[str, dict[str, Any]]]) -> None:
    parts, packets = night
    held(parts, packets)
    told = funnel(parts, spec("mag < 19.5"))
    assert 0 < told.matched < told.evaluated  # or nothing was held against anything


@pytest.mark.data
def test_over_real_packets(data_dir: Path, tmp_path: Path) -> None:
    files = sorted((data_dir / "ztf" / "v3.3").rglob("*.avro")) + sorted((data_dir / "ztf" / "v4.02").rglob("*.avro"))
    assert files
    assert run(["--data", str(tmp_path / "data"), "ingest", *map(str, files), "--json"]) == 0
    with open_parts(load(None), tmp_path / "data") as parts:
        held(parts, packets_of(files))


def test_the_values_of_a_clause_are_told(night: tuple[Parts, dict[str, dict[str, Any]]]) -> None:
    parts, packets = night
    alert_id, packet = next(iter(packets.items()))
    (first, second) = verdicts(parts, spec("(candidate.rb > 0.6 OR candidate.nbad = 9)", "gaia.sep > 3"), alert_id)
    assert first.value == {
        "candidate.rb": pytest.approx(packet["candidate"]["rb"]),
        "candidate.nbad": packet["candidate"]["nbad"],
    }
    assert (second.value, second.true) == ({"gaia.sep": None}, None)  # no such catalogue is built: unknown, and so not picked


def test_window_and_streams(night: tuple[Parts, dict[str, dict[str, Any]]]) -> None:
    parts, packets = night
    assert funnel(parts, spec("TRUE"), start=datetime(2030, 1, 1, tzinfo=UTC)).evaluated == 0
    assert funnel(parts, spec("TRUE", stream="lsst")).evaluated == 0
    assert funnel(parts, spec("TRUE", stream="*")).evaluated == len(packets)


def test_tests_are_dropped_by_name(tmp_path: Path) -> None:
    notice = {"id": ["1"], "mission": "Fermi", "alert_datetime": "2026-08-01T03:04:15Z", "messenger": "EM"}
    for number, tense in enumerate(("current", "test")):
        (tmp_path / f"{tense}.json").write_text(json.dumps(notice | {"id": [str(number)], "alert_tense": tense}))
    files = [str(tmp_path / f"{tense}.json") for tense in ("current", "test")]
    assert run(["--data", str(tmp_path / "data"), "ingest", *files, "--json"]) == 0
    with open_parts(load(None), tmp_path / "data") as parts:
        told = funnel(parts, spec("TRUE", stream="gcn"))
        assert (told.evaluated, told.matched, told.clauses[0].text) == (2, 1, REAL)
        assert funnel(parts, spec("TRUE", stream="gcn", more="tests = true\n")).matched == 2


def test_wrong_use(night: tuple[Parts, dict[str, dict[str, Any]]]) -> None:
    parts, packets = night
    with pytest.raises(NotFoundError, match="ztf:1"):
        verdicts(parts, spec("TRUE"), "ztf:1")
    with pytest.raises(UsageError, match="does not see"):
        verdicts(parts, spec("TRUE", stream="lsst"), next(iter(packets)))
    with pytest.raises(UsageError, match=r"did you mean candidate\.rb"):
        funnel(parts, spec("candidate.rbb > 1"))


def test_on_the_command_line(
    night: tuple[Parts, dict[str, dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, packets = night
    file = tmp_path / "x.toml"
    file.write_text('name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 19.5 AND positive"\n')
    verb = ["--data", str(parts.data), "filter", "explain", str(file)]
    assert run([*verb, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["evaluated"] == len(packets)
    assert [set(each) for each in told["clauses"]] == [{"text", "passes_alone", "passes_in_order"}] * 2
    assert run([*verb, "--alert", next(iter(packets)), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["text"] for each in said["clauses"]] == ["mag < 19.5", "positive"]
    assert said["matches"] == all(each["true"] for each in said["clauses"])
    for more in ([], ["--alert", next(iter(packets))]):
        assert run([*verb, *more]) == 0
        assert "mag < 19.5" in capsys.readouterr().out
    assert run([*verb, "--alert", "ztf:1"]) == 1


def test_windows_and_pictures_that_cannot_be(
    night: tuple[Parts, dict[str, dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.toml"
    file.write_text('name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 19.5 AND positive"\n')
    data = ["--data", str(night[0].data), "filter"]
    for verb in ("explain", "backtest"):
        assert run([*data, verb, str(file), "--since", "2026-11-18", "--until", "2026-11-16"]) == 2
        assert "is not before" in capsys.readouterr().err
    assert run([*data, "backtest", str(file), "--plot", str(tmp_path / "none" / "x.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    file.write_text(
        file.read_text().replace("positive", 'band = "g"').replace('where = "', "where = '").replace('"g""', '"g"\'')
    )
    assert run([*data, "check", str(file)]) == 1
    assert "text is in single quotes" in capsys.readouterr().err
    assert run([*data, "live", "long_grb"]) == 1
    assert "did you mean long_grbs" in capsys.readouterr().err
