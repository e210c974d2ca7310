"""Whether a filter may go live: not one that would pass more of its streams than the settings allow."""

from __future__ import annotations

from broker.errors import UsageError
from broker.filtering.definition import FilterSpec
from broker.store.filter_life import Gate
from broker.telemetry import get_logger
from broker.wiring.parts import Parts

__all__ = ["gate_of", "lenient_gate_of"]

log = get_logger(__name__)


def gate_of(parts: Parts) -> Gate:
    """The gate over what is kept: `RefusedError` where a filter picks too much of it."""

    def gate(spec: FilterSpec) -> None:
        from broker.wiring.backtest import expected_share, refuse  # noqa: PLC0415 - takes a second to load, and few verbs need it

        refuse(expected_share(parts, spec), parts.settings)

    return gate


def lenient_gate_of(parts: Parts) -> Gate:
    """The same for files, which may be written for packets yet to come: what no packet has is told in the log."""
    strict = gate_of(parts)

    def gate(spec: FilterSpec) -> None:
        try:
            strict(spec)
        except UsageError as error:
            log.warning("a filter reads what no packet kept has", filter=spec.name, reason=str(error))

    return gate
