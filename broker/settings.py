"""Settings: a TOML file, overridden by environment variables, nothing unknown let through.

``NUNCIUS_LOG__ENGINE=kafka`` is ``engine = "kafka"`` in table ``[log]``. Relative paths are taken from the data folder.

Longer than 300 lines, because a list of all settings is of use only whole.
"""

from __future__ import annotations

import os
import re
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from broker.errors import SettingsError

__all__ = ["PREFIX", "Relay", "Settings", "Source", "load"]

PREFIX = "NUNCIUS_"
# Read by the command line and the tests themselves, not settings.
NOT_SETTINGS = {"NUNCIUS_DATA", "NUNCIUS_CONFIG", "NUNCIUS_TOKEN"}
TESTS_PREFIX = "NUNCIUS_TEST_"

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Natural = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
Fraction = Annotated[float, Field(gt=0, le=1)]


def _starred(properties: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
    return {name: "**********" if _SECRET.search(name) and value else value for name, value in properties.items()}


_SECRET = re.compile(r"password|secret|\.pem$|jaas|sasl\.oauthbearer\.config")
# librdkafka's own: SASL, TLS, ... Shown as JSON, its passwords are starred like the secrets we know by name.
Properties = Annotated[dict[str, str | int | float | bool], PlainSerializer(_starred, when_used="json")]


class Table(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogTable(Table):
    """The log alerts travel on."""

    engine: Literal["embedded", "kafka"] = "embedded"
    bootstrap_servers: str = ""
    properties: Properties = Field(default_factory=dict)  # of every client
    durable: bool = True  # embedded: survive loss of power, not only of the process
    partitions: Count = 4
    replication: Count = 1
    retention_hours: Positive | None = 168.0
    compression: Literal["producer", "none", "lz4", "zstd", "snappy", "gzip"] = "producer"
    max_message_bytes: Count = 32 << 20  # larger things are kept beside the log and rejected

    @model_validator(mode="after")
    def _reachable(self) -> LogTable:
        if self.engine == "kafka" and not self.bootstrap_servers:
            raise ValueError("engine kafka needs bootstrap_servers, such as localhost:9092")
        return self


class StoreTable(Table):
    """Where what alerts say is kept; empty means in the data folder."""

    url: SecretStr = SecretStr("")  # sqlite:///... or postgresql+psycopg://...
    archive: str = ""  # a folder or any fsspec URL
    durable: bool = True


class ProcessTable(Table):
    """The loop."""

    group: str = "nuncius-process"
    max_records: Count = 2000
    max_bytes: Count = 64 << 20
    linger: Annotated[float, Field(ge=0, le=5)] = 0.0  # seconds a small batch waits for more
    halt_minimum: Count = 1000  # a stream halts when of its last alerts, at least so many,
    halt_fraction: Fraction = 0.5  # more than this part were rejected


LONGEST: Final = 876_600.0  # hours; beyond a century there are no alerts, and calendars end


class AssociateTable(Table):
    """Alerts against live sky maps: hours before and after an event that an alert may be, and how far out on its map."""

    level: Fraction = 0.99
    gw: tuple[float, float] = (0.0, 168.0)
    em: tuple[float, float] = (0.0, 72.0)
    neutrino: tuple[float, float] = (0.0, 168.0)
    other: tuple[float, float] = (0.0, 72.0)
    tests: bool = False  # whether maps of tests, mock data, injections and commanded events count
    most_updates: Count = 10_000  # messages that one change of an event may send to those already told

    @model_validator(mode="after")
    def _windows_are(self) -> AssociateTable:
        for name in ("gw", "em", "neutrino", "other"):
            first, last = getattr(self, name)
            if not -LONGEST <= first < last <= LONGEST:
                raise ValueError(f"window {name} is {first:g} to {last:g}: wanted are hours, rising, {LONGEST:g} at most")
        return self


class CoincidenceWindows(Table):
    """Seconds, the other event minus the gravitational-wave event (light minus neutrino where there is none): from, to."""

    grb_cbc: tuple[float, float] = (-1.0, 5.0)
    grb_burst: tuple[float, float] = (-60.0, 600.0)
    subthreshold_fermi: tuple[float, float] = (-1.0, 11.0)
    subthreshold_swift: tuple[float, float] = (-10.0, 20.0)
    frb_cbc: tuple[float, float] = (-2.0, 10.0)
    frb_burst: tuple[float, float] = (-120.0, 600.0)
    neutrino_cbc: tuple[float, float] = (-10.0, 10.0)
    neutrino_burst: tuple[float, float] = (-500.0, 500.0)
    supernova: tuple[float, float] = (-10.0, 10.0)
    grb_neutrino: tuple[float, float] = (-500.0, 500.0)
    frb_neutrino: tuple[float, float] = (-500.0, 500.0)

    @model_validator(mode="after")
    def _in_order(self) -> CoincidenceWindows:
        for name in type(self).model_fields:
            first, last = getattr(self, name)
            if not first < last:
                raise ValueError(f"window {name} ends at {last:g} s, before or where it begins at {first:g} s")
        return self


class CoincidenceRates(Table):
    """Events a year (of 365 days) over all instruments."""

    grb: Positive = 325.0
    subthreshold: Positive = 390.0  # those above the threshold among them
    frb: Positive = 485.0
    neutrino: Positive = 15.0


class CoincidenceTargeted(Table):
    """Largest false-alarm rates, in Hz, that targeted searches take."""

    gw: Positive = 16.0 / 86_400.0  # 2 a day, 8 trials
    fermi: Positive = 1e-4
    swift: Positive = 1e-3


class CoincidenceThresholds(Table):
    """Joint false alarms a year (of 365 days) up to which a coincidence may be published, trials counted."""

    cbc: Positive = 365.0 / 30.0
    early_warning: Positive = 365.0 / 30.0
    ssm: Positive = 1.0
    burst: Positive = 1.0
    bbh: Positive = 365.0 / 30.0
    neutrino: Positive = 1.0
    supernova: Positive = 365.0  # of the gravitational-wave event alone


class CoincidenceTrials(Table):
    """Searches that may publish."""

    cbc: Positive = 7.0
    early_warning: Positive = 4.0
    ssm: Positive = 3.0
    burst: Positive = 3.0
    bbh: Positive = 7.0
    neutrino: Positive = 2.0


class CoincidencesTable(Table):
    """Coincidences of events of different messengers."""

    tests: bool = False  # whether tests and mock events coincide, with their like
    bursts: tuple[str, ...] = (
        *("Fermi", "Swift", "INTEGRAL", "AGILE", "SVOM", "Einstein Probe", "GECAM", "CALET", "Konus-Wind", "HETE", "IPN"),
        *("MAXI", "AstroSat", "BurstCube", "Glowbug", "Suzaku"),
    )  # missions whose events count as gamma-ray bursts
    radio: tuple[str, ...] = ("CHIME", "DSA-110", "UTMOST", "ASKAP", "MeerKAT")  # and as fast radio bursts
    windows: CoincidenceWindows = CoincidenceWindows()
    rates: CoincidenceRates = CoincidenceRates()
    targeted: CoincidenceTargeted = CoincidenceTargeted()
    thresholds: CoincidenceThresholds = CoincidenceThresholds()
    trials: CoincidenceTrials = CoincidenceTrials()


class VtpTable(Table):
    """VOEvents over TCP; a port that is not set is not listened on."""

    host: str = "127.0.0.1"
    author_port: Port | None = None  # 8098 by custom
    subscriber_port: Port | None = None  # 8099 by custom
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # networks of authors
    allow_subscribers: tuple[str, ...] = ("0.0.0.0/0", "::/0")
    authority: str = "nuncius"  # of our ivorns: ivo://<authority>/events#...
    title: str = "Nuncius"
    api: str = ""  # address of the API, for references
    events: bool = True  # what subscribers get: events,
    test_events: bool = False
    filters: tuple[str, ...] = ()  # the matches of these filters,
    relay: bool = False  # and every VOEvent that came in, as it came, once
    max_bytes: Count = 1 << 20
    connections: Count = 200
    per_address: Count = 20
    patience: Positive = 20.0  # seconds for a whole frame, to read an answer, to acknowledge
    alive_seconds: Positive = 60.0
    unacknowledged: Count = 1000


class BacktestTable(Table):
    """What a filter is asked before it goes live."""

    most_share: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the alerts it sees that it may pick


class ServeTable(Table):
    """The HTTP face."""

    host: str = "127.0.0.1"
    port: Port = 8000


class DeliverTable(Table):
    """What subscribers are told."""

    group: str = "nuncius-deliver"
    api: str = ""  # address that readers of what is sent reach the API and the pages at; empty: links are paths
    allow: tuple[str, ...] = ()  # networks besides the public ones that webhooks may be sent to
    timeout: Positive = 20.0  # seconds for a whole exchange
    max_answer: Count = 65_536  # bytes of an answer that are read
    concurrency: Count = 8  # deliveries under way at once, of a subscription
    total: Count = 128  # and of all
    give_up_hours: Positive = 24.0
    backoff: Annotated[tuple[Positive, ...], Field(min_length=1)] = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)  # seconds
    breaker_failures: Count = 10  # in a row, after which only one probe is sent
    breaker_seconds: Positive = 60.0  # now and then
    lease_seconds: Positive = 30.0  # after which others take over what a process has in hand and tells nothing of
    keep_days: Positive = 30.0
    wait_days: Positive = 7.0  # after which what nobody could be told of is given up
    most_waiting: Count = 100_000  # deliveries of a subscription; what comes while so many wait is not told

    @model_validator(mode="after")
    def _can_be(self) -> DeliverTable:
        for text in self.allow:
            try:
                ip_network(text.strip())
            except ValueError as error:
                raise ValueError(f"allow: {text!r} is no network ({error}): write it as 10.1.0.0/16 or fd00::/8") from error
        if self.api and not re.match(r"https?://[^/\s]+", self.api):
            raise ValueError(f"api {self.api!r} is no address: write it as https://nuncius.example.org")
        return self


class OidcTable(Table):
    """Logging in elsewhere by OpenID Connect; nobody can where no issuer is set."""

    issuer: str = ""  # its discovery document is at <issuer>/.well-known/openid-configuration
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")  # none for a public client
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    redirect: str = ""  # our /api/v1/oidc/callback as browsers reach it
    create: bool = True  # whether who logs in for the first time gets an account

    @model_validator(mode="after")
    def _whole(self) -> OidcTable:
        if not self.issuer:
            return self
        if not self.client_id or not self.redirect:
            raise ValueError("an issuer needs client_id, and redirect: our /api/v1/oidc/callback as browsers reach it")
        for name in ("issuer", "redirect"):
            if not re.match(r"https://|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/|$)", getattr(self, name)):
                raise ValueError(
                    f"{name} {getattr(self, name)!r} is no https:// address: only this machine's may be plain http://"
                )
        if "openid" not in self.scopes:
            raise ValueError("scopes must have openid")
        return self


class QuotasTable(Table):
    """What one account may have and do; 0 is no bound. Who has none is counted by address."""

    filters_per_user: Natural = 0
    watchlists_per_user: Natural = 0  # and as many regions
    subscriptions_per_user: Natural = 0
    backtests_per_hour: Natural = 0
    requests_per_minute: Natural = 0


class AuthTable(Table):
    """Who may do what in the API; unless required, everyone everything."""

    required: bool = False
    public_read: bool = True  # where required: what is public is read without an account
    origins: tuple[str, ...] = ()  # where browsers reach us, https://nuncius.example.org, if a proxy does not pass on Host
    session_hours: Positive = 12.0
    oidc: OidcTable = OidcTable()
    quotas: QuotasTable = QuotasTable()


class OutputTable(Table):
    """Logs of the service itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None  # Prometheus metrics of this process


class SchemasTable(Table):
    """Where writer schemas of framed packets come from: the registry of each stream, then the installed packages."""

    registries: dict[str, str] = Field(default_factory=dict)  # stream -> URL, user:password@ in it where needed


class Relay(Table):
    """Another network to tell of counterparts: table ``[relay.<name>]``. There is none unless set."""

    kind: Literal["gcn", "hop"]
    filters: tuple[str, ...]  # whose matches
    topic: str  # theirs
    level: Fraction = 0.9  # credible level up to which an alert counts as in an event's map
    test: bool = False  # mark all as tests; and only then send counterparts of test events
    sender: str = "Nuncius"  # as whom we speak
    group: str = ""
    start: Literal["earliest", "latest"] = "latest"  # where a new group begins in our matches
    bootstrap_servers: str = ""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    username: str = ""
    password: SecretStr = SecretStr("")
    domain: str = "gcn.nasa.gov"
    properties: Properties = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> Relay:
        if not self.filters or not self.topic:
            raise ValueError("a relay needs the names of filters and a topic to send their matches to")
        return self


class SiteTable(Table):
    """A site of your own: table ``[sites.<name>]``."""

    longitude: Annotated[float, Field(ge=-180, le=360)]  # degrees, geodetic, east
    latitude: Annotated[float, Field(ge=-90, le=90)]
    height: Annotated[float, Field(ge=-500, le=10_000)] = 0.0  # metres above the ellipsoid


class AlarmTable(Table):
    """When something is wrong that nobody sent word of."""

    heartbeat_seconds: Positive = 60.0  # an upstream that gives signs of life has given none for so long


class Source(Table):
    """An upstream to take alerts from: table ``[ingest.<name>]``."""

    kind: Literal["kafka", "gcn", "hop", "vtp"]
    topics: Annotated[tuple[str, ...], Field(validate_default=True)] = ()  # of Kafka
    host: Annotated[str, Field(validate_default=True)] = ""  # of a VOEvent broker
    port: Port = 8099
    xpath: str = ""  # VOEvents that we want of it; empty: all
    stream: str = ""  # empty: told by content
    bootstrap_servers: str = ""
    group: str = ""
    start: Literal["earliest", "latest"] = "earliest"
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    username: str = ""
    password: SecretStr = SecretStr("")
    domain: str = "gcn.nasa.gov"
    properties: Properties = Field(default_factory=dict)

    @field_validator("topics", "host")
    @classmethod
    def _whence(cls, value: object, info: ValidationInfo) -> object:
        needed = "host" if info.data.get("kind") == "vtp" else "topics"
        if info.field_name == needed and not value:
            raise ValueError(f"an upstream of kind {info.data.get('kind')} needs its {needed}")
        return value


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__")

    log: LogTable = LogTable()
    store: StoreTable = StoreTable()
    process: ProcessTable = ProcessTable()
    associate: AssociateTable = AssociateTable()
    coincidences: CoincidencesTable = CoincidencesTable()
    backtest: BacktestTable = BacktestTable()
    serve: ServeTable = ServeTable()
    auth: AuthTable = AuthTable()
    deliver: DeliverTable = DeliverTable()
    vtp: VtpTable = VtpTable()
    output: OutputTable = OutputTable()
    schemas: SchemasTable = SchemasTable()
    alarm: AlarmTable = AlarmTable()
    ingest: dict[str, Source] = Field(default_factory=dict)
    relay: dict[str, Relay] = Field(default_factory=dict)
    sites: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")], SiteTable] = Field(default_factory=dict)
    filters: str = ""  # folder of filters; empty: those that come with Nuncius
    streams: str = ""  # folder of stream declarations beside those that come with Nuncius

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  a .env file is one place too many
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        file = settings_cls.model_config.get("toml_file")
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file))


def load(file: Path | None) -> Settings:
    """Read the file, if any, and the environment.

    Raises
    ------
    SettingsError
        Naming every key that is unknown or wrong, and where it stands.
    """
    _refuse_unknown_variables()
    if file is not None:
        _readable(file)
    configured = type("FileSettings", (Settings,), {"model_config": {**Settings.model_config, "toml_file": file}})
    try:
        loaded: Settings = configured()
    except ValidationError as error:
        place = f"{file} and the environment" if file else "the environment"
        raise SettingsError(f"settings in {place}: " + "; ".join(map(_describe, error.errors()))) from error
    return loaded


def _readable(file: Path) -> None:
    try:
        tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"no settings file {file}: make it, or leave out --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error


def _refuse_unknown_variables() -> None:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for name in os.environ:
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or name.startswith(TESTS_PREFIX):
            continue
        if name.split("__")[0].upper() not in known:
            raise SettingsError(f"environment variable {name} sets nothing: the tables are {', '.join(Settings.model_fields)}")


def _describe(error: object) -> str:
    assert isinstance(error, dict)
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key} is not a setting (see `nuncius config show` for all there are)"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}"
