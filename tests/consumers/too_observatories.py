"""Stand-ins for observatories: real HTTP servers on loopback that speak their protocols, and misbehave when told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "s3cret-of-the-portal"
OVER = ("COMPLETED", "WINDOW_EXPIRED", "FAILURE_LIMIT_REACHED", "CANCELED")


@dataclass
class StandIn:
    """What a server has, was asked and is to do.

    `behaviour` says what happens to the next posts, one word each: ``ok``; ``500`` (not taken); ``500-taken``; ``hang`` (not
    taken, never answers), ``taken-hang``; ``close`` (not taken, closes), ``taken-close``; ``taken-empty`` (201, no body);
    ``429``; ``slow`` (a byte every now and then, for ever). After the last, ``ok``.
    """

    behaviour: list[str] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    lists_answer: int = 200
    cancels_answer: int = 200
    cancels_in_vain: int = 0
    validation: dict[str, Any] = field(default_factory=dict)
    on_post: Callable[[], None] = lambda: None
    url: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    def count(self, method: str, path: str) -> int:
        return sum(one == (method, path) for one in self.asked)

    @property
    def posts(self) -> int:
        return self.count("POST", "/api/requestgroups/")

    @property
    def live(self) -> list[dict[str, Any]]:
        return [one for one in self.groups if one["state"] == "PENDING"]


_PLAIN: dict[str, tuple[int, Any]] = {
    "500": (500, None),
    "500-taken": (500, None),
    "429": (429, {"detail": "Request was throttled"}),
    "taken-empty": (201, ""),
    "taken-odd": (201, ["not", "an", "object"]),
    "moved": (302, {"location": "elsewhere"}),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand: StandIn

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def answer(self, status: int, body: Any = None) -> None:
        self.raw(status, b"" if body is None else json.dumps(body).encode())

    def raw(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self) -> Any:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            return json.loads(data)
        except ValueError:
            return data

    def misbehave(self, take: Callable[[], dict[str, Any]]) -> None:
        """Answer a post as told."""
        stand = self.stand
        how = stand.behaviour.pop(0) if stand.behaviour else "ok"
        if how == "ok" or how.startswith("taken") or how == "500-taken":
            made = take()
            stand.on_post()
        if how == "ok":
            self.answer(201, made)
        elif how == "taken-nested":
            self.raw(201, b"[" * 500_000)
        elif how in _PLAIN:
            status, body = _PLAIN[how]
            self.answer(status, body or {"detail": f"sorry, {self.headers.get('Authorization')}"} if body != "" else None)
        elif how in {"hang", "taken-hang"}:
            stand.stop.wait(60)
        elif how == "slow":
            self.send_response(201)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            while not stand.stop.wait(0.05):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return
        self.close_connection = True


class _Portal(_Handler):
    """The observation portal: validate, create, list by name, read, cancel; only with its token."""

    def allowed(self) -> bool:
        self.stand.tokens.add(str(self.headers.get("Authorization")))
        if self.headers.get("Authorization") == f"Token {TOKEN}":
            return True
        self.answer(401, {"detail": "Authentication credentials were not provided."})
        return False

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self.body()
        self.stand.asked.append(("POST", path))
        if not self.allowed():
            return
        if path == "/api/requestgroups/validate/":
            errors = self.stand.validation or _errors(body)
            self.answer(200, {"request_durations": {}, "errors": errors})
        elif path == "/api/requestgroups/":
            self.stand.bodies.append(body)
            if errors := _errors(body):
                self.answer(400, errors)
            else:
                self.misbehave(lambda: self.take(body))
        elif path.endswith("/cancel/"):
            self.cancel(int(path.split("/")[-3]))
        else:
            self.answer(404, {"detail": "Not found."})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.stand.asked.append(("GET", parts.path))
        if not self.allowed():
            return
        if parts.path == "/api/requestgroups/":
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            found = [
                one
                for one in reversed(self.stand.groups)
                if asked.get("name", "").lower() in one["name"].lower()
                and asked.get("proposal", one["proposal"]) == one["proposal"]
            ]
            page = found[: int(asked.get("limit", 10))]
            status = self.stand.lists_answer
            self.answer(status, {"count": len(found), "results": page} if status == 200 else {"detail": "no"})
        else:
            number = int(parts.path.strip("/").rsplit("/", 1)[-1])
            one = next((one for one in self.stand.groups if one["id"] == number), None)
            self.answer(200 if one else 404, one or {"detail": "Not found."})

    def take(self, body: dict[str, Any]) -> dict[str, Any]:
        made = {**body, "id": 1000 + len(self.stand.groups), "state": "PENDING", "created": datetime.now(UTC).isoformat()}
        self.stand.groups.append(made)
        return made

    def cancel(self, number: int) -> None:
        one = next((one for one in self.stand.groups if one["id"] == number), None)
        if self.stand.cancels_answer != 200:
            self.answer(self.stand.cancels_answer, {"detail": "no"})
        elif one is None:
            self.answer(404, {"detail": "Not found."})
        elif one["state"] in OVER:
            self.answer(400, {"errors": [f"Cannot change requestgroup state from {one['state']} to CANCELED"]})
        elif self.stand.cancels_in_vain:
            self.stand.cancels_in_vain -= 1
            self.answer(200, one)
        else:
            one["state"] = "CANCELED"
            self.answer(200, one)


def _errors(body: Any) -> dict[str, Any]:
    """What the portal would find wrong; written from its documentation, not from our rules."""
    errors: dict[str, Any] = {}
    if not isinstance(body, dict):
        return {"non_field_errors": ["Invalid data. Expected a dictionary."]}
    for name in ("name", "proposal", "operator", "observation_type", "ipp_value", "requests"):
        if name not in body:
            errors[name] = ["This field is required."]
    if len(body.get("name", "")) > 50:
        errors["name"] = ["Ensure this field has no more than 50 characters."]
    for request in body.get("requests", []):
        for window in request["windows"]:
            if datetime.fromisoformat(window["end"]) < datetime.now(UTC):
                errors["requests"] = [{"windows": [{"end": ["Window end time must be in the future"]}]}]
            if window["end"] <= window["start"]:
                errors["requests"] = [{"windows": ["end is before start"]}]
    return errors


class _Own(_Handler):
    """A telescope of one's own: the generic protocol of docs/too.md."""

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self.body()
        self.stand.asked.append(("POST", path))
        self.stand.tokens.add(str(self.headers.get("Authorization")))
        self.stand.bodies.append(body)
        if path.endswith("/cancel"):
            one = next((one for one in self.stand.groups if path == f"/requests/{one['id']}/cancel"), None)
            if one is not None:
                one["state"] = "cancelled"
            self.answer(200 if one else 404, one or {"detail": "none"})
        else:
            self.misbehave(lambda: self.take(body))

    def take(self, body: dict[str, Any]) -> dict[str, Any]:
        made = {"id": f"r{len(self.stand.groups)}", "request_id": body["request_id"], "state": "requested"}
        self.stand.groups.append(made)
        return made

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.stand.asked.append(("GET", parts.path))
        key = parse_qs(parts.query).get("request_id", [""])[0]
        self.answer(self.stand.lists_answer, {"results": [one for one in self.stand.groups if one["request_id"] == key]})


class _Rtml(_Handler):
    """A telescope that reads RTML."""

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.stand.asked.append(("POST", urlsplit(self.path).path))
        self.stand.bodies.append(data)
        how = self.stand.behaviour.pop(0) if self.stand.behaviour else "confirm"
        if how == "close":
            self.close_connection = True
            return
        said = (
            f'<?xml version="1.0"?><RTML xmlns="http://www.rtml.org/v3.1a" version="3.1a" mode="{how}" uid="rtml://there/1"/>'
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())


@contextmanager
def _serve(kind: type[_Handler], stand: StandIn) -> Iterator[StandIn]:
    handler = type("Handler", (kind,), {"stand": stand})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    stand.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stand
    finally:
        stand.stop.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def portal(*behaviour: str) -> Iterator[StandIn]:
    """An observation portal."""
    with _serve(_Portal, StandIn(list(behaviour))) as stand:
        yield stand


@contextmanager
def own_telescope(*behaviour: str) -> Iterator[StandIn]:
    """A telescope that takes generic requests at ``/requests``."""
    with _serve(_Own, StandIn(list(behaviour))) as stand:
        yield stand


@contextmanager
def rtml_telescope(*behaviour: str) -> Iterator[StandIn]:
    """A telescope that takes RTML."""
    with _serve(_Rtml, StandIn(list(behaviour))) as stand:
        yield stand


def eventually(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for something; gives it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return found


class _SkyPortal(_Handler):
    """SkyPortal: follow-up requests and observation plans, in its envelope."""

    def said(self, data: Any) -> None:
        self.answer(200, {"status": "success", "data": data, "version": "1"})

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self.body()
        self.stand.asked.append(("POST", path))
        self.stand.tokens.add(str(self.headers.get("Authorization")))
        self.stand.bodies.append(body)
        how = self.stand.behaviour.pop(0) if self.stand.behaviour else "ok"
        if how == "refuse":
            self.answer(400, {"status": "error", "message": "Could not find source"})
            return
        if how == "ignored":
            message = "Source has already been requested for this allocation, not submitting request"
            self.said({"id": None, "ignored": True, "message": message})
            return
        number = 7 + len(self.stand.groups)
        self.stand.groups.append({**body, "id": number, "status": "submitted"})
        if how == "taken-close":
            self.close_connection = True
        else:
            self.said({"ids": [number]} if path == "/api/observation_plan" else {"id": number, "request_status": "submitted"})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.stand.asked.append(("GET", parts.path))
        if parts.path == "/api/gcn_event":
            events = [
                {
                    "id": 5,
                    "dateobs": "2026-11-21T20:00:00",
                    "aliases": ["LVC#S261121a"],
                    "localizations": [{"id": 2}, {"id": 9}],
                }
            ]
            self.said({"events": [one for one in events if asked["partialdateobs"] in str(one)], "totalMatches": 1})
        elif parts.path == "/api/gcn_event/5/observation_plan_requests":
            self.said(self.stand.groups)
        elif parts.path == "/api/followup_request":
            found = [one for one in self.stand.groups if asked["sourceID"] in one["obj_id"]]
            self.said({"followup_requests": found, "totalMatches": len(found)})
        else:
            self.said(next(one for one in self.stand.groups if one["id"] == int(parts.path.rsplit("/", 1)[-1])))

    def do_DELETE(self) -> None:
        path = urlsplit(self.path).path
        self.stand.asked.append(("DELETE", path))
        for one in self.stand.groups:
            if one["id"] == int(path.rsplit("/", 1)[-1]):
                one["status"] = "deleted"
        self.said(None)


class _Swift(_Handler):
    """Swift's API: a session by name and secret, requests as form fields."""

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.stand.asked.append(("POST", path))
        if path == "/login":
            right = json.loads(data) == {"username": "me", "password": TOKEN}
            self.send_response(200 if right else 401)
            self.send_header("Set-Cookie", "session=abc; Path=/; HttpOnly")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        fields = {name: values[0] for name, values in parse_qs(data.decode()).items()}
        self.stand.bodies.append(fields)
        if "session=abc" not in str(self.headers.get("Cookie")):
            self.answer(401, {"detail": "Not authenticated"})
        elif fields["validate_only"] == "true":
            self.answer(200, {"status": "Validated", "errors": self.stand.validation.get("errors", [])})
        else:
            how = self.stand.behaviour.pop(0) if self.stand.behaviour else "ok"
            number = 900 + len(self.stand.groups)
            self.stand.groups.append({**fields, "too_id": number})
            if how == "taken-close":
                self.close_connection = True
            else:
                self.answer(200, {"status": {"status": "Accepted", "too_id": number, "errors": [], "warnings": []}})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.stand.asked.append(("GET", parts.path))
        if "too_id" in asked:
            found = [one for one in self.stand.groups if str(one["too_id"]) == asked["too_id"]]
        else:
            found = [one for one in self.stand.groups if (one["ra"], one["username"]) == (asked["ra"], asked["username"])]
        self.answer(200, {"entries": found, "status": {"status": "Accepted"}})


@contextmanager
def skyportal(*behaviour: str) -> Iterator[StandIn]:
    """A SkyPortal."""
    with _serve(_SkyPortal, StandIn(list(behaviour))) as stand:
        yield stand


@contextmanager
def swift_api(*behaviour: str) -> Iterator[StandIn]:
    """Swift's API."""
    with _serve(_Swift, StandIn(list(behaviour))) as stand:
        yield stand
