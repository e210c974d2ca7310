"""Every verb: help with an example, its results, and its exit status."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
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
        (["query", "mag < 30", "--stream", "zft"], 2),
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


def test_a_window_without_alerts_is_told(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.toml"
    file.write_text('name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 1"\n')
    for verb in ("backtest", "explain"):
        for window, told in ((["--since", "2001-01-01", "--until", "2001-02-01"], True), ([], False)):
            assert run(["--data", data, "filter", verb, str(file), *window]) == 0
            said = " ".join(capsys.readouterr().err.split())
            assert ("no alert of ztf is kept from 2001-01-01T00:00:00 before 2001-02-01T00:00:00" in said) == told


def test_a_filter_is_retired_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "data")
    file = tmp_path / "x.toml"
    file.write_text('name = "x"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "mag < 1"\n')
    assert run(["--data", folder, "filter", "add", str(file)]) == 0
    assert run(["--data", folder, "filter", "retire", "x"]) == 0
    assert run(["--data", folder, "filter", "retire", "x"]) == 2
    assert "retired already" in capsys.readouterr().err


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


WRONG = """\
name = "x"
version = 1
stream = "ztf"
description = "x"
where = '''
mag < 18
AND candidate.rbb > 0.5
'''
"""


def test_a_filter_that_names_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, none = tmp_path / "wrong.toml", str(tmp_path / "none")
    file.write_text(WRONG)
    assert run(["--data", none, "filter", "check", str(file)]) == 1
    told = capsys.readouterr().err
    assert f"{file}, line 7, column 5, where: unknown column 'candidate.rbb' (did you mean candidate.rb?)" in told
    assert "    AND candidate.rbb > 0.5\n        ^^^^^^^^^^^^^\n" in told
    assert run(["--data", none, "filter", "check", str(file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["files"]) == (False, [str(file)])
    (fault,) = told["faults"]
    assert fault == {
        "file": str(file),
        "message": "unknown column 'candidate.rbb' (did you mean candidate.rb?)",
        "line": 7,
        "column": 5,
        "word": "candidate.rbb",
        "nearest": "candidate.rb",
        "key": "where",
    }
    file.write_text(WRONG.replace("rbb", "rb"))
    assert run(["--data", none, "filter", "check", str(file), "--stream", "ztf", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    assert run(["--data", none, "filter", "check", str(file), "--stream", "lsst"]) == 1
    assert run(["--data", none, "filter", "check", str(file), "--stream", "nosuch"]) == 2
    file.write_text(WRONG[:70])
    assert run(["--data", none, "filter", "check", str(file)]) == 1
    assert not Path(none).exists()


def test_sites_of_the_settings_are_known_to_filters(tmp_path: Path) -> None:
    file, settings = tmp_path / "own.toml", tmp_path / "nuncius.toml"
    file.write_text(WRONG.replace("candidate.rbb > 0.5", "altitude('Backyard') > 30"))
    settings.write_text("[sites.backyard]\nlongitude = 9.9\nlatitude = 53.5\nheight = 20\n")
    assert run(["filter", "check", str(file)]) == 1
    try:
        assert run(["--config", str(settings), "filter", "check", str(file)]) == 0
    finally:
        assert run(["filter", "check", str(file)]) == 1
    settings.write_text("[sites.backyard]\nlongitude = 9.9\nlatitude = 153.5\n")
    assert run(["--config", str(settings), "filter", "check", str(file)]) == 2


@pytest.mark.parametrize("stream", ["ztf", "lsst", "elasticc", "gcn", "lvk"])
def test_columns_need_no_folder(stream: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--data", str(tmp_path / "none"), "filter", "columns", stream, "--json"]) == 0
    columns = json.loads(capsys.readouterr().out)
    assert {"name", "type", "unit", "meaning", "source"} == columns[0].keys()
    assert {"alert_id", "mag", "far", "ngc.sep"} <= {each["name"] for each in columns}
    assert run(["--data", str(tmp_path / "none"), "filter", "columns", stream]) == 0
    shown = capsys.readouterr().out
    assert all(each["name"] in shown for each in columns)
    assert run(["--data", str(tmp_path / "none"), "filter", "columns", "nosuch"]) == 2
    assert not (tmp_path / "none").exists()


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


def test_wrong_settings_and_wrong_events_are_told_in_our_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nuncius.toml").write_text('[ingest.x]\nkind = "gcn"\n')
    assert run(["--data", str(tmp_path), "config", "check"]) == 2
    told = capsys.readouterr().err
    assert "ingest.x.topics: an upstream of kind gcn needs its topics" in told
    assert "Value error" not in told
    (tmp_path / "event.xml").write_text("<VOEvent")
    assert run(["voevent", "send", str(tmp_path / "event.xml")]) == 2
    told = capsys.readouterr().err
    assert "event.xml: XML is not well formed" in told
    assert "<string>" not in told


def test_catalogues_of_files_without_a_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.csv").write_text("Q1,10.0,20.0,17.5\nQ2,11.0,21.0,18.5\n")
    there = ["--data", str(tmp_path / "data"), "catalog", "add"]
    assert run([*there, "mine", str(tmp_path / "mine.csv")]) == 2
    told = capsys.readouterr().err
    assert "no header" in told
    assert "--header name,ra,dec" in told
    assert run([*there, "mine", str(tmp_path / "mine.csv"), "--header", "id,ra,dec"]) == 2
    assert "4 columns" in capsys.readouterr().err
    assert run([*there, "mine", str(tmp_path / "mine.csv"), "--header", "id,ra,dec,mag"]) == 0
    assert "2 sources" in capsys.readouterr().err
    assert run([*there, "nosuch"]) == 2
    assert run([*there, "mine", str(tmp_path / "nosuch.csv")]) == 2


def test_a_letter_that_dies_again_is_received_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As docs/operations.md says."""
    (tmp_path / "bad.avro").write_bytes(b"Obj\x01 and no more")
    there = ["--data", str(tmp_path / "data")]
    assert run([*there, "ingest", str(tmp_path / "bad.avro")]) == 0
    assert run([*there, "dead-letter", "replay", "--all"]) == 0
    told = capsys.readouterr().err
    assert "received anew" in told
    assert run([*there, "ingest", str(tmp_path / "bad.avro")]) == 0
    capsys.readouterr()
    assert run([*there, "status", "--json"]) == 0
    total = json.loads(capsys.readouterr().out)["ledger"]["total"]
    assert (total["received"], total["rejected"]) == (3, 3)


def test_new_schemas_of_a_stream_are_one_line(tmp_path: Path) -> None:
    packets = tmp_path / "in"
    packets.mkdir()
    (packet,) = ztf.packets(2, 1, datetime(2026, 11, 21, 4, tzinfo=UTC), history=3)
    reader = fastavro.reader(io.BytesIO(packet.data))
    schema, rows = reader.writer_schema, list(reader)
    for number in range(5):
        with (packets / f"{number}.avro").open("wb") as file:
            fastavro.writer(file, {**schema, "doc": f"version {number}"}, [rows[0] | {"candid": rows[0]["candid"] + number}])
    told = subprocess.run(
        [sys.executable, "-m", "broker", "--data", str(tmp_path / "data"), "ingest", str(packets)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    assert told.count("a schema seen for the first time") == 1
    assert "database migrated" not in told


def test_headers_that_are_not_quite_right_are_not_told() -> None:
    code = """
from broker import telemetry
telemetry.configure()
from astropy.io import fits
header = fits.Header.fromstring("SIMPLE  =                    T".ljust(80) + "ODD     = 1.0  2.0".ljust(80))
try:
    header["ODD"]
except fits.VerifyError:
    pass
import warnings
warnings.warn_explicit("odd", fits.verify.VerifyWarning, "card.py", 1, module="astropy.io.fits.card")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_filters_are_listed_though_one_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "nuncius.toml"
    mine.write_text("[sites.here]\nlongitude = 10.0\nlatitude = 50.0\nheight = 0.0\n")
    file = tmp_path / "high.toml"
    file.write_text('name = "high"\nversion = 1\nstream = "ztf"\ndescription = "x"\nwhere = "altitude(\'here\') > 30"\n')
    assert run(["--data", str(tmp_path), "filter", "add", str(file)]) == 0
    for verb in ("backtest", "explain"):
        assert run(["--data", str(tmp_path), "filter", verb, str(file)]) == 0
    mine.write_text("")  # the site is gone
    capsys.readouterr()
    assert run(["--data", str(tmp_path), "filter", "list", "--state", "draft", "--json"]) == 0
    shown = capsys.readouterr()
    assert [(one["name"], one["description"]) for one in json.loads(shown.out)] == [("high", "cannot be read")]
    assert "here" in shown.err
