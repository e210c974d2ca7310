"""Where the API listens."""

from __future__ import annotations

import socket

import pytest

from broker.errors import UsageError
from broker.wiring.serving import STUCK_SECONDS, listen


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="of Linux")
def test_connections_have_an_end_if_nobody_reads() -> None:
    with listen("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == STUCK_SECONDS * 1000


def test_an_address_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(UsageError, match="choose another with --port"):
            listen("127.0.0.1", first.getsockname()[1])
