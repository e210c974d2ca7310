"""Structured logs and metrics."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Literal

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from broker.errors import UsageError

__all__ = [
    "ALERTS",
    "BATCH_SECONDS",
    "BREAKERS",
    "COINCIDENCES",
    "DEAD_LETTERS",
    "DELIVERIES",
    "DELIVERY_SECONDS",
    "FILTER_ERRORS",
    "HALTED",
    "HEARTBEAT_AGE",
    "INGESTED",
    "LAG",
    "MATCHES",
    "RELAYED",
    "RETRIES",
    "STEP_SECONDS",
    "UPDATES",
    "VTP_SENT",
    "VTP_SUBSCRIBERS",
    "configure",
    "get_logger",
    "show_metrics",
]

LogFormat = Literal["console", "json"]

INGESTED = Counter("nuncius_ingested_total", "Records appended to raw topics", ["stream"])
ALERTS = Counter("nuncius_alerts_total", "Alerts through process, by what became of them", ["stream", "outcome"])
MATCHES = Counter("nuncius_matches_total", "Alerts picked", ["filter"])
UPDATES = Counter("nuncius_updates_total", "Alerts told again when an event changed", ["filter", "update"])
RELAYED = Counter("nuncius_relayed_total", "Matches a relay has read, by what became of them", ["relay", "outcome"])
FILTER_ERRORS = Counter("nuncius_filter_errors_total", "Batches a filter failed on", ["filter"])
DEAD_LETTERS = Counter("nuncius_dead_letters_total", "Alerts rejected", ["stream", "stage"])
COINCIDENCES = Counter("nuncius_coincidences_total", "Revisions of coincidences told", ["window", "state"])
RETRIES = Counter("nuncius_retries_total", "Batches done again after a fault that passes", ["fault"])
HALTED = Gauge("nuncius_stream_halted", "1 where a stream is stopped because too much of it is rejected", ["stream"])
HEARTBEAT_AGE = Gauge("nuncius_heartbeat_age_seconds", "Since the upstream last gave a sign of life", ["upstream"])
LAG = Gauge("nuncius_lag_records", "Records still to read", ["topic", "partition"])
BATCH_SECONDS = Histogram(
    "nuncius_batch_seconds", "Poll to commit", buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
)
STEP_SECONDS = Counter("nuncius_step_seconds_total", "Time spent", ["step"])
DELIVERIES = Counter("nuncius_deliveries_total", "Tries to deliver, by what came of them", ["channel", "outcome"])
DELIVERY_SECONDS = Histogram(
    "nuncius_delivery_seconds",
    "Receipt of an alert to its acknowledgement by a subscriber",
    ["channel"],
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200),
)
BREAKERS = Gauge("nuncius_delivery_breakers_open", "Subscriptions that do not answer, of which only probes are sent")
VTP_SENT = Counter("nuncius_vtp_sent_total", "VOEvents handed to subscribers, one a subscriber")
VTP_SUBSCRIBERS = Gauge("nuncius_vtp_subscribers", "Subscribers connected over the VOEvent transport")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def configure(level: str = "info", fmt: LogFormat = "console") -> None:
    """Write logs to standard error, so that standard output stays what a command prints.

    Parameters
    ----------
    level
        Least severity shown.
    fmt
        ``console`` for people, ``json`` for machines.
    """
    # Strangers' FITS departs from its standard in ways that do not matter, and astropy tells of each when a card is read. For
    # good and for all threads: `warnings.catch_warnings` of one thread undoes that of another.
    warnings.filterwarnings("ignore", module=r"astropy\.io\.fits\.")
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if fmt == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        # Looked up for each logger: who captures standard error puts another in its place.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def show_metrics(port: int | None) -> None:
    """Answer at ``/metrics`` of a port, from a thread of its own, with what this process counts; nothing without a port.

    Raises
    ------
    UsageError
        The port cannot be had.
    """
    if port is None:
        return
    try:
        start_http_server(port)
    except OSError as error:
        raise UsageError(f"metrics cannot be shown on port {port} ({error}): set another output.metrics_port") from error
