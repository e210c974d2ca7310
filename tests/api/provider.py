"""A small OpenID provider: it keeps to the protocol, unless told to break it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "nuncius", "a secret between the two"


def _plain(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


class Provider:
    """Who logs in here is always the same, and agrees.

    Parameters
    ----------
    who
        Claims of the person.
    spoil
        Changes the claims of an id_token before it is signed.
    sign
        Signs it, where not as promised.
    """

    def __init__(self) -> None:
        self.url = ""
        self.who: dict[str, Any] = {"sub": "0007", "preferred_username": "Hypatia", "email": "h@example.org", "name": "Hypatia"}
        self.spoil: Callable[[dict[str, Any]], Any] = lambda _claims: None
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.metadata: dict[str, Any] = {}
        self.answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.turn_keys()

    def turn_keys(self) -> None:
        """Sign with another key from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "alg": "RS256", "use": "sig"})

    def signed(self, claims: dict[str, Any]) -> str:
        """As it should be."""
        return jws.serialize_compact({"alg": "RS256", "kid": self.key.kid}, json.dumps(claims), self.key)

    def signed_by_another(self, claims: dict[str, Any]) -> str:
        """With a key that is not ours, under the name of ours."""
        key = RSAKey.generate_key(2048)
        return jws.serialize_compact({"alg": "RS256", "kid": self.key.kid}, json.dumps(claims), key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        """With no signature, and saying so."""
        return f"{_plain(json.dumps({'alg': 'none'}).encode())}.{_plain(json.dumps(claims).encode())}."

    def signed_with_the_secret(self, claims: dict[str, Any]) -> str:
        """With what the client knows, too."""
        return jws.serialize_compact({"alg": "HS256"}, json.dumps(claims), OctKey.import_key(SECRET), algorithms=["HS256"])

    def signed_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """With what everyone knows."""
        head = _plain(json.dumps({"alg": "HS256", "kid": self.key.kid}).encode())
        said = f"{head}.{_plain(json.dumps(claims).encode())}"
        return f"{said}.{_plain(hmac.digest(self.key.as_pem(private=False), said.encode(), 'sha256'))}"

    def discovery(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=one",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
            **self.metadata,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next."""
        assert (asked["client_id"], asked["response_type"], asked["tenant"]) == (CLIENT, "code", "one")
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """A code for tokens, once."""
        begun = self.codes.pop(form.get("code", ""), None)
        verifier = _plain(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if self.metadata.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            known = (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        else:
            pair = f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()
            known = authorization == f"Basic {base64.b64encode(pair).decode()}"
        if not known:
            return 401, {"error": "invalid_client"}
        if begun is None or verifier != begun["code_challenge"] or form.get("redirect_uri") != begun["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": begun["nonce"], **self.who}
        self.spoil(claims)
        return 200, self.answer({"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)})


@contextmanager
def provider() -> Iterator[Provider]:
    """It, listening."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            return

        def send(self, status: int, body: dict[str, Any] | None = None, **headers: str) -> None:
            text = json.dumps(body).encode() if body is not None else b""
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            made.asked.append(parts.path)
            match parts.path:
                case "/.well-known/openid-configuration":
                    self.send(200, made.discovery())
                case "/jwks":
                    self.send(200, {"keys": [made.key.as_dict(private=False)]})
                case "/authorize":
                    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                    self.send(302, Location=made.authorize(asked))
                case _:
                    self.send(404, {})

        def do_POST(self) -> None:
            made.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self.send(*made.exchange(form, self.headers.get("Authorization", "")))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
