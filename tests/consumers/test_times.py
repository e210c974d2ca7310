"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from consumers.errors import RequestError
from consumers.times import beginning, moment


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-11-21", 0), ("2026-11-21T04:00", 4), ("2026-11-21 04:00:00Z", 4), ("2026-11-21T05:00:00+01:00", 4)],
)
def test_a_time_is_utc_unless_it_says_otherwise(text: str, hour: int) -> None:
    assert moment("--start", text) == datetime(2026, 11, 21, hour, tzinfo=UTC)
    assert moment("--start", text).tzinfo is UTC
    assert beginning("--start-at", text) == datetime(2026, 11, 21, hour, tzinfo=UTC)


def test_words_for_times() -> None:
    before = datetime.now(UTC)
    assert before <= moment("--until", "now") <= datetime.now(UTC)
    assert [beginning("--start-at", word) for word in ("earliest", "latest")] == ["earliest", "latest"]


@pytest.mark.parametrize("text", ["soon", "", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_what_is_none_is_told_with_the_option(text: str) -> None:
    with pytest.raises(RequestError, match=r"--until .* is no time: write it like"):
        moment("--until", text)
    with pytest.raises(RequestError, match=r"--start-at .* is no time, nor earliest or latest"):
        beginning("--start-at", text)
