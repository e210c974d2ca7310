"""The folder of real packets through the command line: accounted for, and saying what independent readers read."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import fastavro
import lxml.etree
import pytest
from astropy.time import Time

from tests.running import Installation, install


@pytest.fixture(scope="module")
def ingested(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, dict[str, Any]]:
    nuncius = install(tmp_path_factory.mktemp("real") / "data")
    nuncius.config.unlink()  # the defaults
    return nuncius, nuncius.json("ingest", str(data_dir), "--json")


@pytest.fixture(scope="module")
def rows(ingested: tuple[Installation, dict[str, Any]]) -> dict[str, dict[str, str]]:
    columns = "alert_id,stream,object_id,time,ra,dec,mag"
    text = ingested[0].run("query", "alert_id IS NOT NULL", "--columns", columns, "--format", "csv")
    return {row["alert_id"]: row for row in csv.DictReader(io.StringIO(text))}


def test_everything_is_accounted_for(ingested: tuple[Installation, dict[str, Any]], rows: dict[str, Any]) -> None:
    ledger = ingested[1]
    for counts in (ledger, *ledger["streams"].values()):
        assert counts["received"] == counts["published"] + counts["duplicate"] + counts["rejected"]
    assert ledger["received"] == sum(counts["received"] for counts in ledger["streams"].values())
    assert ledger["published"] == len(rows)


def test_zwicky_packets_say_what_fastavro_reads(data_dir: Path, rows: dict[str, dict[str, str]]) -> None:
    read = 0
    for file in [
        *data_dir.glob("ztf/v*/*.avro"),
        *data_dir.glob("ztf/respark/*.avro"),
        *data_dir.glob("ztf/multi_record/*.avro"),
    ]:
        for packet in fastavro.reader(io.BytesIO(file.read_bytes())):
            candidate = packet["candidate"]
            candid = packet.get("candid") or candidate["candid"]
            row = rows[f"ztf:{candid}"]
            assert (row["object_id"] or None) == packet.get("objectId")
            assert (float(row["ra"]), float(row["dec"])) == pytest.approx((candidate["ra"], candidate["dec"]), abs=1e-9)
            assert float(row["mag"]) == pytest.approx(candidate["magpsf"], abs=1e-5)
            assert abs(Time(row["time"].rstrip("Z"), scale="utc").jd - candidate["jd"]) < 1e-8
            read += 1
    assert read > 200


def test_every_voevent_is_there(data_dir: Path, rows: dict[str, dict[str, str]]) -> None:
    ids = {name.split(":", 1)[1].split(";")[0] for name in rows if name.startswith(("gcn:ivo:", "lvk:ivo:", "voevent:ivo:"))}
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True)
    told = {lxml.etree.parse(file, parser).getroot().get("ivorn").strip() for file in data_dir.glob("gcn/voevent*/**/*.xml")}
    assert told <= ids


def test_a_month_in_one_tarball(data_dir: Path, tmp_path: Path) -> None:
    file = next(data_dir.glob("gcn/voevent_tarballs/*"))
    ivorns: Counter[str] = Counter()
    with tarfile.open(file) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                ivorns[lxml.etree.fromstring(content.read()).get("ivorn")] += 1
    nuncius = install(tmp_path / "data")
    nuncius.config.unlink()
    ledger = nuncius.json("ingest", str(file), "--json")
    assert ledger["received"] == sum(ivorns.values())
    assert ledger["rejected"] == 0
    assert ledger["published"] == len(ivorns)  # the same ivorn never has other bytes within this month
    assert ledger["duplicate"] == sum(ivorns.values()) - len(ivorns)


def test_damaged_packets_are_dead_letters(data_dir: Path, ingested: tuple[Installation, dict[str, Any]]) -> None:
    letters = ingested[0].json("dead-letter", "list", "--json")
    by_origin = {letter["origin"]: letter for letter in letters}
    for file in data_dir.glob("ztf/corrupt/*.avro"):
        letter = by_origin[f"file:{file}"]
        assert (letter["stage"], bool(letter["reason"])) == ("decode", True)
        shown = subprocess.run(
            ingested[0].command("dead-letter", "show", letter["place"], "--raw"), capture_output=True, check=True
        )
        assert shown.stdout == file.read_bytes()


def test_packets_come_back_unchanged(data_dir: Path, ingested: tuple[Installation, dict[str, Any]]) -> None:
    samples = {
        "ztf:2752190655615010016": data_dir / "ztf/v4.02/2752190655615010016.avro",
        "winter:3608701": data_dir / "othersurveys/winter/3608701.avro",
        "atlas:01a59485o0083o_002297": data_dir / "othersurveys/atlas/01a59485o0083o_002297.avro",
        "pgir:114297926": data_dir / "othersurveys/pgir/114297926.avro",
    }
    for alert_id, file in samples.items():
        done = subprocess.run(ingested[0].command("packet", alert_id), capture_output=True, check=True)
        assert done.stdout == file.read_bytes()


def test_a_second_time_publishes_nothing(data_dir: Path, ingested: tuple[Installation, dict[str, Any]]) -> None:
    first = ingested[1]
    again = ingested[0].json("ingest", str(data_dir), "--json")
    assert again["received"] == first["received"]
    assert again["published"] == 0
    assert again["rejected"] == first["rejected"]
    status = json.loads(ingested[0].run("status", "--json"))
    assert status["faults"] == []
