"""Kafka's subscribers from the command line; what they can read then is tried in tests/integration/test_sasl.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broker.cli.app import run
from broker.stream import kafka_access
from tests.running import install
from tests.services import SaslKafka


@pytest.mark.parametrize("verb", [["grant", "ann", "gw_counterparts"], ["list"], ["revoke", "ann"]])
def test_the_embedded_log_has_no_accounts(tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    install(tmp_path / "data")
    assert run(["--data", str(tmp_path / "data"), "access", *verb]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "embedded log" in told
    assert 'log.engine = "kafka"' in told


def test_reading_makes_no_folder(tmp_path: Path) -> None:
    for verb in (["grant", "ann", "gw_counterparts"], ["list"], ["revoke", "ann"]):
        assert run(["--data", str(tmp_path / "nowhere"), "access", *verb]) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.kafka
def test_a_cluster_without_authorizer(tmp_path: Path, kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path / "data", kafka=kafka_bootstrap)
    for verb in (["grant", "ann", "gw_counterparts"], ["list"], ["revoke", "ann"]):
        assert run(["--data", str(tmp_path / "data"), "access", *verb]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert "has no authorizer" in told
        assert "docs/operations.md" in told


@pytest.mark.kafka
def test_grant_list_revoke(tmp_path: Path, sasl_kafka: SaslKafka, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path / "data", kafka=sasl_kafka.servers, properties=sasl_kafka.properties)
    verb = ["--data", str(tmp_path / "data"), "access"]
    assert run([*verb, "grant", "hypatia", "gw_counterparts", "event_counterparts"]) == 0
    told = capsys.readouterr()
    password = told.out.strip()
    assert len(password) == 43
    assert password not in told.err
    assert "sasl.username=hypatia" in told.err
    assert run([*verb, "grant", "hypatia", "gw_counterparts", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["password"], again["filters"], again["groups"]) == (None, ["gw_counterparts"], "hypatia-")
    assert run([*verb, "grant", "hypatia", "gw_counterparts", "--rotate"]) == 0
    assert capsys.readouterr().out.strip() not in {"", password}
    assert run([*verb, "revoke", "hypatia", "gw_counterparts"]) == 0
    assert run([*verb, "list", "--json"]) == 0
    listed = {one["user"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["hypatia"] == {
        "user": "hypatia",
        "filters": ["event_counterparts"],
        "groups": "hypatia-",
        "password": True,
    }
    assert run([*verb, "list"]) == 0
    assert "event_counterparts" in capsys.readouterr().out
    assert run([*verb, "revoke", "hypatia"]) == 0
    assert "hypatia" not in {one.user for one in kafka_access.listing(sasl_kafka.servers, sasl_kafka.properties)}


@pytest.mark.kafka
def test_what_is_refused(tmp_path: Path, sasl_kafka: SaslKafka, capsys: pytest.CaptureFixture[str]) -> None:
    more = '[relay.gcn]\nkind = "gcn"\nfilters = ["gw_counterparts"]\ntopic = "theirs"\ngroup = "towers-relay"\n'
    install(tmp_path / "data", kafka=sasl_kafka.servers, properties=sasl_kafka.properties, more=more)
    verb = ["--data", str(tmp_path / "data"), "access"]
    for name, says, status in (
        ("towers", "would own our consumer group 'towers-relay'", 1),
        ("process", "would own our consumer group 'process-", 1),
        ("Ann", "lower-case", 2),
        ("ann-b", "no dash", 2),
        ("nuncius", "Nuncius' own", 2),
    ):
        assert run([*verb, "grant", name, "gw_counterparts"]) == status, name
        assert says in " ".join(capsys.readouterr().err.split())
    assert run([*verb, "grant", "ann", "gw_counterpart"]) == 1
    assert "did you mean gw_counterparts" in " ".join(capsys.readouterr().err.split())
    assert run([*verb, "revoke", "nobody_here"]) == 1
    assert not {"towers", "process", "ann"} & {
        one.user for one in kafka_access.listing(sasl_kafka.servers, sasl_kafka.properties)
    }


@pytest.mark.kafka
def test_a_private_filter_is_warned_of(tmp_path: Path, sasl_kafka: SaslKafka, capsys: pytest.CaptureFixture[str]) -> None:
    from broker.store import filters, people, teams
    from broker.store.engine import close, open_store

    folder = tmp_path / "data"
    install(folder, kafka=sasl_kafka.servers, properties=sasl_kafka.properties)
    assert run(["--data", str(folder), "filter", "list"]) == 0  # the folder of filters is taken in
    store = open_store(f"sqlite:///{folder}/nuncius.sqlite")
    for name in ("owner", "member", "stranger"):
        people.add(store, name)
    teams.add(store, "moon", manager="owner")
    teams.join(store, "moon", "member")
    filters.share(store, "gw_counterparts", filters.Ownership("owner", None, "private"))
    filters.share(store, "event_counterparts", filters.Ownership("owner", "moon", "team"))
    close(store)
    for name, warned in (("owner", 0), ("member", 1), ("stranger", 2), ("no.account", 2)):
        capsys.readouterr()
        assert run(["--data", str(folder), "access", "grant", name, "gw_counterparts", "event_counterparts"]) == 0
        assert capsys.readouterr().err.count("warning:") == warned, name
        assert run(["--data", str(folder), "access", "revoke", name]) == 0
