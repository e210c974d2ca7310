"""What the settings say of who may do what, as the API takes it."""

from __future__ import annotations

import ipaddress

from broker.api.policy import Auth, Oidc, Quotas
from broker.settings import Settings
from broker.telemetry import get_logger

__all__ = ["auth_of", "warn_of_strangers"]

log = get_logger(__name__)


def auth_of(settings: Settings) -> Auth:
    """Table ``[auth]`` of the settings."""
    table = settings.auth
    oidc = None
    if table.oidc.issuer:
        oidc = Oidc(
            issuer=table.oidc.issuer,
            client_id=table.oidc.client_id,
            client_secret=table.oidc.client_secret.get_secret_value(),
            scopes=table.oidc.scopes,
            redirect=table.oidc.redirect,
            create=table.oidc.create,
        )
    return Auth(
        required=table.required,
        public_read=table.public_read,
        origins=tuple(origin.rstrip("/") for origin in table.origins),
        session_hours=table.session_hours,
        oidc=oidc,
        quotas=Quotas(**table.quotas.model_dump()),
    )


def warn_of_strangers(settings: Settings, host: str) -> None:
    """Say so where whoever reaches the API from elsewhere may change what they like."""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    if not here and not settings.auth.required:
        log.warning("whoever reaches this address may change filters and watchlists: set auth.required = true", host=host)
