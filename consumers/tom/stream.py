"""An alert stream for ``readstreams`` of tom_alertstreams: matches of Nuncius as they come, over Kafka or its API."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.db import close_old_connections
from tom_alertstreams.alertstreams.alertstream import AlertStream

from consumers import Alert, subscribe
from consumers.options import MATCHED

__all__ = ["NunciusAlertStream"]

_log = logging.getLogger(__name__)

Handler = Callable[..., object]


class NunciusAlertStream(AlertStream):  # type: ignore[misc]
    """Matches of Nuncius.

    Options
    -------
    URL
        Kafka's bootstrap servers, or the address of a Nuncius API.
    TOPIC_HANDLERS
        What is called with the alerts of a filter (its name), of a topic, or of topics by a regular expression that begins with
        ``^``: a function of an alert (`consumers.Alert`) and the keywords ``alert_stream`` and ``topic``.
    GROUP_ID
        On Kafka: go on where the group stopped. An alert is committed once its handler is done.
    POSITION_FILE
        Over the API: the file that says where to go on.
    START_AT
        ``latest`` unless given, ``earliest`` or a time; where there is neither group nor position.
    PROPERTIES
        librdkafka properties, such as ``sasl.username``.
    TOKEN
        Over the API, where accounts are required; else ``NUNCIUS_TOKEN``.
    REGISTRY
        Schema registry of the topics.

    A handler that fails is logged with the alert's id, and the stream goes on.
    """

    required_keys = ("URL", "TOPIC_HANDLERS")
    allowed_keys = (*required_keys, "GROUP_ID", "POSITION_FILE", "START_AT", "PROPERTIES", "TOKEN", "REGISTRY", "UNTIL")

    def listen(self) -> None:
        """Read and hand over, until the process ends."""
        place = Path(self._option("POSITION_FILE")) if self._option("POSITION_FILE") else None
        with subscribe(
            list(self.alert_handler),
            self._option("URL"),
            group=self._option("GROUP_ID"),
            start_at=_begin(place, self._option("START_AT") or "latest"),
            until=self._option("UNTIL"),
            config=self._option("PROPERTIES"),
            registry=self._option("REGISTRY"),
            token=self._option("TOKEN"),
            on_error="skip",
            on_wait=_log.warning,
        ) as stream:
            for alert in stream:
                self.handle(alert)
                if self._option("GROUP_ID"):
                    alert.commit()
                if place is not None and alert.position is not None:
                    _write(place, alert.position)

    def handle(self, alert: Alert) -> None:
        """Call the handler of an alert's topic."""
        name, handler = handler_of(alert.topic, self.alert_handler)
        if handler is None:
            _log.error("alert %s of topic %s: TOPIC_HANDLERS has no handler for it", alert.alert_id, alert.topic)
            return
        close_old_connections()  # a quiet night is longer than a database keeps a connection
        try:
            handler(alert, alert_stream=self, topic=name)
        except Exception:  # noqa: BLE001 - whatever a handler raises: other alerts are waiting
            _log.exception("alert %s of topic %s: its handler failed; the stream goes on", alert.alert_id, alert.topic)

    def _option(self, name: str) -> Any:
        return getattr(self, name.lower(), None)


def handler_of(topic: str, handlers: Mapping[str, Handler]) -> tuple[str, Handler | None]:
    """Under which name the handler of a topic is, and the handler; ``None`` where there is none."""
    short = topic.removeprefix(MATCHED)
    for name, handler in handlers.items():
        if name in {topic, short} or (name.startswith("^") and re.match(name, topic)):
            return name, handler
    return topic, None


def _begin(place: Path | None, otherwise: str) -> str:
    if place is None or not place.exists():
        return otherwise
    return place.read_text("utf-8").strip() or otherwise


def _write(place: Path, position: str) -> None:
    fresh = place.with_name(f"{place.name}.new")
    fresh.write_text(position, "utf-8")
    fresh.replace(place)  # a crash leaves the one or the other, whole
