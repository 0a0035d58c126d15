"""Small worlds for the tests of counting and destroying: real databases, rows, and policies compiled against them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from retentiond.catalog.model import Catalog
from retentiond.catalog.reflection import reflect
from retentiond.compiler.binding import Binding
from retentiond.compiler.compile import compile_plan
from retentiond.compiler.findings import Findings
from retentiond.compiler.plan import Job, Relation
from retentiond.engine.report import JobReport
from retentiond.engine.run import carry_out
from retentiond.engine.sample import sample_keys
from retentiond.engine.sources import Sources
from retentiond.policy.loader import load_policy_text
from retentiond.policy.model import Policy
from retentiond.settings import load_settings
from retentiond.state.store import open_store
from tests.database.custody import ACCEPT, custody_of, prepare

Row = dict[str, Any]
COUNTS = ("due", "held", "floored", "not_started", "suspect", "total", "oldest_due", "cascade")


def dialect(url: str) -> str:
    name = sa.make_url(url).get_backend_name()
    return "mariadb" if name == "mysql" else name


def quoted(url: str, name: str) -> str:
    return f"`{name}`" if dialect(url) == "mariadb" else f'"{name}"'


@dataclass
class World:
    """Databases by source name; what an administrator does to them, and what retentiond does."""

    folder: Path
    urls: Mapping[str, str]
    _catalogs: dict[str, Catalog] = field(default_factory=dict, repr=False)
    _opened: int = 0
    _prepared: set[str] = field(default_factory=set, repr=False)

    def carry_out(self, source: str, *statements: str) -> None:
        with self.administrator(source) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        self._catalogs.pop(source, None)

    @contextmanager
    def administrator(self, source: str) -> Iterator[sa.Connection]:
        """A connection of somebody else, who may write anything, zero dates too; committed in the end."""
        engine = sa.create_engine(self.urls[source], poolclass=sa.NullPool)
        try:
            with engine.begin() as connection:
                if dialect(self.urls[source]) == "mariadb":
                    connection.exec_driver_sql("SET SESSION sql_mode = '', time_zone = '+00:00'")
                yield connection
        finally:
            engine.dispose()

    def fill(self, source: str, tables: Mapping[str, Sequence[Row]]) -> None:
        """The tables hold these rows and no others."""
        url = self.urls[source]
        with self.administrator(source) as connection:
            for table in reversed(list(tables)):
                connection.exec_driver_sql(f"DELETE FROM {quoted(url, table)}")
            for table, rows in tables.items():
                if not rows:
                    continue
                names = ", ".join(quoted(url, name) for name in rows[0])
                mark = "?" if dialect(url) == "sqlite" else "%s"
                values = ", ".join([mark] * len(rows[0]))
                statement = f"INSERT INTO {quoted(url, table)} ({names}) VALUES ({values})"
                connection.exec_driver_sql(statement, [tuple(row.values()) for row in rows])

    @contextmanager
    def sources(self, chunk_rows: int = 1000) -> Iterator[Sources]:
        self._opened += 1
        file = self.folder / f"retentiond-{self._opened}.toml"
        lines = ["[state]", f'url = "sqlite:///{self.folder / "state.db"}"', "[ledger]", f'keys = "{self.folder}/keys"']
        for name, url in self.urls.items():
            lines += [f"[sources.{name}]", f'url = "{url}"', f"chunk_rows = {chunk_rows}", ACCEPT]
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        with _Pooled(load_settings(file, {})) as sources:
            yield sources

    def compile(self, document: Mapping[str, object], sources: Sources) -> tuple[Policy, tuple[Job, ...]]:
        """The policy of a document, loaded and compiled as ever; schemas are read once."""
        policy = load_policy_text(json.dumps(document, ensure_ascii=False))
        for name in self.urls:
            if name not in self._catalogs:
                self._catalogs[name] = reflect(sources.reading(name), name)
        return policy, compile_plan((policy,), self._catalogs).plan.ready

    def relation(self, source: str, table: str) -> Relation:
        """A table as statements need it; its source has been compiled against."""
        found = self._catalogs[source].find(table)
        assert found is not None
        return Binding((), self._catalogs, (), Findings()).relation_of(source, found)

    def relations(self, policy: Policy) -> dict[str, Relation]:
        """The tables of a policy's records, by record, each in its first source."""
        known = sorted(self._catalogs)
        return {
            record.name: self.relation(
                next(name for name in known if fnmatchcase(name, record.sources[0])), record.table
            )
            for record in policy.records
        }

    def plan(self, jobs: Sequence[Job], sources: Sources, at: datetime) -> list[JobReport]:
        """The dry run of these jobs; none may fail."""
        return _sound(carry_out(jobs, sources, at, apply=False))

    def run(self, jobs: Sequence[Job], sources: Sources, at: datetime) -> list[JobReport]:
        """The run of these jobs; none may fail."""
        for url in self.urls.values():
            if url not in self._prepared:
                prepare(url)
                self._prepared.add(url)
        with open_store(sa.make_url(f"sqlite:///{self.folder / 'state.db'}"), create=True) as store:
            custody = custody_of((), self._catalogs, sources, store)
            return _sound(carry_out(jobs, sources, at, apply=True, custody=custody, requested_by="tests"))

    def due_keys(self, job: Job, sources: Sources, at: datetime) -> list[tuple[Any, ...]]:
        return sample_keys(job, sources, at, 1_000_000)

    def tables(self, source: str) -> list[str]:
        engine = sa.create_engine(self.urls[source], poolclass=sa.NullPool)
        try:
            return sorted(name for name in sa.inspect(engine).get_table_names() if name != "retentiond_fence")
        finally:
            engine.dispose()

    def contents(self) -> dict[str, list[str]]:
        """Every row of every table of every source, as sorted text."""
        found: dict[str, list[str]] = {}
        for source, url in self.urls.items():
            names = self.tables(source)
            with self.administrator(source) as connection:
                for name in names:
                    rows = connection.exec_driver_sql(f"SELECT * FROM {quoted(url, name)}")
                    found[f"{source}.{name}"] = sorted(repr(tuple(row)) for row in rows)
        return found

    def fingerprint(self) -> str:
        """A hash over all contents; of SQLite over the very bytes of the file."""
        digest = hashlib.sha256(repr(self.contents()).encode())
        for url in self.urls.values():
            if dialect(url) == "sqlite":
                digest.update(Path(str(sa.make_url(url).database)).read_bytes())
        return digest.hexdigest()


class _Pooled(Sources):
    """Sources that keep their connections: what a hundred jobs of one test ask costs one log-in, not a hundred."""

    def _engine(self, name: str, *, write: bool) -> sa.Engine:
        engine = super()._engine(name, write=write)
        if isinstance(engine.pool, sa.NullPool):
            engine.pool = sa.QueuePool(engine.pool._creator, _dispatch=engine.pool.dispatch, dialect=engine.dialect)
        return engine


def _sound(reports: Iterable[JobReport]) -> list[JobReport]:
    found = list(reports)
    failed = [(report.name, report.source, report.failed) for report in found if report.failed]
    assert not failed, failed
    return found


def counts(report: JobReport) -> dict[str, object]:
    """What a dry run and a run must agree on."""
    return {name: getattr(report, name) for name in COUNTS}


def without_cascade(report: JobReport) -> JobReport:
    return replace(report, cascade={})


def document(records: Mapping[str, object], rules: Sequence[Mapping[str, object]], **more: object) -> dict[str, object]:
    """A policy of these records and rules; what every rule needs and a test does not care about is filled in."""
    filled = []
    for number, rule in enumerate(rules):
        whole = {"name": f"rule-{number}", "clause": "1", **rule}
        if "at least" in str(rule["keep"]):
            whole.setdefault("statute", {"law": "a law", "checked": "2026-01-01"})
        filled.append(whole)
    head = {"version": 1, "name": "policy", "title": "A policy"}
    return {**head, "records": dict(records), "rules": filled, **more}
