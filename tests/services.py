"""The real Apache Kafka and PostgreSQL that tests run against: those named in the environment, else ones of our own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).parent.parent
START_SECONDS = 300  # the first start fetches Kafka


def missing(what: str) -> None:
    """Skip for want of a service, or fail where all of them must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def kafka(folder: Path, *, own: bool = False) -> Iterator[str]:
    """Bootstrap servers of a Kafka; `own` is one that nobody else writes to."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given and not own:
        yield given
        return
    with _started_kafka(folder) as servers:
        yield servers


@dataclass(frozen=True)
class SaslKafka:
    """A Kafka that asks for passwords, and how its super user logs in."""

    servers: str
    properties: dict[str, str]

    def client(self, **more: object) -> dict[str, object]:
        """Properties of a client of the super user's."""
        return {"bootstrap.servers": self.servers, **self.properties, **more}

    def of(self, user: str, password: str) -> dict[str, object]:
        """Properties of somebody else's."""
        return {**self.properties, "sasl.username": user, "sasl.password": password}


@contextlib.contextmanager
def sasl_kafka(folder: Path) -> Iterator[SaslKafka]:
    """A Kafka of our own that asks for passwords, and lets nobody do what no access control list allows."""
    with _started_kafka(folder, "--sasl") as servers:
        lines = (folder / "client.properties").read_text().splitlines()
        properties = dict(line.split("=", 1) for line in lines)
        assert properties.pop("bootstrap.servers") == servers
        yield SaslKafka(servers, properties)


@contextlib.contextmanager
def _started_kafka(folder: Path, *options: str) -> Iterator[str]:
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            missing(f"Kafka needs {tool}: install it or set KAFKA_BOOTSTRAP_SERVERS")
    port = free_port()
    script = [sys.executable, str(ROOT / "infra" / "kafka" / "run.py")]
    started = subprocess.run(
        [*script, "start", "--dir", str(folder), "--port", str(port), *options],
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    if started.returncode:
        missing(f"Kafka does not start: {started.stderr[-2000:]}")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        subprocess.run([*script, "stop", "--dir", str(folder)], capture_output=True, timeout=60, check=True)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server, in SQLAlchemy's form, as a user who may make databases."""
    given = os.environ.get("NUNCIUS_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    script = [sys.executable, str(ROOT / "infra" / "postgres" / "run.py")]
    port = free_port()
    # Not below pytest's own folder: that is closed to the user PostgreSQL runs as when we are root.
    with tempfile.TemporaryDirectory(prefix="nuncius-postgres-") as base:
        Path(base).chmod(0o755)
        place = ["--dir", str(Path(base) / "server")]
        command = [*script, "start", *place, "--port", str(port)]
        started = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if started.returncode:
            missing(f"PostgreSQL does not start: {started.stderr[-2000:]}")
        try:
            yield f"postgresql+psycopg://nuncius@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*script, "stop", *place], capture_output=True, timeout=60, check=True)


@contextlib.contextmanager
def database(server_url: str) -> Iterator[str]:
    """URL of a database nobody has used, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    plain = server_url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{server_url.rsplit('/', 1)[0]}/{name}"
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
