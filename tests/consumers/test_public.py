"""The package's face: names, errors, arguments."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

import consumers
from consumers import BadRecordError, ClientError, RequestError, SchemaError, UnavailableError, errors, subscribe
from consumers.options import backoff, topic_names


def test_names_are_sorted_and_there():
    assert consumers.__all__ == sorted(consumers.__all__)
    assert all(hasattr(consumers, name) for name in consumers.__all__)


def test_error_tree_is_as_drawn():
    assert all(name in (errors.__doc__ or "") for name in errors.__all__)
    assert issubclass(SchemaError, BadRecordError)
    assert all(issubclass(error, ClientError) for error in (BadRecordError, RequestError, UnavailableError))


def test_imports_nothing_of_the_broker():
    code = "import consumers, consumers.cli, sys; print([name for name in sys.modules if name.split('.')[0] == 'broker'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("asked", "topics"),
    [
        ("bright-transient", ("matched.bright-transient",)),
        (["alerts.ztf", "fast"], ("alerts.ztf", "matched.fast")),
        ("^matched[.].*", ("^matched[.].*",)),
        ("dead-letter", ("dead-letter",)),
    ],
)
def test_names_of_filters_stand_for_topics(asked, topics):
    assert topic_names(asked) == topics


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"topics": []}, "no topic or filter"),
        ({"topics": "a", "start_at": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001 - that is the fault
        ({"topics": "a", "start_at": "yesterday"}, "earliest"),
        ({"topics": "a", "start_at": None}, "start_at is None"),
        ({"topics": "a", "bootstrap_servers": "http://127.0.0.1:9", "start_at": None}, "start_at is None"),
        ({"topics": "a", "bootstrap_servers": "http://127.0.0.1:9", "start_at": ""}, "start_at is ''"),
        ({"topics": "a", "bootstrap_servers": "http://127.0.0.1:9", "start_at": "match:x"}, "no position we gave"),
        (
            {"topics": "a", "start_at": datetime(2026, 11, 22, tzinfo=UTC), "until": datetime(2026, 11, 21, tzinfo=UTC)},
            "after until",
        ),
        ({"topics": "a", "on_error": "ignore"}, "skip"),
        ({"topics": "a", "isolation": "none"}, "read_committed"),
        ({"topics": "^("}, "regular expression"),
        ({"topics": "a", "config": {"no.such.property": "1"}}, "no.such.property"),
        ({"topics": "alerts.ztf", "bootstrap_servers": "http://127.0.0.1:9"}, "name filters"),
        ({"topics": "a", "bootstrap_servers": "http://127.0.0.1:9", "group": "g"}, "Kafka's"),
    ],
)
def test_wrong_arguments_are_refused_with_the_remedy(arguments, says):
    with pytest.raises(RequestError, match=says):
        subscribe(**arguments)


def test_backoff_grows_and_is_capped():
    waits = [backoff(attempt) for attempt in range(12)]
    assert waits == sorted(waits)
    assert waits[0] == 0.1
    assert waits[-1] == 5.0
