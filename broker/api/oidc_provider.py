"""What is asked of the service that people log in at: its addresses, its keys, and who somebody is (OpenID Connect Core 1.0).

Only signatures that its published keys can be held against are believed: a token without one, or with one made from our own
secret, is refused.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus

import httpx
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from broker.api.policy import Oidc
from broker.api.principal import UnauthenticatedError
from broker.api.problems import ElsewhereError

__all__ = ["Provider"]

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_FRESH: Final = 3600.0  # seconds that its addresses and keys are kept
_AGAIN: Final = 30.0  # seconds before an unknown key has us ask for them anew
_LEEWAY: Final = 30  # seconds that its clock may be off
_LARGEST: Final = 1 << 20
_TIMEOUT: Final = 10.0


class Provider:
    """The service that people log in at."""

    def __init__(self, options: Oidc) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._kept: tuple[float, dict[str, Any], KeySet] | None = None

    def address(self, *, state: str, nonce: str, verifier: str) -> str:
        """Where to send a browser to log in.

        Raises
        ------
        ElsewhereError
            The service is away.
        """
        metadata, _ = self._known()
        asked = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": self._options.redirect,
            "scope": " ".join(self._options.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        return str(add_params_to_uri(metadata["authorization_endpoint"], asked))

    def claims(self, code: str, *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """What the service says of who has logged in.

        Raises
        ------
        UnauthenticatedError
            It does not, or not so that it can be believed.
        ElsewhereError
            It is away.
        """
        given = self._exchanged(code, verifier)
        token = given.get("id_token")
        if not isinstance(token, str):
            raise self._refused("it gives no id_token")
        try:
            signed = self._verified(token)
            said = json.loads(signed.payload)
            header = signed.headers()
            essential = {
                "iss": {"essential": True, "value": self._options.issuer},
                "aud": {"essential": True, "value": self._options.client_id},
                "sub": {"essential": True},
            }
            params = {"nonce": nonce, "client_id": self._options.client_id, "access_token": given.get("access_token")}
            found = CodeIDToken(said, header, essential, params)
            found.validate(leeway=_LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise self._refused(f"its id_token is not good: {error}") from error
        return dict(found)

    def _refused(self, why: str) -> UnauthenticatedError:
        return UnauthenticatedError(f"the log-in at {self._options.issuer} did not work: {why}")

    def _verified(self, token: str) -> jws.CompactSignature:
        metadata, keys = self._known()
        told = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        registry = jws.JWSRegistry(algorithms=[name for name in _ALGORITHMS if name in told], strict_check_header=False)
        try:
            return jws.deserialize_compact(token, keys, registry=registry)
        except (JoseError, ValueError):
            _, newer = self._known(older=_AGAIN)  # it may have changed its keys
            if newer is keys:
                raise
            return jws.deserialize_compact(token, newer, registry=registry)

    def _exchanged(self, code: str, verifier: str) -> dict[str, Any]:
        metadata, _ = self._known()
        options = self._options
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": options.redirect,
            "code_verifier": verifier,
        }
        auth = None
        ways = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if not options.client_secret:
            form["client_id"] = options.client_id
        elif "client_secret_basic" in ways:
            auth = httpx.BasicAuth(quote_plus(options.client_id), quote_plus(options.client_secret))
        else:
            form |= {"client_id": options.client_id, "client_secret": options.client_secret}
        return self._asked("POST", metadata["token_endpoint"], data=form, auth=auth)

    def _known(self, older: float = _FRESH) -> tuple[dict[str, Any], KeySet]:
        """Addresses and keys, asked for where those kept are older than so many seconds."""
        with self._lock:
            if self._kept is not None and time.monotonic() - self._kept[0] < older:
                return self._kept[1:]
            metadata = self._asked("GET", f"{self._options.issuer.rstrip('/')}/.well-known/openid-configuration")
            if metadata.get("issuer") != self._options.issuer:
                raise ElsewhereError(
                    f"{self._options.issuer} calls itself {metadata.get('issuer')!r}: set auth.oidc.issuer to that"
                )
            missing = [name for name in ("authorization_endpoint", "token_endpoint", "jwks_uri") if name not in metadata]
            if missing:
                raise ElsewhereError(f"{self._options.issuer} does not say its {', '.join(missing)}")
            try:
                keys = KeySet.import_key_set(self._asked("GET", metadata["jwks_uri"]))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise ElsewhereError(f"the keys of {self._options.issuer} cannot be read: {error}") from error
            self._kept = (time.monotonic(), metadata, keys)
            return metadata, keys

    def _asked(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        try:
            with httpx.stream(method, address, timeout=_TIMEOUT, headers={"Accept": "application/json"}, **more) as answer:
                body = b""
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise ElsewhereError(f"{address} answers with more than {_LARGEST} bytes")
        except httpx.HTTPError as error:
            raise ElsewhereError(f"{self._options.issuer}, where people log in, is away ({error}): try again") from error
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        if answer.status_code in {400, 401} and method == "POST":
            raise self._refused(f"it answers {said.get('error') if isinstance(said, dict) else answer.status_code}")
        if answer.status_code != 200 or not isinstance(said, dict):
            raise ElsewhereError(f"{address} answers {answer.status_code}, and not with what is asked for: try again")
        return said
