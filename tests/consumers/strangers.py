"""Stand-ins on loopback for services that tests may not ask: Treasure Map and TNS, as they answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass
class Stranger:
    """A service and what it was sent.

    Parameters
    ----------
    answers
        By path: statuses, headers and documents, one a request, the last for all that come after.
    asked
        Path, headers and body of each request.
    """

    url: str = ""
    answers: dict[str, list[tuple[int, dict[str, str], Any]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def to(self, path: str) -> list[tuple[dict[str, str], Any]]:
        return [(headers, body) for where, headers, body in self.asked if where == path]


@contextmanager
def stranger(answers: dict[str, list[tuple[int, dict[str, str], Any]]]) -> Iterator[Stranger]:
    """A server that answers what it is told to."""
    told = Stranger(answers={path: list(queue) for path, queue in answers.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body: Any = data
            if "json" in self.headers.get("Content-Type", ""):
                body = json.loads(data)
            elif "form" in self.headers.get("Content-Type", ""):
                body = {name: values[0] for name, values in parse_qs(data.decode()).items()}
            told.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            queue = told.answers.get(self.path, [(404, {}, {"detail": "nothing here"})])
            status, headers, document = queue.pop(0) if len(queue) > 1 else queue[0]
            answer = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
