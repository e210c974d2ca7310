"""Genuine Kafka and PostgreSQL for the time of a run."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

__all__ = ["Services", "both_services", "free_port", "fresh_database"]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Services:
    """Where they are."""

    kafka: str
    postgres: str


@contextmanager
def both_services(folder: Path) -> Iterator[Services]:
    """Start both and stop them in the end."""
    kafka, postgres = (str(ROOT / "infra" / name / "run.py") for name in ("kafka", "postgres"))
    kafka_port, postgres_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="nuncius-postgres-") as base:
        Path(base).chmod(0o755)
        places = {kafka: str(folder / "kafka"), postgres: str(Path(base) / "server")}
        for script, port in ((kafka, kafka_port), (postgres, postgres_port)):
            subprocess.run([sys.executable, script, "start", "--dir", places[script], "--port", str(port)], check=True)
        try:
            yield Services(f"127.0.0.1:{kafka_port}", f"postgresql+psycopg://nuncius@127.0.0.1:{postgres_port}/postgres")
        finally:
            for script, place in places.items():
                subprocess.run([sys.executable, script, "stop", "--dir", place], check=True)


def fresh_database(url: str) -> str:
    """URL of a database nobody has used; it goes with its server."""
    name = f"bench_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{url.rsplit('/', 1)[0]}/{name}"


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
