"""The connected databases: engines by source, opened when first needed, and their catalogs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, cast

import sqlalchemy as sa

from retentiond.catalog.connections import open_engine
from retentiond.catalog.faults import errors_of
from retentiond.catalog.manifest import hides_triggers, read_manifest, with_manifest
from retentiond.catalog.model import Catalog, Dialect
from retentiond.catalog.reflection import reflect
from retentiond.errors import RetentiondError, TransientError, UsageError
from retentiond.settings import Settings
from retentiond.state.store import open_store


class Sources:
    """
    Engines on the settings' sources. Reading engines cannot write; closing disposes of all. `urls` take the place of
    what the settings say of these sources.
    """

    def __init__(self, settings: Settings, urls: Mapping[str, sa.URL] = MappingProxyType({})) -> None:
        self._settings = settings
        self._urls = urls
        self._engines: dict[tuple[str, bool], sa.Engine] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Every source of the settings."""
        return tuple(self._settings.sources)

    @property
    def settings(self) -> Settings:
        """The settings that name them."""
        return self._settings

    def chunk_rows(self, name: str) -> int:
        """The most rows that one transaction on the source may change."""
        return self._settings.source(name).chunk_rows

    def chunk_seconds(self, name: str) -> float:
        """How long one transaction on the source may hold its locks."""
        return self._settings.source(name).chunk_seconds

    def fenced(self, name: str) -> bool:
        """True where the source holds a fence of ours; else its rows are probed for."""
        return self._settings.source(name).fence == "table"

    def dialect(self, name: str) -> Dialect:
        """The engine as the URL names it; MariaDB may go by `mysql` here."""
        return cast("Dialect", self.reading(name).dialect.name)

    @property
    def keys_folder(self) -> Path:
        """Where retentiond's keys are."""
        folder = self._settings.ledger.keys
        if folder is None:
            raise UsageError("no folder for keys", hint="set `keys` under [ledger]", code="no-keys")
        return folder

    def reading(self, name: str) -> sa.Engine:
        """An engine whose every transaction is read-only."""
        return self._engine(name, write=False)

    def writing(self, name: str) -> sa.Engine:
        """An engine that may change rows."""
        return self._engine(name, write=True)

    def catalogs(self, names: Iterable[str]) -> tuple[dict[str, Catalog], dict[str, RetentiondError]]:
        """
        The live schemas of these sources, and why others could not be read now: one down stops no other.

        Raises:
            UsageError: where a URL is wrong, or where every source is gone or refuses the login: so are the settings.
        """
        found: dict[str, Catalog] = {}
        unreachable: dict[str, RetentiondError] = {}
        for name in names:
            engine = self.reading(name)
            try:
                found[name] = self._told(reflect(engine, name))
            except (TransientError, UsageError) as error:
                unreachable[name] = error
        if not found:
            for why in unreachable.values():
                if isinstance(why, UsageError):
                    raise why
        return found, unreachable

    def close(self) -> None:
        """Ends every connection."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _told(self, catalog: Catalog) -> Catalog:
        """The catalog with what an administrator saw and its role cannot see, where that was recorded."""
        if catalog.complete and not hides_triggers(catalog):
            return catalog
        try:
            with open_store(self._settings.state.connection_url(), create=False) as store:
                recorded = store.manifests.of(catalog.source)
        except RetentiondError:  # what cannot be read was not told; then the role stays blind
            return catalog
        manifest = read_manifest(recorded.document) if recorded else None
        return with_manifest(catalog, manifest) if manifest else catalog

    def _engine(self, name: str, *, write: bool) -> sa.Engine:
        if (name, write) not in self._engines:
            source = self._settings.source(name)
            with errors_of(name):
                self._engines[name, write] = open_engine(
                    self._urls.get(name) or source.connection_url(),
                    read_only=not write,
                    statement_seconds=max(30.0, 20 * source.chunk_seconds) if write else None,
                    lock_seconds=max(1.0, 4 * source.chunk_seconds) if write else 10.0,
                )
        return self._engines[name, write]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
