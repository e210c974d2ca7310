"""The services tests run against are the real ones."""

from __future__ import annotations

import psycopg
import pytest
from confluent_kafka.admin import AdminClient


@pytest.mark.postgres
def test_each_test_has_a_database_of_its_own(fresh_postgres):
    with psycopg.connect(fresh_postgres.replace("+psycopg", "")) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        version = connection.info.server_version
    assert tables == (0,)
    assert version >= 150000


@pytest.mark.kafka
def test_kafka_is_there(kafka_bootstrap):
    metadata = AdminClient({"bootstrap.servers": kafka_bootstrap}).list_topics(timeout=10)
    assert metadata.brokers
