"""What the database has of a match is what its Kafka record has."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl

from broker.alert import COMMON, Batch
from broker.deliver.publish import encode
from broker.deliver.selected import selected
from tests.deliver.test_publish import addresses, batch, read, spec

FRAME = pl.DataFrame(
    {
        "alert_id": ["a", "b", "c"],
        "stream": ["ztf"] * 3,
        "object_id": ["o"] * 3,
        "time": [datetime(2026, 1, 2, tzinfo=UTC)] * 3,
        "mag": [17.0, 18.0, None],
        "candidate.drb": [0.9, float("nan"), 0.7],
        "candidate.field": [5, 6, 7],
        "ngc.id": ["NGC 1", None, "nul\0"],
    }
)
FILTERS = (
    spec("chosen", ["candidate.drb", "mag / 2 AS half", "ngc.id", "mag"]),
    spec("all"),
    spec("none"),
)


def test_the_same_as_on_kafka() -> None:
    given: Batch = batch(FRAME, {"chosen": [0, 2], "all": [1], "none": []})
    found = selected(given.frame, FILTERS, given.matches)
    assert {name: len(values) for name, values in found.items()} == {"chosen": 2, "all": 1}
    sent = [record for record in encode(given, FILTERS, addresses(3)) if record.topic.startswith("matched.")]
    assert len(sent) == 3
    for message, text in zip(sent, [*found["chosen"], *found["all"]], strict=True):
        expected = {name: value for name, value in read(message)["annotations"].items() if value is not None}
        got = {name: value for name, value in json.loads(text).items() if value is not None}
        assert got == {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in expected.items()}
        assert not set(got) & set(COMMON)


def test_nothing_picked_is_nothing_made() -> None:
    assert selected(FRAME, FILTERS, {"none": np.empty(0, np.int64)}) == {}


def test_a_filter_that_selects_common_columns_only() -> None:
    given = batch(FRAME, {"few": [0, 2]})
    assert selected(given.frame, [spec("few", ["mag", "ra"])], given.matches) == {"few": ["{}", "{}"]}
