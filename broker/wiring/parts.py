"""The parts every verb is made of, opened from settings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from httpx import URL

from broker.decode.declaration import Declaration, load_declarations
from broker.decode.schemas import Chain, LsstPackage, RegistrySource, Schema, SchemaSource
from broker.filtering.definition import FilterSpec, load_filters
from broker.paths import shipped
from broker.science import sites
from broker.science.sites import Site
from broker.settings import Settings
from broker.store import catalogs, schemas_seen
from broker.store.catalogs import Catalog
from broker.store.engine import Store
from broker.stream.embedded import EmbeddedLog
from broker.stream.kafka import KafkaLog
from broker.stream.log import Log, TopicSpec
from broker.telemetry import get_logger
from broker.wiring import filter_folder
from broker.wiring.database import open_database
from broker.wiring.filter_book import FilterBook
from broker.wiring.instance import place_of

__all__ = ["Parts", "declarations_of", "filter_folder_of", "filters_of", "open_parts", "use_sites"]

log = get_logger(__name__)

FOLD_SECONDS = 60.0  # within which further new schemas of a stream are not told of one by one


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything opened.

    Parameters
    ----------
    data
        Folder for all that is kept.
    filters
        Those in force when the parts were opened; `process` goes by the `book`, batch by batch.
    book
        Those in force now.
    """

    data: Path
    settings: Settings
    log: Log
    store: Store
    declarations: Mapping[str, Declaration]
    schemas: SchemaSource
    filters: tuple[FilterSpec, ...]
    catalogs: tuple[Catalog, ...]
    book: FilterBook

    @property
    def archive_root(self) -> str:
        """Where packets are kept: a folder or an fsspec URL."""
        return self.settings.store.archive or str(self.data / "archive")

    @property
    def frames(self) -> Path:
        """Folder of the frames."""
        return self.data / "frames"

    @property
    def maps(self) -> Path:
        """Folder of the sky maps."""
        return self.data / "maps"


@contextmanager
def open_parts(settings: Settings, data: Path) -> Iterator[Parts]:
    """Open log, database, declarations, filters and catalogues, and close them in the end."""
    data.mkdir(parents=True, exist_ok=True)
    use_sites(settings)
    with ExitStack() as stack:
        stream_log = stack.enter_context(closing(open_log(settings, data)))
        store = stack.enter_context(open_database(settings, data))
        catalogs.ensure(data / "catalogs", "ngc")  # comes with the installation and takes a second
        book = FilterBook(store)
        parts = Parts(
            data,
            settings,
            stream_log,
            store,
            declarations_of(settings, data),
            schema_source(settings, store),
            (),
            tuple(catalogs.open_all(data / "catalogs")),
            book,
        )
        from broker.wiring.gate import lenient_gate_of  # noqa: PLC0415 - it looks at what is kept, and so imports this module

        filter_folder.take_in(store, filter_folder_of(settings, data), lenient_gate_of(parts), place_of(data))
        yield replace(parts, filters=book.now())


def open_log(settings: Settings, data: Path) -> Log:
    """The log engine the settings name."""
    table = settings.log
    spec = TopicSpec(
        partitions=table.partitions,
        retention_hours=table.retention_hours,
        compression=table.compression,
        replication=table.replication,
        max_message_bytes=table.max_message_bytes,
    )
    if table.engine == "kafka":
        return KafkaLog(table.bootstrap_servers, extra=dict(table.properties), default_spec=spec)
    return EmbeddedLog(data / "log", default_spec=spec, durable=table.durable)


def schema_source(settings: Settings, store: Store) -> SchemaSource:
    """Registries the settings name, then the packages installed; what is new is kept in the database and logged."""
    told: dict[str, float] = {}  # when one was last told of, by stream

    def keep(stream: str, schema: Schema, how: str, _fingerprint: str) -> None:
        if not schemas_seen.see(store, stream, schema, how):
            return
        # Years of a survey in one folder have dozens, of which one line says enough; the database has them all.
        quiet = time.monotonic() - told.get(stream, -FOLD_SECONDS) < FOLD_SECONDS
        told[stream] = time.monotonic()
        tell = log.debug if quiet else log.info
        tell("a schema seen for the first time", stream=stream, name=schema.get("name"), how=how)

    registries = [_registry(stream, URL(url)) for stream, url in settings.schemas.registries.items()]
    return Chain([*registries, LsstPackage()], keep)


def _registry(stream: str, url: URL) -> RegistrySource:
    auth = (url.username, url.password) if url.username else None
    return RegistrySource(str(url.copy_with(username=None, password=None)), auth, streams=frozenset({stream}))


def declarations_of(settings: Settings, data: Path) -> dict[str, Declaration]:
    """Stream declarations that come with Nuncius and the user's own, which win."""
    own = data / (settings.streams or "streams")
    return load_declarations(shipped("schemas") / "streams") | (load_declarations(own) if own.is_dir() else {})


def filter_folder_of(settings: Settings, data: Path) -> Path:
    """The folder of filters that the settings name, else of those that come with Nuncius."""
    return data / settings.filters if settings.filters else shipped("filters")


def filters_of(settings: Settings, data: Path) -> tuple[FilterSpec, ...]:
    """Filters of that folder, whatever became of them; they know the settings' sites.

    Raises
    ------
    FilterError
        A file is wrong.
    """
    use_sites(settings)
    return load_filters(filter_folder_of(settings, data))


def use_sites(settings: Settings) -> None:
    """Have the filters of this process know the sites of the settings."""
    sites.use({name: Site(one.longitude, one.latitude, one.height) for name, one in settings.sites.items()})
