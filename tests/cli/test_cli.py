"""Every verb: help with an example, its results, and its exit status."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import astropy.table
import fastavro
import polars as pl
import pytest
from rich.progress import Progress

from broker.cli.app import app, run
from broker.simulate import ztf

ROOT = Path(__file__).parents[2]
VERBS = [[command.name or command.callback.__name__] for command in app.registered_commands if command.callback]
VERBS += [
    [str(group.name), command.name or command.callback.__name__]
    for group in app.registered_groups
    if group.typer_instance
    for command in group.typer_instance.registered_commands
    if command.callback
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data folder with thirty simulated packets and one that is none."""
    folder = tmp_path_factory.mktemp("cli")
    packets = folder / "in"
    packets.mkdir()
    for packet in ztf.packets(2, 30, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3):
        (packets / f"{packet.name}.avro").write_bytes(packet.data)
    (packets / "bad.avro").write_bytes(b"Obj\x01 and no more")
    assert run(["--data", str(folder / "data"), "ingest", str(packets), "--json"]) == 0
    return str(folder / "data")


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_has_an_example(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb, "--help"]) == 0
    assert "Example" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["nonsense"], 2),
        (["query"], 2),
        (["query", "mag <"], 2),
        (["query", "magg < 3"], 2),
        (["ingest", "/no/such/folder"], 2),
        (["ingest"], 2),
        (["serve", "--port", "70000"], 2),
        (["up", "--port", "-1"], 2),
        (["demo", "--port", "70000"], 2),
        (["packet", "ztf:1"], 1),
        (["dead-letter", "show", "x"], 2),
        (["dead-letter", "show", "0:99"], 1),
        (["dead-letter", "replay"], 2),
        (["simulate", "ztf"], 2),
        (["simulate", "xyz", "--out", "/tmp"], 2),
        (["filter", "check", "/no/such/file.toml"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_wrong_use_and_failure(data: str, arguments: list[str], status: int) -> None:
    assert run(["--data", data, *arguments]) == status


READING = [
    ["query", "mag < 18"],
    ["packet", "ztf:1"],
    ["status"],
    ["dead-letter", "list"],
    ["event", "list"],
    ["event", "show", "S190814bv"],
    ["event", "alerts", "S190814bv"],
    ["event", "coincidences", "S190814bv"],
    ["event", "galaxies", "S190814bv"],
    ["catalog", "list"],
]


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_who_only_reads_makes_no_folder(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--data", str(tmp_path / "mistyped"), *arguments]) == 2
    assert "nothing is kept in" in capsys.readouterr().err
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_examples_name_what_there_is(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Filters and shipped files that help shows, and verbs; files of the user's own it may name as it likes."""
    filters = {path.stem for path in (ROOT / "filters").glob("*.toml")}
    assert run([*verb, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    examples = re.findall(r"nuncius [^·│]*?(?= · | ╭| Usage|$)", shown.partition("Example")[2])
    assert examples
    for example in examples:
        words = [word for word in example.split() if not word.startswith(("-", "╭", "─"))]
        assert any(words[at : at + len(verb)] == verb for at in range(len(words))), example
    named = re.findall(r"(?:nuncius listen|--filter) (\w+)", shown)
    assert set(named) <= filters
    assert not [name for name in re.findall(r"(?:filters|schemas|docs|infra)/[\w/.-]+\w", shown) if not (ROOT / name).exists()]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ('[vtp]\nsubscriber_port = 0\nfilters = ["nosuch"]\n', "vtp.filters names 'nosuch'"),
        ('[relay.gcn]\nkind = "gcn"\ntopic = "x"\nfilters = ["nosuch"]\n', "relay.gcn.filters names 'nosuch'"),
    ],
)
def test_settings_that_name_no_filter(tmp_path: Path, settings: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "nuncius.toml").write_text(settings)
    for verb in (["config", "check"], ["up", "--port", "0"]):
        assert run(["--data", str(folder), *verb]) == 2
        told = capsys.readouterr().err
        assert says in told
        assert "Traceback" not in told


def test_names_are_whole_at_eighty_columns(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notice = {
        "id": ["bn260801123-with-a-tail"],
        "mission": "Fermi",
        "instrument": "GBM",
        "event_name": ["GRB 260801123456A"],
    }
    notice |= {"trigger_time": "2026-08-01T03:04:05Z", "messenger": "EM", "alert_type": "initial", "ra": 10.0, "dec": 20.0}
    (tmp_path / "notice.json").write_text(json.dumps(notice | {"alert_datetime": "2026-08-01T03:04:15Z"}))
    folder = str(tmp_path / "data")
    assert run(["--data", folder, "ingest", str(tmp_path / "notice.json"), "--json"]) == 0
    capsys.readouterr()
    assert run(["--data", folder, "event", "list", "--json"]) == 0
    (event,) = json.loads(capsys.readouterr().out)
    for arguments in (["list"], ["show", event["name"]]):
        assert run(["--data", folder, "event", *arguments]) == 0
        assert event["name"] in capsys.readouterr().out
    assert run(["--data", data, "dead-letter", "list", "--json"]) == 0
    (letter,) = json.loads(capsys.readouterr().out)
    assert run(["--data", data, "dead-letter", "list"]) == 0
    shown = capsys.readouterr().out
    assert letter["origin"] in "".join(line.strip() for line in shown.splitlines())
    assert letter["place"] in shown


def test_files_that_cannot_be_read_are_told_after_the_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (packet,) = ztf.packets(2, 1, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3)
    (tmp_path / "good.avro").write_bytes(packet.data)
    there = ["--data", str(tmp_path / "data")]
    assert run([*there, "ingest", os.devnull, str(tmp_path / "good.avro"), "--json"]) == 1
    told, complaint = capsys.readouterr()
    ledger = json.loads(told)
    assert (ledger["received"], ledger["published"], ledger["others"], ledger["skipped"]) == (1, 1, 0, 1)
    assert ledger["unread"] == [f"file:{os.devnull}"]
    assert "could not be read" in complaint


def test_what_is_only_appended_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for packet in ztf.packets(2, 3, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3):
        (tmp_path / f"{packet.name}.avro").write_bytes(packet.data)
    there = ["--data", str(tmp_path / "data")]
    files = [str(file) for file in sorted(tmp_path.glob("*.avro"))]
    assert run([*there, "ingest", *files, "--json", "--no-process"]) == 0
    assert json.loads(capsys.readouterr().out) == {"appended": 3, "streams": {"ztf": 3}, "skipped": 0, "unread": []}
    assert run([*there, "ingest", files[0], "--json"]) == 0
    ledger = json.loads(capsys.readouterr().out)
    assert ledger["received"] == ledger["published"] + ledger["duplicate"] == 1 + ledger["others"]


def test_records_that_expired_unread_are_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--data", str(tmp_path / "data")]
    junk = tmp_path / "a.json"
    junk.write_bytes(b"{}")
    assert run([*there, "ingest", str(junk)]) == 0
    (log,) = (tmp_path / "data").glob("log/log.sqlite")
    with closing(sqlite3.connect(log)) as db:  # as if ten more had come and gone before anybody read them
        db.execute("UPDATE partitions SET first = next + 10, next = next + 10")
        db.commit()
    assert run([*there, "ingest", *[str(junk)] * 8]) == 0
    assert run([*there, "status", "--json"]) == 1
    capsys.readouterr()
    assert run([*there, "status", "--json", "--accept-expired"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["expired"], found["faults"]) == (10, [])
    assert run([*there, "status"]) == 0


def test_query_in_four_formats(data: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    asked = ["--data", data, "query", "candidate.fid > 0", "--stream", "ztf", "--columns", "alert_id,ra,candidate.fid"]
    got = {}
    for fmt in ("json", "csv", "parquet", "votable"):
        assert run([*asked, "--format", fmt]) == 0
        got[fmt] = capfdbinary.readouterr().out
    rows = json.loads(got["json"])
    assert len(rows) == 30
    assert list(rows[0]) == ["alert_id", "ra", "candidate.fid"]
    ids = [row["alert_id"] for row in rows]
    assert pl.read_csv(got["csv"])["alert_id"].to_list() == ids
    assert pl.read_parquet(io.BytesIO(got["parquet"]))["alert_id"].to_list() == ids
    table = astropy.table.Table.read(io.BytesIO(got["votable"]), format="votable")
    assert [str(each) for each in table.columns[0]] == ids


def test_dead_letters_are_shown_and_put_back(data: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["--data", data, "dead-letter", "list", "--json"]) == 0
    (letter,) = json.loads(capfdbinary.readouterr().out)
    assert letter["reason"]
    assert run(["--data", data, "dead-letter", "show", letter["place"], "--raw"]) == 0
    assert capfdbinary.readouterr().out == b"Obj\x01 and no more"
    assert run(["--data", data, "dead-letter", "replay", letter["place"]]) == 0
    assert run(["--data", data, "status", "--json"]) == 0
    status = json.loads(capfdbinary.readouterr().out)
    assert sum(row["records"] for row in status["lag"]) == 1  # it waits to be looked at again


def test_status_and_settings(data: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["--data", data, "status"]) == 0
    assert "raw.ztf" in capsys.readouterr().out
    assert run(["--data", data, "config", "show"]) == 0
    assert json.loads(capsys.readouterr().out)["log"]["engine"] == "embedded"
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[log]\nengin = 'kafka'\n")
    assert run(["--config", str(wrong), "config", "check"]) == 2
    assert "log.engin" in capsys.readouterr().err
    assert run(["--data", data, "config", "check"]) == 0


def test_a_filter_that_is_right_and_one_whose_example_fails(tmp_path: Path) -> None:
    text = (
        'name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 18"\n'
        "[[example]]\nalert = { mag = 17.0 }\nmatches = true\n[[example]]\nalert = { mag = 19.0 }\nmatches = MATCHES\n"
    )
    right, failing = tmp_path / "right.toml", tmp_path / "failing.toml"
    right.write_text(text.replace("MATCHES", "false"))
    failing.write_text(text.replace("MATCHES", "true"))
    assert run(["filter", "check", str(right)]) == 0
    assert run(["filter", "check", str(failing)]) == 1


def test_simulate_writes_files(tmp_path: Path) -> None:
    for stream in ("ztf", "lsst", "gcn", "lvk"):
        assert run(["simulate", stream, "--out", str(tmp_path / stream), "--count", "3"]) == 0
        assert len(list((tmp_path / stream).iterdir())) == 3


def test_the_ledger_is_told_though_a_stream_halts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packets = tmp_path / "in"
    packets.mkdir()
    whole = [packet.data for packet in ztf.packets(2, 40, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3)]
    for number, data in enumerate(whole):
        (packets / f"{number}.avro").write_bytes(data if number < 10 else data[:-40])
    monkeypatch.setenv("NUNCIUS_PROCESS__HALT_MINIMUM", "20")
    monkeypatch.setenv("NUNCIUS_PROCESS__MAX_RECORDS", "25")
    assert run(["--data", str(tmp_path / "data"), "ingest", str(packets), "--json"]) == 1
    told, complaint = capsys.readouterr()
    counts = json.loads(told)
    assert counts["received"] == counts["published"] + counts["duplicate"] + counts["rejected"] == 25
    assert "ztf" in complaint
    assert "halted" in complaint


def test_where_it_says_why_something_was_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = {"type": "record", "name": "ztf.alert", "fields": [{"name": "candid", "type": "long"}]}
    with (tmp_path / "near.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"candid": 1}])
    there = ["--data", str(tmp_path / "the data")]
    assert run([*there, "ingest", str(tmp_path / "near.avro")]) == 0
    assert f"1 rejected: `nuncius --data '{tmp_path / 'the data'}' dead-letter list` says why" in capsys.readouterr().err
    assert run([*there, "dead-letter", "list", "--json"]) == 0
    (letter,) = json.loads(capsys.readouterr().out)
    assert "ztf.alert" in letter["reason"]
    assert "detect.fields" in letter["reason"]


def test_a_tarball_has_no_total_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = ztf.packets(2, 3, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3)
    with tarfile.open(tmp_path / "night.tar", "w") as archive:
        for packet in packets:
            (tmp_path / "one.avro").write_bytes(packet.data)
            archive.add(tmp_path / "one.avro", f"{packet.name}.avro")
    told: list[tuple[str, float | None, float]] = []
    update, advance = Progress.update, Progress.advance
    monkeypatch.setattr(Progress, "update", lambda bar, task, **more: (update(bar, task, **more), _note(told, bar)))
    monkeypatch.setattr(Progress, "advance", lambda bar, task, by=1: (advance(bar, task, by), _note(told, bar)))
    assert run(["--data", str(tmp_path / "data"), "ingest", str(tmp_path / "night.tar")]) == 0
    assert ("taken in 3", None) in {(description, total) for description, total, _ in told}
    assert ("process", 3.0, 3.0) in told
    assert all(total is None or done <= total for _, total, done in told)


def _note(told: list[tuple[str, float | None, float]], bar: Progress) -> None:
    told += [(task.description, task.total, task.completed) for task in bar.tasks]
