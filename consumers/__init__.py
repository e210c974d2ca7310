"""The client library: alerts from a Nuncius broker, typed, with offsets under the reader's control.

>>> from consumers import subscribe
>>> with subscribe("ztf_bright_transients", "localhost:9092", start_at="earliest") as stream:  # doctest: +SKIP
...     for alert in stream:
...         print(alert.object_id, alert.ra, alert.dec, alert.mag)

Errors are drawn in `consumers.errors`. Nothing of the broker is imported.
"""

from __future__ import annotations

from consumers.alert import Alert, PacketAddress, SkyMapLevel
from consumers.errors import BadRecordError, ClientError, RequestError, SchemaError, UnavailableError
from consumers.options import Stream
from consumers.packets import fetch_cutout, fetch_packet
from consumers.subscription import subscribe

__all__ = [
    "Alert",
    "BadRecordError",
    "ClientError",
    "PacketAddress",
    "RequestError",
    "SchemaError",
    "SkyMapLevel",
    "Stream",
    "UnavailableError",
    "fetch_cutout",
    "fetch_packet",
    "subscribe",
]
