"""Names of our topics and of the headers on their records."""

from __future__ import annotations

__all__ = [
    "COINCIDENCES",
    "COINCIDENCE_STREAM",
    "DEAD_LETTER",
    "DELIVER",
    "EVENTS",
    "HEADER_ALERT_ID",
    "HEADER_CONTENT_TYPE",
    "HEADER_DEAD_FIRST",
    "HEADER_DEAD_OFFSET",
    "HEADER_DEAD_PARTITION",
    "HEADER_DEAD_REASON",
    "HEADER_DEAD_STAGE",
    "HEADER_DEAD_TOPIC",
    "HEADER_DEAD_UNITS",
    "HEADER_EVENT",
    "HEADER_FILTER",
    "HEADER_FILTER_VERSION",
    "HEADER_ORIGIN",
    "HEADER_OVERSIZE",
    "HEADER_RECEIVED",
    "HEADER_REVISION",
    "HEADER_STATE",
    "HEADER_UPDATE",
    "OURS",
    "RAW_PATTERN",
    "TEST_EVENTS",
    "alerts",
    "matched",
    "raw",
    "stream_of",
]

OURS = "nuncius."  # how the names of our headers begin; from outside they are not taken

DEAD_LETTER = "dead-letter"
RAW_PATTERN = r"^raw\..+"
EVENTS = "events"
TEST_EVENTS = "test.events"  # tests, mock data, injections, commanded events
COINCIDENCES = "coincidences"
COINCIDENCE_STREAM = "coincidence"  # they go the way of alerts too, as notices of this stream

# On raw.<stream>: where the bytes came from ("kafka://host/topic/partition/offset", "file:name#member"), what they are, and
# when we had them (ISO 8601 UTC).
HEADER_ORIGIN = "nuncius.origin"
HEADER_CONTENT_TYPE = "content-type"
HEADER_RECEIVED = "nuncius.received"
# On raw.<stream>, where the bytes were too many for a record: where all of them are. Such a record is rejected.
HEADER_OVERSIZE = "nuncius.oversize"

# On alerts.* and matched.*.
HEADER_ALERT_ID = "nuncius.alert_id"
HEADER_FILTER = "nuncius.filter"
HEADER_FILTER_VERSION = "nuncius.filter_version"

# On events, test.events and coincidences: the name of the event, the number of its revision, its state. On matched.*, when
# somebody is told again: why ("rescored", "retracted"), and by which revision of which event.
HEADER_EVENT = "nuncius.event"
HEADER_REVISION = "nuncius.revision"
HEADER_STATE = "nuncius.state"
HEADER_UPDATE = "nuncius.update"

# On dead-letter: the reason, the stage it failed at, and the raw record it is; of the stage "deliver", the record of matched.*.
HEADER_DEAD_REASON = "nuncius.reason"
HEADER_DEAD_STAGE = "nuncius.stage"
HEADER_DEAD_TOPIC = "nuncius.topic"
HEADER_DEAD_PARTITION = "nuncius.partition"
HEADER_DEAD_OFFSET = "nuncius.offset"
HEADER_DEAD_UNITS = "nuncius.units"  # how many of the record's alerts were rejected
DELIVER = "deliver"  # the stage at which a match is taken in for its subscribers
# On raw.<stream>, where the record was dead already and put back: the raw record that died first ("topic/partition/offset").
HEADER_DEAD_FIRST = "nuncius.first"


def raw(stream: str) -> str:
    """Topic of a stream's bytes as received."""
    return f"raw.{stream}"


def alerts(stream: str) -> str:
    """Topic of all a stream's alerts."""
    return f"alerts.{stream}"


def matched(filter_name: str) -> str:
    """Topic of the alerts a filter picked."""
    return f"matched.{filter_name}"


def stream_of(topic: str) -> str:
    """Stream of a ``raw.`` or ``alerts.`` topic."""
    return topic.split(".", 1)[1]
