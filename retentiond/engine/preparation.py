"""
Preparing a source: the fence is made, or its statements are only told; the grants of the rules are always only told.

On MariaDB and MySQL an administrator's session also leaves behind what it saw, for a role that may not look itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

import sqlalchemy as sa

from retentiond.catalog.connections import open_engine
from retentiond.catalog.faults import errors_of
from retentiond.catalog.identity import identity_of
from retentiond.catalog.manifest import manifest_of
from retentiond.catalog.model import Dialect
from retentiond.catalog.privileges import role_name
from retentiond.catalog.reflection import reflect
from retentiond.catalog.rights import quoted_role
from retentiond.engine.grants import Needs, Section, needs_on
from retentiond.engine.people import this_person
from retentiond.engine.prepare import fence_statements, has_fence, make_fence
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import open_workspace
from retentiond.errors import FailedError, RefusedError, RetentiondError, UsageError
from retentiond.settings import Settings
from retentiond.state.store import open_store

_DENIED = ("42501", "1044", "1142", "1227", "1410")
_NOTHING = Needs((), (), (), ())
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    What a source has now and what is left to do. `role` is a name, on MariaDB and MySQL `user@host`; `certain` where
    the role itself said so. `recorded`: an administrator has seen what the role cannot. `problem` says why its needs
    could not be worked out.
    """

    source: str
    dialect: Dialect
    database: str
    role: str
    certain: bool
    fence: Literal["made", "there", "to make", "not needed"]
    recorded: bool
    statements: tuple[str, ...]
    needs: Needs
    problem: RetentiondError | None

    @property
    def sections(self) -> tuple[Section, ...]:
        """The grants that are left to an administrator."""
        return self.needs.sections(self.dialect, quoted_role(self.dialect, self.role))


@dataclass(frozen=True, slots=True)
class _Own:
    """What the daemon's role says of itself; without a session only its name is known."""

    role: str
    certain: bool
    identity: str | None = None
    fenced: bool = False


def prepare(settings: Settings, source: str, administrator: sa.URL | None, *, act: bool, now: datetime) -> Prepared:
    """
    Prepares the source, or where not `act` tells what that would take.

    Raises:
        RefusedError: where nobody who is at hand may make the fence, or the administrator came to another database.
    """
    chosen = settings.source(source)
    with Sources(settings) as sources:
        dialect, database = sources.dialect(source), str(sources.reading(source).url.database or "")
        administrator = _completed(administrator, sources.reading(source).url)
        own = _own(sources, source, dialect)
    fenced = chosen.fence == "table"
    fence: Literal["made", "there", "to make", "not needed"] = "to make"
    if not fenced:
        fence = "not needed"
    elif act and own.fenced and administrator is None:
        fence = "there"
    elif act:
        _make(settings, source, administrator, dialect, own)
        fence = "made"
    recorded = _recorded(settings, source, administrator if act else None, now) if _hides(dialect) else False
    needs, problem = _needs(settings, source, administrator, recorded=recorded, fenced=fenced)
    statements = tuple(fence_statements(dialect, own.role or None)) if fenced else ()
    return Prepared(source, dialect, database, own.role, own.certain, fence, recorded, statements, needs, problem)


def _completed(administrator: sa.URL | None, own: sa.URL) -> sa.URL | None:
    """The administrator's URL, with the source's database where it names none."""
    if administrator is None:
        return None
    kinds = [{"mariadb": "mysql"}.get(url.get_backend_name(), url.get_backend_name()) for url in (administrator, own)]
    if kinds[0] != kinds[1]:
        raise UsageError(f"the administrator's URL is one of {kinds[0]}, the source is {kinds[1]}", code="bad-url")
    return administrator if administrator.database else administrator.set(database=own.database)


def _own(sources: Sources, source: str, dialect: Dialect) -> _Own:
    """What can be learnt in the role's own session; a role that has no rights yet may not be let in."""

    def asked(connection: sa.Connection) -> _Own:
        return _Own(
            role_name(connection, dialect), True, identity_of(connection, dialect), has_fence(connection, dialect)
        )

    engine = sources.reading(source)
    try:
        return _ask(engine, source, asked)
    except RetentiondError:
        if dialect == "sqlite":
            raise
    if _hides(dialect):
        try:  # it may come in where it names no database
            outside = open_engine(
                engine.url.set(database=""), read_only=True, statement_seconds=30, lock_seconds=5, application_name=""
            )
            return _Own(_ask(outside, source, lambda connection: role_name(connection, dialect)), True)
        except RetentiondError:
            return _Own(f"{engine.url.username or ''}@%", False)
    return _Own(engine.url.username or "", False)


def _ask(engine: sa.Engine, source: str, question: Callable[[sa.Connection], _Found]) -> _Found:
    with errors_of(source), engine.connect() as connection, connection.begin():
        return question(connection)


def _make(settings: Settings, source: str, administrator: sa.URL | None, dialect: Dialect, own: _Own) -> None:
    urls = {source: administrator} if administrator is not None else {}
    with Sources(settings, urls) as sources:
        try:
            with errors_of(source), sources.writing(source).connect() as connection, connection.begin():
                if own.identity is not None and identity_of(connection, dialect) != own.identity:
                    raise RefusedError(
                        f"the administrator's URL leads to another database than the one of {source}",
                        hint="name the same server and database",
                        code="identity",
                    )
                make_fence(connection, dialect, own.role or None)
        except FailedError as error:
            if error.code not in _DENIED:
                raise
            hint = "an administrator's URL in --admin-url-file; or --print, for an administrator to paste"
            raise RefusedError(f"{error.message}: nobody here may make the fence", hint=hint, code="prepare") from None


def _recorded(settings: Settings, source: str, administrator: sa.URL | None, now: datetime) -> bool:
    """True where the state store knows what an administrator saw; what this one sees is recorded first."""
    url = settings.state.connection_url()
    if administrator is None:
        with open_store(url, create=False) as store:
            return store.manifests.of(source) is not None
    with Sources(settings, {source: administrator}) as sources:
        manifest = manifest_of(reflect(sources.reading(source), source))
    with open_store(url, create=True, keys=settings.ledger.keys) as store:
        if manifest is not None:
            person = this_person()
            document, uid = manifest.as_document(), person.login_uid
            store.manifests.record(source, document, now=now, by=person.name, login_uid=uid)
        return store.manifests.of(source) is not None


def _needs(
    settings: Settings, source: str, administrator: sa.URL | None, *, recorded: bool, fenced: bool
) -> tuple[Needs, RetentiondError | None]:
    """What the rules need, worked out against the schema as the administrator sees it, where there is one."""
    urls = {source: administrator} if administrator is not None else {}
    with Sources(settings, urls) as sources:
        try:
            workspace = open_workspace(settings, sources)
        except RetentiondError as error:
            return _NOTHING, error
    if source in workspace.unreachable:
        return _NOTHING, workspace.unreachable[source]
    if source not in workspace.catalogs:
        return _NOTHING, None  # no policy speaks of it
    return needs_on(workspace, source, recorded=recorded, fenced=fenced), None


def _hides(dialect: Dialect) -> bool:
    """True for engines that hide tables, keys and triggers from who has no rights on them."""
    return dialect in ("mariadb", "mysql")
