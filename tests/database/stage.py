"""A stage for two sessions: a policy carried out on real databases, and a rival who acts between two of its steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pytest
import sqlalchemy as sa

from retentiond.compiler.plan import Job
from retentiond.engine import change, chunk, gate
from retentiond.engine.custody import Custody
from retentiond.engine.protocol import Protocol
from retentiond.engine.report import JobReport
from retentiond.engine.run import carry_out
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace, compile_workspace
from retentiond.policy.loader import load_policy_text
from retentiond.settings import load_settings
from retentiond.state.store import Store, open_store
from tests.database.custody import ACCEPT, custody_of, prepare

AT = datetime(2026, 11, 22, 1, tzinfo=UTC)
LONG_AGO = "2013-02-01 10:00:00"
LATELY = "2026-02-01 10:00:00"

Point = Literal["paged", "locked", "examined", "gathered", "changed", "looked"]
POINTS: tuple[Point, ...] = ("paged", "locked", "examined", "gathered", "changed", "looked")
"""After which of its steps retentiond is interrupted; after `looked` comes nothing but the commit."""


@dataclass
class Stage:
    """Databases by source name, and one policy that speaks of them; use as a context manager."""

    folder: Path
    urls: dict[str, str]
    policy: str
    chunk_rows: int = 1000
    chunk_seconds: float = 0.25
    working_urls: dict[str, str] = field(default_factory=dict)
    more_settings: str = ""  # of every source
    _open: ExitStack = field(default_factory=ExitStack)
    _administrators: dict[str, sa.Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Without it PyMySQL reads all certificates of the machine for each connection, a fifth of a second.
        for urls in (self.urls, self.working_urls):
            urls |= {name: f"{url}&ssl_disabled=true" for name, url in urls.items() if url.startswith("mysql")}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def administer(self, *statements: str, source: str = "crm") -> None:
        """What an administrator does, in one transaction."""
        connection = self._administrator(source)
        with connection.begin():
            for statement in statements:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def ids(self, table: str, source: str = "crm", column: str = "id") -> set[Any]:
        return {row[0] for row in self.rows(f"SELECT {column} FROM {table}", source)}

    def rows(self, query: str, source: str = "crm") -> list[tuple[Any, ...]]:
        connection = self._administrator(source)
        with connection.begin():
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def _administrator(self, source: str) -> sa.Connection:
        """One connection per source, since making one takes longer than what is asked of it."""
        if source not in self._administrators:
            engine = sa.create_engine(self.urls[source], poolclass=sa.NullPool)
            self._administrators[source] = self._open.enter_context(engine.connect())
        return self._administrators[source]

    def settings_file(self) -> Path:
        file = self.folder / "retentiond.toml"
        lines = ["[state]", f'url = "sqlite:///{self.state_file}"', "[ledger]", f'keys = "{self.folder}/keys"']
        for name, url in (self.urls | self.working_urls).items():
            lines += [f"[sources.{name}]", f'url = "{url}"']
            lines += [f"chunk_rows = {self.chunk_rows}", f"chunk_seconds = {self.chunk_seconds}", ACCEPT]
            lines += [self.more_settings]
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        return file

    @property
    def state_file(self) -> Path:
        return self.folder / "state.db"

    @cached_property
    def sources(self) -> Sources:
        return self._open.enter_context(Sources(load_settings(self.settings_file(), {})))

    @cached_property
    def store(self) -> Store:
        return self._open.enter_context(open_store(f"sqlite:///{self.state_file}", create=True))

    @cached_property
    def workspace(self) -> Workspace:
        return compile_workspace((load_policy_text(self.policy),), self.sources)

    @cached_property
    def custody(self) -> Custody:
        """What the runs ask and leave behind; the sources are prepared when this is asked for the first time."""
        for name, url in self.urls.items():
            role = sa.make_url(self.working_urls[name]).username if name in self.working_urls else None
            prepare(url, f"{role}@%" if role and url.startswith("mysql") else role)
        return custody_of(self.workspace.policies, self.workspace.catalogs, self.sources, self.store)

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs, compiled against the schemas as they are when this is asked for the first time."""
        plan = self.workspace.plan
        assert all(isinstance(job, Job) for job in plan.jobs), plan.jobs
        return tuple(job for job in plan.jobs if isinstance(job, Job))

    def run(self, *, apply: bool = True) -> list[JobReport]:
        """One run of all jobs."""
        return list(carry_out(self.jobs, self.sources, AT, apply=apply, custody=self.custody if apply else None))


class Rival:
    """
    Another session, in a thread of its own, because it may have to wait for us. Each statement commits.

    `waited` is True where it was not through when retentiond went on; `refused` where its database said no.
    """

    def __init__(self, url: str, *statements: str) -> None:
        self._url, self._statements = url, statements
        self._thread = threading.Thread(target=self._act, daemon=True)
        self.fired = self.waited = self.refused = False
        self.changed: list[int] = []

    def act(self) -> None:
        """Begin, and go on when it is through or waits for a lock."""
        if self.fired:
            return
        self.fired = True
        engine = another_session(self._url)
        with engine.connect() as watcher:
            self._connection = engine.connect()
            number = session_number(self._connection)
            self._thread.start()
            while self._thread.is_alive() and not self.waited:
                # InnoDB renews what it says of transactions only where nobody asked for a tenth of a second.
                self._thread.join(0.15 if watcher.dialect.name == "mysql" else 0.02)
                self.waited = self._thread.is_alive() and waits_for_lock(watcher, number)
                watcher.rollback()

    def end(self) -> None:
        """Wait until it is through."""
        assert self.fired, "nobody was interrupted"
        self._thread.join(20)
        assert not self._thread.is_alive()

    @property
    def came_first(self) -> bool:
        """True where its change was committed before retentiond went on."""
        return not self.waited and not self.refused

    @property
    def took_effect(self) -> bool:
        """True where it changed something: it came first, or won where both waited for each other."""
        return not self.refused and all(self.changed)

    def _act(self) -> None:
        with self._connection as connection:
            try:
                for statement in self._statements:
                    self.changed.append(connection.exec_driver_sql(statement).rowcount)
                    connection.commit()
            except sa.exc.DBAPIError:
                self.refused = True


def another_session(url: str) -> sa.Engine:
    """An engine of the company's own application: on SQLite one that gives up at once where the file is locked."""
    arguments = {"timeout": 0, "check_same_thread": False} if url.startswith("sqlite") else {}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)


def session_number(connection: sa.Connection) -> int:
    """What the server calls this session; 0 on SQLite."""
    queries = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()", "sqlite": "SELECT 0"}
    number = int(connection.exec_driver_sql(queries[connection.dialect.name]).scalar_one())
    connection.rollback()
    return number


def waits_for_lock(watcher: sa.Connection, number: int) -> bool:
    """True where that session waits for another one's lock; on SQLite nobody waits."""
    queries = {
        "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = {0}",
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx"
        " WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id = {0}",
        "sqlite": "SELECT 0",
    }
    return bool(watcher.exec_driver_sql(queries[watcher.dialect.name].format(number)).scalar_one())


class Interrupted:
    """Calls something once, after the first time that retentiond took a step; use as a context manager."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, point: Point, action: Callable[[], None]) -> None:
        self._patch, self._point, self._action = monkeypatch, point, action
        self.times = 0

    def __enter__(self) -> Self:
        before: dict[str, tuple[Any, str]] = {"paged": (Protocol, "begin"), "looked": (gate, "commit")}
        after = {"locked": (change, "lock"), "examined": (chunk, "examine"), "gathered": (chunk, "gather")}
        if self._point in before:
            self._wrap(*before[self._point], first=True)
        elif self._point in after:
            self._wrap(*after[self._point], first=False)
        else:
            for name in ("destroy", "mask"):
                self._wrap(change, name, first=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._patch.undo()

    def _wrap(self, module: Any, name: str, *, first: bool) -> None:
        original = getattr(module, name)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            if first:
                self._act()
            result = original(*arguments, **named)
            if not first:
                self._act()
            return result

        self._patch.setattr(module, name, wrapped)

    def _act(self) -> None:
        self.times += 1
        self._action()


def played(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, point: Point, rival: Rival, *, fails: bool = False
) -> list[JobReport]:
    """The reports of a run in which the rival acts once, after that step; both are through."""
    with Interrupted(monkeypatch, point, rival.act):
        reports = stage.run()
    rival.end()
    if not fails:
        assert [report.failed for report in reports] == [None] * len(reports)
    return reports


def inserts(table: str, rows: Sequence[Mapping[str, object]]) -> list[str]:
    """One INSERT with these rows, as SQL that every engine understands."""
    if not rows:
        return []
    values = ", ".join("(" + ", ".join(_literal(value) for value in row.values()) + ")" for row in rows)
    return [f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES {values}"]


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
