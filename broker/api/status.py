"""``status``, ``health`` and ``metrics``: how the service does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict, Field, computed_field
from sqlalchemy import text

from broker.api.auth import Asks
from broker.api.hidden import Hidden, hidden_from
from broker.api.models import Utc
from broker.api.principal import Principal
from broker.api.problems import RESPONSES
from broker.api.services import Services
from broker.api.values import plain
from broker.errors import TransientError
from broker.store.engine import connection

__all__ = ["Status", "metrics_of", "router"]


class Sums(BaseModel):
    """What became of the alerts that came in."""

    received: int = 0
    published: int = 0
    duplicate: int = 0
    rejected: int = 0
    matched: int | None = None

    @computed_field(description="Whether received = published + duplicate + rejected")  # type: ignore[prop-decorator]
    @property
    def balanced(self) -> bool:
        """Whether every alert is accounted for."""
        return self.received == self.published + self.duplicate + self.rejected


class Ledger(BaseModel):
    """Totals, and the same by stream."""

    total: Sums = Field(default_factory=Sums)
    streams: dict[str, Sums] = Field(default_factory=dict)


class Lag(BaseModel):
    """How far a reader is behind."""

    group: str
    topic: str
    partition: int
    records: int


class Heartbeat(BaseModel):
    """An upstream that gives signs of life."""

    upstream: str
    seen: Utc | None = Field(default=None, description="When we had the last one")
    sent: Utc | None = Field(default=None, description="By its own clock")
    age_seconds: float
    silent: bool = Field(description="Whether that is longer ago than is well")


class Status(BaseModel):
    """How the service does; what wiring gives beyond these goes out as it is."""

    model_config = ConfigDict(extra="allow")

    version: str
    uptime: float | None = Field(default=None, description="Seconds")
    ledger: Ledger = Field(default_factory=Ledger)
    lag: list[Lag] = Field(default_factory=list)
    halted: list[str] = Field(default_factory=list, description="Streams stopped because too much of them was rejected")
    heartbeats: list[Heartbeat] = Field(default_factory=list, description="Upstreams that give signs of life")
    rates: dict[str, float] = Field(default_factory=dict, description="Alerts a second by stream, of late")


class Health(BaseModel):
    """Whether we live, and whether we can serve."""

    alive: bool = True
    ready: bool
    parts: dict[str, str] = Field(description="`ok`, or what is wrong", examples=[{"store": "ok", "log": "ok"}])
    alarms: dict[str, str] = Field(
        default_factory=dict,
        description="What is wrong outside, such as an upstream that has fallen silent; it does not keep us from serving",
        examples=[{"heartbeat of gcn": "silent for 75 s"}],
    )


def _probe(services: Services) -> dict[str, str]:
    def store() -> None:
        with connection(services.store) as conn:
            conn.execute(text("SELECT 1"))

    probes = {"store": store, "log": services.log.topics}
    parts = {}
    for name, probe in probes.items():
        try:
            probe()
            parts[name] = "ok"
        except TransientError:
            parts[name] = "unavailable"
    return parts


class _Visible(Collector):
    """The figures of this process without those of hidden filters."""

    def __init__(self, hidden: Hidden) -> None:
        self._hidden = hidden

    def collect(self) -> Iterator[Metric]:
        """All of them, one after the other."""
        for metric in REGISTRY.collect():
            kept = [sample for sample in metric.samples if sample.labels.get("filter") not in self._hidden.filters]
            if len(kept) < len(metric.samples):
                shown = Metric(metric.name, metric.documentation, metric.type, metric.unit)
                shown.samples = kept
                yield shown
            else:
                yield metric


def metrics_of(services: Services) -> Callable[[Principal], Response]:
    """What answers with the figures for Prometheus."""

    def metrics(asks: Asks) -> Response:
        """Figures for Prometheus."""
        return Response(generate_latest(_Visible(hidden_from(services, asks))), media_type=CONTENT_TYPE_LATEST)

    return metrics


def router(services: Services) -> APIRouter:
    """Routes of this resource."""
    routes = APIRouter(tags=["service"])

    @routes.get("/status", responses=RESPONSES)
    def status(asks: Asks) -> Status:
        """Ledger, lag, halted streams: whether every alert is accounted for, and how far readers are behind."""
        given: Mapping[str, Any] = services.status()
        hidden = hidden_from(services, asks).filters
        if hidden and isinstance(given.get("matches"), Mapping):
            shown = {name: count for name, count in given["matches"].items() if name not in hidden}
            given = {**given, "matches": shown}
        answer = Status.model_validate({**given, "version": services.version})
        for name, value in (answer.model_extra or {}).items():
            setattr(answer, name, plain(value, name))
        return answer

    @routes.get("/health", responses={503: {"model": Health, "description": "Alive, but not able to serve"}})
    def health(response: Response) -> Health:
        """Readiness: 200 where database and log can be reached, else 503."""
        parts = _probe(services)
        ready = set(parts.values()) == {"ok"}
        response.status_code = 200 if ready else 503
        alarms = services.alarms() if parts["store"] == "ok" else {}
        return Health(ready=ready, parts=parts, alarms=dict(alarms))

    @routes.get("/health/live")
    def live() -> Health:
        """Liveness: 200 whenever we can answer at all."""
        return Health(ready=True, parts={})

    routes.add_api_route(
        "/metrics",
        metrics_of(services),
        response_class=Response,
        responses={200: {"description": "Prometheus text format", "content": {"text/plain": {}}}},
    )
    return routes
