"""Who may do what: the options that wiring hands over, and what each address of the API asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from broker.store.tokens import ADMIN, READ, WRITE_FILTERS, WRITE_REPORTS, WRITE_SUBSCRIPTIONS, WRITE_WATCHLISTS

__all__ = ["ACCOUNT", "OPEN", "SAFE", "SOCKETS", "Auth", "Oidc", "Quotas", "counts_as_backtest", "needed"]

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN: Final = ""
"""Asked for where anyone may."""
ACCOUNT: Final = "account"
"""Asked for where somebody must have logged in: no token has it but an administrator's, so that a token that got lost makes
no others."""

API: Final = "/api/v1"
BACKTESTS: Final = f"{API}/backtests"
SOCKETS: Final = frozenset({f"{API}/live/ws"})
"""Where WebSockets are served, which say in their first message who they are if nothing before did."""
# Of exactly these addresses a POST changes nothing. Below them may lie names of users' choice.
_COMPUTES: Final = frozenset(
    {f"{API}/{name}" for name in ("filters/check", "filters/explain", "backtests", "skymaps", "alerts")}
)
# What observers send; before the last word lies a name or an id, which may have slashes in it.
_REPORTS: Final = ((f"{API}/events/", "/observations"), (f"{API}/alerts/", "/classifications"))
_ASKS: Final = ("/subjects", "/registry/subjects")  # POST asks whether a subject has a schema
_CHANGES: Final = (
    (f"{API}/session", OPEN),
    (f"{API}/filters", WRITE_FILTERS),
    (f"{API}/watchlists", WRITE_WATCHLISTS),
    (f"{API}/regions", WRITE_WATCHLISTS),
    (f"{API}/subscriptions", WRITE_SUBSCRIPTIONS),
    (f"{API}/deliveries", WRITE_SUBSCRIPTIONS),
    (f"{API}/tokens", ACCOUNT),
    (f"{API}/teams", ACCOUNT),
)
# What has to be had before anyone can log in, and what says no more than that we live.
_SHOWN: Final = (
    "/static",
    f"{API}/health",
    f"{API}/me",
    f"{API}/oidc",
    f"{API}/openapi.json",
)


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one account may have and do; 0 is no bound."""

    filters_per_user: int = 0
    watchlists_per_user: int = 0
    subscriptions_per_user: int = 0
    backtests_per_hour: int = 0
    requests_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class Oidc:
    """Where people log in by OpenID Connect; see the settings of the same names."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]
    redirect: str
    create: bool


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may do what.

    Parameters
    ----------
    required
        Whether anything asks for an account; else everyone may do everything.
    public_read
        Where it does: whether what is public is read without one.
    origins
        Where browsers reach us, beside the address they name as host.
    session_hours
        How long a log-in lasts.
    """

    required: bool = False
    public_read: bool = True
    origins: tuple[str, ...] = ()
    session_hours: float = 12.0
    oidc: Oidc | None = None
    quotas: Quotas = field(default_factory=Quotas)

    @property
    def caches(self) -> str:
        """Whose caches may keep what everyone reads: ``public`` ones, or ``private`` ones where reading asks for an account."""
        return "public" if not self.required or self.public_read else "private"


def needed(method: str, path: str) -> str:
    """The scope that a request asks for; what is not listed asks for reading, or where it may change something for `ADMIN`."""
    if method in SAFE:
        return OPEN if any(_below(path, shown) for shown in _SHOWN) else READ
    if method == "POST" and (path in _COMPUTES or any(_below(path, asks) for asks in _ASKS)):
        return READ
    if method == "POST" and any(path.startswith(begin) and path.endswith(end) for begin, end in _REPORTS):
        return WRITE_REPORTS
    if method == "DELETE" and any(path.startswith(begin) and f"{end}/" in path for begin, end in _REPORTS):
        return WRITE_REPORTS
    return next((scope for prefix, scope in _CHANGES if _below(path, prefix)), ADMIN)


def counts_as_backtest(method: str, path: str) -> bool:
    """Whether a request is for a backtest."""
    return method == "POST" and path == BACKTESTS


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
