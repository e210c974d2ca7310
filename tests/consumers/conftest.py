"""Topics of our own on the real Kafka, filled with records as Nuncius writes them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from consumers.too import reading
from tests.consumers.event_world import Told, told
from tests.running import ROOT
from tests.services import missing

LOCK = ROOT / "requirements" / "tom.lock"
SCHEMAS = Path(__file__).parents[2] / "schemas"
SCHEMA = json.loads((SCHEMAS / "nuncius" / "alert" / "1" / "0" / "nuncius.alert.avsc").read_text("utf-8"))
PARSED = fastavro.parse_schema(json.loads(json.dumps(SCHEMA)))
SCHEMA_ID = 1


def value(number: int, **more: Any) -> bytes:
    """A framed alert."""
    record = {
        "alert_id": f"ztf:{number}",
        "stream": "ztf",
        "object_id": f"ZTF26{number:07d}",
        "time": datetime(2026, 11, 21, 4, 0, number % 60, tzinfo=UTC),
        "ra": 10.0 + number / 1000,
        "dec": -5.0,
        "mag": 18.5,
        "band": "g",
        "hpx": 2**60 + number,
        "annotations": {"gaia.sep": 1.5, "candidate.ndethist": ("long", 2**60 + number)},
        "skymaps": [{"event": "S261121a", "revision": 2, "credible_level": 0.4, "density": 3.0, "dt": 600.0}],
        "filters": [{"name": "bright-transient", "version": 1}],
        "archive": {"file": "ztf/a.avro", "offset": 120, "length": 76000, "unit": 0},
        "packet": None,
        **more,
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PARSED, record)
    return b"\x00" + SCHEMA_ID.to_bytes(4, "big") + out.getvalue()


def produce(
    servers: str,
    topic: str,
    values: Sequence[bytes],
    *,
    stamps: Sequence[int] | None = None,
    partition: int = 0,
    headers: Mapping[str, bytes] | None = None,
) -> None:
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
    for number, data in enumerate(values):
        stamp = {"timestamp": stamps[number]} if stamps else {}
        more = [("nuncius.alert_id", b"ztf"), *(headers or {}).items()]
        producer.produce(topic, data, key=b"k", partition=partition, headers=more, **stamp)
    assert producer.flush(30) == 0


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A Nuncius that serves events with maps."""
    with told(tmp_path_factory.mktemp("events")) as made:
        yield made


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules may have a short `settle`: with the least that is allowed each fault would cost a quarter of a minute."""
    monkeypatch.setattr(reading, "_LATE", -5.0)


@pytest.fixture
def make_topic(kafka_bootstrap: str) -> Callable[..., str]:
    def make(partitions: int = 1, name: str | None = None) -> str:
        topic = name or f"matched.test-{uuid.uuid4().hex[:10]}"
        admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
        return topic

    return make


@pytest.fixture(scope="session")
def toolkit() -> str:
    """Python of the TOM Toolkit and of swifttools: that named by NUNCIUS_TEST_TOM, else one made from the lock."""
    given = os.environ.get("NUNCIUS_TEST_TOM")
    if given:
        return given
    place = ROOT / ".venv" / "tom"
    python, made = place / "bin" / "python", place / ".made"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not made.exists() or made.read_text() != digest:
        pip = [
            str(python),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            str(LOCK),
        ]
        for command in ([sys.executable, "-m", "venv", "--clear", str(place)], pip):
            done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
            if done.returncode:
                missing(f"the TOM Toolkit cannot be installed: {done.stderr[-500:]}; `make .venv/tom/.made` does it")
        made.write_text(digest)
    return str(python)
