"""Tables of the database.

Instants are whole microseconds since the Unix epoch, UTC, in 64-bit integers: exact, and the same on both engines. Ids compare
by bytes on both engines, so that a page ends at the same place on either.

Longer than 300 lines, because a list of all tables is of use only whole.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from broker.alert import NOT_REAL

__all__ = [
    "ALERT_COMMON",
    "NOT_REAL",
    "alerts",
    "associations",
    "claims",
    "classifications",
    "coincidences",
    "counters",
    "deliveries",
    "event_aliases",
    "event_circulars",
    "event_notices",
    "events",
    "filter_changes",
    "filter_files",
    "filter_names",
    "filter_versions",
    "first_told",
    "heartbeats",
    "ledger",
    "matches",
    "metadata",
    "observations",
    "region_versions",
    "regions",
    "relayed",
    "schemas_seen",
    "signing_keys",
    "subscriptions",
    "team_members",
    "teams",
    "tokens",
    "users",
    "watchlist_versions",
    "watchlists",
]

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

Id = Text().with_variant(Text(collation="C"), "postgresql")
Serial = BigInteger().with_variant(Integer, "sqlite")

ALERT_COMMON: tuple[Column[object], ...] = (
    Column("stream", Id, nullable=False),
    Column("object_id", Id),
    Column("time", BigInteger),
    Column("ra", Float(53)),
    Column("dec", Float(53)),
    Column("ra_dec_error", Float(53)),
    Column("containment_probability", Float(53)),
    Column("hpx", BigInteger),
    Column("mag", Float(53)),
    Column("mag_err", Float(53)),
    Column("band", Text),
    Column("reliability", Float(53)),
    Column("positive", Boolean),
    Column("event_name", Id),
    Column("messenger", Text),
    Column("mission", Text),
    Column("instrument", Text),
    Column("alert_type", Text),
    Column("alert_tense", Text),
    Column("far", Float(53)),
    Column("p_astro", Float(53)),
    Column("classification", Text),
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", Id, primary_key=True),
    *ALERT_COMMON,
    # What pages are ordered by: the alert's time, or when we had it where it has none.
    Column("sort_time", BigInteger, nullable=False),
    Column("annotations", JSON),
    Column("skymaps", JSON),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("unit", Integer, nullable=False),
    Column("archive_file", Text),
    Column("archive_offset", BigInteger),
    Column("archive_length", BigInteger),
    Column("digest", LargeBinary),
    Column("received", BigInteger, nullable=False),
    Column("processed", BigInteger, nullable=False),
    Index("ix_alerts_object_id", "object_id"),
    Index("ix_alerts_hpx", "hpx"),
    Index("ix_alerts_stream_time", "stream", "sort_time", "alert_id"),
    Index("ix_alerts_time", "sort_time", "alert_id"),
)

# Who owns an alert id: its first origin. Asked before anything else is written.
claims = Table(
    "claims",
    metadata,
    Column("alert_id", Id, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("digest", LargeBinary),
    sqlite_with_rowid=False,
)

matches = Table(
    "matches",
    metadata,
    Column("seq", Serial, Identity(), primary_key=True),
    Column("filter", Id, nullable=False),
    Column("version", Text, nullable=False),
    Column("alert_id", Id, ForeignKey("alerts.alert_id", ondelete="CASCADE"), nullable=False),
    Column("time", BigInteger, nullable=False),  # when it was picked
    Column("selected", Text),  # JSON: what the filter sends along
    UniqueConstraint("alert_id", "filter", "version"),
    Index("ix_matches_filter_seq", "filter", "seq"),
    sqlite_autoincrement=True,  # a sequence number is never given twice, whatever is deleted
)

# What is known of an event now. Its history is in event_notices, one row a revision.
events = Table(
    "events",
    metadata,
    Column("event_name", Id, primary_key=True),
    Column("stream", Id, nullable=False),
    Column("messenger", Text),
    Column("mission", Text),
    Column("instrument", Text),
    Column("time", BigInteger),
    Column("ra", Float(53)),
    Column("dec", Float(53)),
    Column("ra_dec_error", Float(53)),
    Column("containment_probability", Float(53)),
    Column("alert_type", Text),
    Column("alert_tense", Text),
    Column("state", Text, nullable=False),  # early_warning, preliminary, initial, update, retracted
    Column("real", Boolean, nullable=False),  # no test, mock, injection or commanded event
    Column("significant", Boolean),
    Column("far", Float(53)),
    Column("p_astro", Float(53)),
    Column("classification", Text),
    Column("revision", Integer, nullable=False),  # the latest
    Column("alert_id", Id, nullable=False),  # of the latest revision
    Column("map_path", Text),
    Column("map_revision", Integer),
    Column("area50", Float(53)),  # square degrees
    Column("area90", Float(53)),
    Column("distmean", Float(53)),  # Mpc
    Column("diststd", Float(53)),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Index("ix_events_time", "time"),
    Index("ix_events_updated", "updated", "event_name"),
)

event_notices = Table(
    "event_notices",
    metadata,
    Column("event_name", Id, ForeignKey("events.event_name", ondelete="CASCADE"), nullable=False),
    Column("revision", Integer, nullable=False),  # from 1, as they came
    Column("alert_id", Id, nullable=False),
    Column("stream", Id, nullable=False),
    Column("messenger", Text),
    Column("mission", Text),
    Column("instrument", Text),
    Column("time", BigInteger),
    Column("ra", Float(53)),
    Column("dec", Float(53)),
    Column("ra_dec_error", Float(53)),
    Column("containment_probability", Float(53)),
    Column("alert_type", Text),
    Column("alert_tense", Text),
    Column("far", Float(53)),
    Column("p_astro", Float(53)),
    Column("classification", Text),
    Column("map_path", Text),
    Column("area50", Float(53)),
    Column("area90", Float(53)),
    Column("distmean", Float(53)),
    Column("diststd", Float(53)),
    Column("received", BigInteger, nullable=False),
    # What joins it to other notices, and puts it in order. Null where kept before there were such.
    Column("names", JSON),
    Column("refers", JSON),
    Column("related", JSON),
    Column("cites", JSON),
    Column("ivorn", Text),
    Column("offset", BigInteger),  # of its record: order among those received in the same instant
    Column("issued", BigInteger),
    Column("serial", BigInteger),
    Column("significant", Boolean),
    Column("stage", Text),
    Column("type", Text),
    Column("search_group", Text),  # of GW events: CBC, Burst
    Column("search", Text),
    PrimaryKeyConstraint("event_name", "revision"),
    UniqueConstraint("alert_id"),
)

# Every name of an event, under the key that its spellings share; keys of tests begin with ~: no test meets a true event.
event_aliases = Table(
    "event_aliases",
    metadata,
    Column("key", Id, primary_key=True),
    Column("event_name", Id, nullable=False),
    Column("alias", Text, nullable=False),
    Column("shown", Boolean, nullable=False),  # not so the ivorns of its notices
    Index("ix_event_aliases_event_name", "event_name"),
)

# What people wrote of an event. They name and join events, and decide nothing else about them.
event_circulars = Table(
    "event_circulars",
    metadata,
    Column("alert_id", Id, primary_key=True),
    Column("event_name", Id, nullable=False),
    Column("stream", Id, nullable=False),
    Column("circular", Text, nullable=False),  # its number; each edit is a row of its own
    Column("subject", Text),
    Column("submitter", Text),
    Column("posted", BigInteger),
    Column("received", BigInteger, nullable=False),
    Column("offset", BigInteger),
    Column("real", Boolean, nullable=False),
    Column("names", JSON, nullable=False),
    Index("ix_event_circulars_event_name", "event_name"),
)

# Two events of different messengers that are near in time, a row a revision: what was told of them, and why.
coincidences = Table(
    "coincidences",
    metadata,
    Column("id", Id, nullable=False),
    Column("revision", Integer, nullable=False),  # from 1
    Column("cause", Id, nullable=False),  # alert id of the notice that changed it
    Column("state", Text, nullable=False),  # live, disjoint, retracted
    Column("message", Text),
    Column("real", Boolean, nullable=False),
    Column("publishable", Boolean, nullable=False),
    # The GW event, or the neutrino where there is none; then the other.
    Column("event", Id, nullable=False),
    Column("event_kind", Text, nullable=False),
    Column("event_messenger", Text, nullable=False),
    Column("event_mission", Text),
    Column("event_revision", Integer, nullable=False),
    Column("event_time", BigInteger, nullable=False),
    Column("event_far", Float(53)),
    Column("classification", Text),
    Column("external", Id, nullable=False),
    Column("external_name", Id, nullable=False),  # as it calls itself, where it is a follow-up of the event
    Column("external_kind", Text, nullable=False),
    Column("external_messenger", Text, nullable=False),
    Column("external_mission", Text),
    Column("external_revision", Integer, nullable=False),
    Column("external_time", BigInteger, nullable=False),
    Column("external_far", Float(53)),
    Column("dt", Float(53), nullable=False),  # seconds, external minus event
    Column("window", Text, nullable=False),
    Column("window_from", Float(53), nullable=False),
    Column("window_to", Float(53), nullable=False),
    Column("far_temporal", Float(53)),  # Hz
    Column("far_space_time", Float(53)),
    Column("overlap", Float(53)),
    Column("map_path", Text),
    Column("ra", Float(53)),  # degrees: where the combined map is densest
    Column("dec", Float(53)),
    Column("area50", Float(53)),  # square degrees
    Column("area90", Float(53)),
    Column("distmean", Float(53)),  # Mpc
    Column("diststd", Float(53)),
    Column("computed", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "revision"),
    Index("ix_coincidences_event", "event"),
    Index("ix_coincidences_external", "external"),
    Index("ix_coincidences_cause", "cause"),
    Index("ix_coincidences_event_time", "event_time"),
    sqlite_with_rowid=False,
)

# When each upstream last gave a sign of life.
heartbeats = Table(
    "heartbeats",
    metadata,
    Column("upstream", Id, primary_key=True),
    Column("since", BigInteger, nullable=False),  # we wait for it
    Column("seen", BigInteger),  # we had the last one
    Column("sent", BigInteger),  # by its own clock
)

# Alerts in the sky maps of events, as of the event's latest map; those that no map holds any more stay, marked so.
associations = Table(
    "associations",
    metadata,
    Column("event_name", Id, nullable=False),
    Column("alert_id", Id, nullable=False),
    Column("revision", Integer, nullable=False),  # of the event, that this was found on
    Column("state", Text, nullable=False),  # live, left or retracted
    Column("hpx", BigInteger, nullable=False),  # of the alert, as in alerts: many are asked for at once
    Column("time", BigInteger, nullable=False),
    Column("credible_level", Float(53), nullable=False),
    Column("density", Float(53), nullable=False),  # per steradian
    Column("dt", Float(53), nullable=False),  # seconds, alert minus event
    Column("volume_level", Float(53)),
    Column("distance", Float(53)),  # Mpc, of the alert's host
    # The notice that changed this last, and what it was before; null where the alert came later, or was not inside.
    Column("cause", Id),
    Column("previous_level", Float(53)),
    Column("previous_volume", Float(53)),
    Column("version", BigInteger, nullable=False),  # of the events, as counted: nothing older may replace it
    Column("computed", BigInteger, nullable=False),
    PrimaryKeyConstraint("event_name", "alert_id"),
    Index("ix_associations_alert_id", "alert_id"),
    sqlite_with_rowid=False,
)

# What other networks were told of: the credible level they were told last.
relayed = Table(
    "relayed",
    metadata,
    Column("relay", Id, nullable=False),
    Column("event_name", Id, nullable=False),
    Column("alert_id", Id, nullable=False),
    Column("level", Float(53), nullable=False),
    PrimaryKeyConstraint("relay", "event_name", "alert_id"),
    Index("ix_relayed_event_name", "event_name"),
    sqlite_with_rowid=False,
)

ledger = Table(
    "ledger",
    metadata,
    Column("topic", Id, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("first_offset", BigInteger, nullable=False),
    Column("last_offset", BigInteger, nullable=False),
    Column("stream", Id, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("published", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("matched", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("topic", "partition", "first_offset"),
)

schemas_seen = Table(
    "schemas_seen",
    metadata,
    Column("stream", Id, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("schema", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream", "fingerprint"),
)

# Whole numbers that only grow; a reader that sees the same one need not read again.
counters = Table(
    "counters",
    metadata,
    Column("name", Id, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# What all versions of a filter share.
filter_names = Table(
    "filter_names",
    metadata,
    Column("name", Id, primary_key=True),
    Column("owner", Text),  # of an account; null where there are none
    Column("team", Text),
    Column("visibility", Text, nullable=False),  # private, team, public
)

# Versions of filters. A row's text never changes; its state does.
filter_versions = Table(
    "filter_versions",
    metadata,
    Column("name", Id, ForeignKey("filter_names.name", ondelete="CASCADE"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),  # draft, tested, live, retired
    Column("text", Text, nullable=False),  # TOML
    Column("digest", Text, nullable=False),  # of what it says, comments and layout aside
    Column("author", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", "version"),
    # At most one is live, whatever two processes do at once.
    Index(
        "ix_filter_versions_live",
        "name",
        unique=True,
        sqlite_where=text("state = 'live'"),
        postgresql_where=text("state = 'live'"),
    ),
)

# Who did what to a version, and when.
filter_changes = Table(
    "filter_changes",
    metadata,
    Column("seq", Serial, Identity(), primary_key=True),
    Column("name", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),  # that it came into
    Column("who", Text, nullable=False),
    Column("note", Text),
    Column("at", BigInteger, nullable=False),
    Index("ix_filter_changes_name", "name", "version"),
)

# The folders of filters as they were last taken in.
filter_files = Table(
    "filter_files",
    metadata,
    Column("place", Id, nullable=False),  # the data folder's word: on another host a file may be another, or missing
    Column("name", Id, nullable=False),  # of the filter
    Column("digest", Text, nullable=False),  # of the file's bytes
    PrimaryKeyConstraint("place", "name"),
)

# Lists of targets that filters ask for; what is in one is a version of it.
watchlists = Table(
    "watchlists",
    metadata,
    Column("name", Id, primary_key=True),
    Column("owner", Text),
    Column("team", Text),
    Column("visibility", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("who", Text),
)

watchlist_versions = Table(
    "watchlist_versions",
    metadata,
    Column("name", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("who", Text),
    Column("change", Text, nullable=False),  # in words
    Column("targets", Integer, nullable=False),
    Column("radius", Float(53), nullable=False),  # arcsec, of targets without one of their own
    Column("digest", Text, nullable=False),
    Column("base", Integer, nullable=False),  # the version whose data are whole; those of later ones are what they changed
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("name", "version"),
)

# Parts of the sky that filters ask for: a coverage map, in versions, or a credible region of an event's newest map.
regions = Table(
    "regions",
    metadata,
    Column("name", Id, primary_key=True),
    Column("owner", Text),
    Column("team", Text),
    Column("visibility", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("who", Text),
    Column("event_name", Id),
    Column("level", Float(53)),
)

region_versions = Table(
    "region_versions",
    metadata,
    Column("name", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("who", Text),
    Column("healpix_order", Integer, nullable=False),
    Column("fraction", Float(53), nullable=False),  # of the sky
    Column("digest", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("name", "version"),
)

# People, see `broker.store.people`.
users = Table(
    "users",
    metadata,
    Column("name", Id, primary_key=True),
    Column("email", Text),
    Column("display", Text),
    Column("password", Text),  # scrypt$n$r$p$salt$hash
    Column("oidc_subject", Id, unique=True),  # issuer and subject, a space between
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
)
teams = Table(
    "teams",
    metadata,
    Column("name", Id, primary_key=True),
    Column("title", Text),
    Column("created", BigInteger, nullable=False),
)
team_members = Table(
    "team_members",
    metadata,
    Column("team_name", Id, ForeignKey("teams.name"), nullable=False),
    Column("user_name", Id, ForeignKey("users.name"), nullable=False),
    Column("role", Text, nullable=False),
    PrimaryKeyConstraint("team_name", "user_name"),
    Index("ix_team_members_user_name", "user_name"),
    sqlite_with_rowid=False,
)
tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),  # ncs_<id>_<secret>
    Column("user_name", Id, ForeignKey("users.name"), nullable=False),
    Column("kind", Text, nullable=False),  # token, session
    Column("note", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the secret
    Column("scopes", Text, nullable=False),  # spaces between
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("last_used", BigInteger),
    Column("revoked", BigInteger),
    Index("ix_tokens_user_name", "user_name"),
)
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("name", Id, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# What goes to whom: filters joined to one channel, see `broker.store.subscriptions`.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("filters", JSON, nullable=False),  # names
    Column("channel", Text, nullable=False),  # webhook, message, kafka
    Column("target", JSON, nullable=False),
    Column("secret", Text, nullable=False),
    Column("owner", Id),  # account; null where there are none
    Column("state", Text, nullable=False),  # active, paused, removed
    Column("rate", Integer),  # a minute
    Column("quiet", JSON),
    Column("digest", Integer),  # minutes
    Column("only_first", Boolean, nullable=False),
    Column("updates", Text, nullable=False),  # all, retractions, none
    Column("note", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("left_out", BigInteger, nullable=False, server_default="0"),  # deliveries, since too many waited
    Column("left_out_at", BigInteger),  # the last of them
    Index("ix_subscriptions_owner", "owner"),
)

# One row for each thing that a subscription is to be told, see `broker.store.deliveries`.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("subscription", Id, nullable=False),
    Column("filter", Id, nullable=False),
    Column("version", Text, nullable=False),
    Column("alert_id", Id, nullable=False),
    Column("object", Id, nullable=False),
    Column("change", Text, nullable=False),  # match, update, retraction, test
    Column("event", Id),
    Column("revision", Integer),
    Column("body", Text, nullable=False),  # JSON
    Column("state", Id, nullable=False),  # pending, delivered, failed, skipped, cancelled
    Column("received", BigInteger, nullable=False),  # of the alert
    Column("created", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),  # of one that is taken: when it is tried again if nothing is heard of it
    Column("attempts", Integer, nullable=False),
    Column("begun", BigInteger),  # the first try, from which giving up is counted
    Column("tried", BigInteger),  # the last
    Column("status", Integer),  # of HTTP
    Column("error", Text),
    Column("acknowledged", BigInteger),
    Column("digest", Id),  # id of the message that it went with
    Column("lease_by", Id),
    Column("lease_until", BigInteger),
    Column("told", Text),  # marks of the addresses that have it
    Index("ix_deliveries_created", "created", "id"),
    Index("ix_deliveries_state", "state", "created", "id"),
    Index("ix_deliveries_subscription", "subscription", "state", "created", "id"),
    Index("ix_deliveries_alert_id", "alert_id", "subscription"),
    Index("ix_deliveries_tried", "subscription", "tried"),
    Index("ix_deliveries_acknowledged", "subscription", "acknowledged"),
    Index(
        "ix_deliveries_due",
        "subscription",
        "due",
        "created",
        "id",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
)

# Which delivery told a subscription of an object first: kept as long as the subscription, whatever is forgotten of deliveries.
first_told = Table(
    "first_told",
    metadata,
    Column("subscription", Id, nullable=False),
    Column("object", Id, nullable=False),
    Column("delivery", Id, nullable=False),
    PrimaryKeyConstraint("subscription", "object"),
    sqlite_with_rowid=False,
)

# What observers tell of events: where they looked or will look, and what they measured.
observations = Table(
    "observations",
    metadata,
    Column("id", Id, primary_key=True),  # obs_<24 hex>
    Column("event_name", Id, nullable=False),
    Column("sender_id", Id),  # what its sender calls it: one of an event and an account
    Column("who", Id, nullable=False),  # the account that sent it, ``local`` where there are none
    Column("reporter", Text, nullable=False),  # who is to be named
    Column("telescope", Text, nullable=False),
    Column("instrument", Text),
    Column("status", Text, nullable=False),  # planned, completed, cancelled
    Column("time", BigInteger, nullable=False),  # when it began, or is to begin
    Column("ra", Float(53), nullable=False),  # degrees, ICRS: of the field's centre
    Column("dec", Float(53), nullable=False),
    Column("footprint", JSON),  # circle or polygon, degrees
    Column("band", Text),
    Column("band_min", Float(53)),  # in band_unit: a wavelength, a frequency or an energy
    Column("band_max", Float(53)),
    Column("band_unit", Text),
    Column("depth", Float(53)),
    Column("depth_unit", Text),  # ab_mag, vega_mag, flux_erg, flux_jy
    Column("exposure", Float(53)),  # seconds
    Column("photometry", JSON),  # what was measured of sources
    Column("reference", Text),
    Column("note", Text),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Index("ix_observations_event_name", "event_name", "time", "id"),
    Index("ix_observations_sender_id", "event_name", "who", "sender_id"),
)

# What somebody or something takes an alert for.
classifications = Table(
    "classifications",
    metadata,
    Column("id", Id, primary_key=True),  # cls_<24 hex> of all that makes it one: sent again it replaces itself
    Column("alert_id", Id, ForeignKey("alerts.alert_id", ondelete="CASCADE"), nullable=False),
    Column("who", Id, nullable=False),
    Column("classification", Text, nullable=False),
    Column("probability", Float(53)),
    Column("taxonomy", Text),
    Column("classifier", Text),
    Column("version", Text),
    Column("reference", Text),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Index("ix_classifications_alert_id", "alert_id"),
)
