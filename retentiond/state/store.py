"""Opening the state store: made or upgraded by who writes, never by who reads."""

import os
import uuid
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Engine, insert, select
from sqlalchemy.engine import URL, Connection, make_url

from retentiond.errors import RefusedError, UsageError
from retentiond.state import tables
from retentiond.state.approvals import Approvals
from retentiond.state.control import Control
from retentiond.state.faults import store_errors
from retentiond.state.holds import Holds
from retentiond.state.intents import Intents
from retentiond.state.keys import keep_identity, state_identities
from retentiond.state.ledger.known_keys import KnownKeys
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.locks import Gate
from retentiond.state.manifests import Manifests
from retentiond.state.migrate import HEAD, refuse_newer, revision, upgrade
from retentiond.state.pins import Pins
from retentiond.state.runs import Runs
from retentiond.state.sqlite import (
    WRITES,
    check_access,
    empty_engine,
    folder_lock,
    make_private,
    reading_engine,
    writing_engine,
)
from retentiond.state.stops import Stops


class Store:
    """
    An open state store. `exists` is False where nothing has run yet and nothing was made; `outdated` is True for one of
    before the last `ledger continue`.
    """

    def __init__(self, engine: Engine, *, exists: bool, writable: bool, locks_folder: Path | None = None) -> None:
        self._engine = engine
        self.outdated = False
        self._locks_folder = locks_folder
        self.exists = exists
        self.runs = Runs(engine, writable=writable)
        self.ledger = Ledger(engine, writable=writable)
        self.keys = KnownKeys(engine, self.ledger, writable=writable)
        self.control = Control(engine, self.ledger, writable=writable)
        self.intents = Intents(engine, self.ledger, self.runs, writable=writable)
        self.approvals = Approvals(engine, self.ledger, self.control, writable=writable)
        self.holds = Holds(engine, self.ledger, self.control, writable=writable)
        self.stops = Stops(engine, self.ledger, self.control, writable=writable)
        self.pins = Pins(engine, self.ledger, writable=writable)
        self.manifests = Manifests(engine, self.ledger, writable=writable)

    @property
    def locks_folder(self) -> Path:
        """The folder of the gate and of the jobs' locks; only a store that was opened to write has one."""
        if self._locks_folder is None:
            raise UsageError("the state store was opened for reading only", code="state-read-only")
        return self._locks_folder

    @property
    def gate(self) -> Gate:
        """The gate between who commits and who takes a permission back."""
        return Gate(self.locks_folder)

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction that writes to several parts at once."""
        return self._engine.execution_options(**{WRITES: True}).begin()

    @property
    def identity(self) -> str | None:
        """The id this store got when it was made; None where it does not exist."""
        with store_errors("reading the identity"), self._engine.connect() as connection:
            return connection.execute(select(tables.identity.c.state_id)).scalar_one_or_none()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_store(url: URL | str, *, create: bool, keys: Path | None = None, outdated: bool = False) -> Store:
    """
    The store at that URL, with the schema this program knows.

    With `create` it is made or upgraded, under a lock; without, it is only read, and where there is none the answer is
    an empty store that makes nothing. `keys` is the folder of the keys (else `keys` beside the file): it holds the id
    of the store as well, so that one which is made anew has the same, and what it forgot is noticed. With `outdated`
    one of before the last `ledger continue` may be opened.

    Raises:
        RefusedError: where the keys belong to another state store.
    """
    url = make_url(url)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        raise UsageError(
            f"a state store on {url.get_backend_name()} is not supported yet",
            hint="use sqlite:////var/lib/retentiond/state.db",
            code="state-unsupported",
        )
    file = Path(url.database or "")
    if not create:
        return _open_to_read(file)
    return _open_to_write(url, file, keys or file.parent / "keys", outdated=outdated)


def _open_to_write(url: URL, file: Path, keys: Path, *, outdated: bool) -> Store:
    make_private(file)
    check_access(file, os.R_OK | os.W_OK)
    engine = writing_engine(url)
    try:
        with (
            store_errors(f"opening {file}"),
            folder_lock(file.parent),
            engine.execution_options(**{WRITES: True}).begin() as connection,
        ):
            is_outdated = _bring_up(connection, keys, file.name)
            if is_outdated and not outdated:
                raise RefusedError(
                    "the state store was restored from a back-up of before `retentiond ledger continue`",
                    hint="put a later one back, or go on from this one by the same command",
                    code="state-restored",
                )
    except BaseException:
        engine.dispose()
        raise
    locks_folder = file.with_name(f"{file.name}.locks")
    locks_folder.mkdir(mode=0o700, exist_ok=True)
    store = Store(engine, exists=True, writable=True, locks_folder=locks_folder)
    store.outdated = is_outdated
    return store


def _bring_up(connection: Connection, keys: Path, name: str) -> bool:
    """
    Upgrade where needed and give a new store its identity, all in one transaction; True where it has had another one
    since.
    """
    found = revision(connection)
    refuse_newer(found)
    if found != HEAD:
        upgrade(connection)
    own = connection.execute(select(tables.identity.c.state_id)).scalar_one_or_none()
    if not state_identities(keys, name):
        keep_identity(keys, name, own or str(uuid.uuid4()))
    known = state_identities(keys, name)
    if own is None:
        connection.execute(insert(tables.identity).values(id=1, state_id=known[-1]))
    elif own not in known:
        raise RefusedError(
            f"the keys in {keys} belong to another state store",
            hint="put the right state store back, or name a folder for its keys under [ledger]",
            code="state-identity",
        )
    return own is not None and own != known[-1]


def _open_to_read(file: Path) -> Store:
    if not file.exists():
        return _empty()
    check_access(file, os.R_OK)
    engine = reading_engine(file)
    try:
        with store_errors(f"opening {file}"), engine.connect() as connection:
            found = revision(connection)
        refuse_newer(found)
        if found is not None and found != HEAD:
            raise UsageError(
                f"the state store has the schema of an older retentiond ({found}, this program knows {HEAD})",
                hint="the next `retentiond run`, or a restart of the daemon, upgrades it",
                code="state-older",
            )
    except BaseException:
        engine.dispose()
        raise
    if found is None:
        engine.dispose()
        return _empty()
    return Store(engine, exists=True, writable=False)


def _empty() -> Store:
    engine = empty_engine()
    tables.metadata.create_all(engine)
    return Store(engine, exists=False, writable=False)
