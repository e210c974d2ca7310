"""Asking the process that sends messages."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Final

__all__ = ["Sender"]

_LARGEST: Final = 1 << 20  # bytes of an answer of our own process
_GRACE: Final = 30.0  # seconds, beyond what sending may take, for the process to start on a busy machine
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH")
"""Of the environment: no proxies, which would connect to where we may not; no home with passwords for servers in it."""


class Sender:
    """The process, started when something is to be sent for the first time, and again when it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def ask(self, question: bytes, timeout: float) -> bytes:
        """Answer to a question; as much of it as there is where sending took longer than `timeout` seconds, or too much memory.

        Raises
        ------
        OSError
            The process cannot be had.
        """
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._hand_over(theirs)
            deadline, answer = time.monotonic() + timeout + _GRACE, bytearray()
            try:
                ours.settimeout(timeout + _GRACE)
                ours.sendall(question)
                ours.shutdown(socket.SHUT_WR)
                while (left := deadline - time.monotonic()) > 0 and len(answer) <= _LARGEST:
                    ours.settimeout(left)
                    if not (part := ours.recv(1 << 16)):
                        break
                    answer += part
            except (TimeoutError, ConnectionError, BrokenPipeError):
                pass
        return bytes(answer[:_LARGEST])

    def close(self) -> None:
        """End the process; what is under way comes to its end."""
        with self._lock:
            self._close()

    def _hand_over(self, theirs: socket.socket) -> None:
        with self._lock:
            for again in (False, True):
                if self._control is None:
                    self._start()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [b"?"], [theirs.fileno()])
                except OSError:
                    self._close()
                    if again:
                        raise
                else:
                    return

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        with theirs:
            # Of a session of its own: Ctrl-C is for us to answer.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "broker.deliver.message_process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what a stranger makes it say is not for our log
                env={**kept, "HOME": os.devnull, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
        self._control = ours

    def _close(self) -> None:
        control, self._control = self._control, None
        process, self._process = self._process, None
        if control is not None:
            control.close()
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
                return
            process.kill()
            process.wait()
