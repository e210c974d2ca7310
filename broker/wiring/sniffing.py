"""What bytes are, told by their content."""

from __future__ import annotations

from broker.decode.sniff import sniff_notice
from broker.decode.sniff_avro import sniff_avro
from broker.ingest.raw import Kind, Sniff
from broker.wiring.parts import Parts

__all__ = ["sniffer"]

AVRO = "application/avro"


def sniffer(parts: Parts) -> Sniff:
    """Teller of kinds for notices and for every declared survey."""

    def sniff(data: bytes) -> Kind | None:
        notice = sniff_notice(data)
        if notice is not None:
            return Kind(notice.stream, notice.content_type, ordered=True)
        stream = sniff_avro(data, parts.declarations, parts.schemas)
        return Kind(stream, AVRO) if stream else None

    return sniff
