"""A workbench: schemas made on real databases, a policy compiled against them and carried out, everything compared."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from retentiond.catalog.model import Catalog
from retentiond.compiler.compile import Compilation, compile_plan
from retentiond.engine.custody import Custody
from retentiond.engine.report import JobReport
from retentiond.engine.run import carry_out
from retentiond.engine.sources import Sources
from retentiond.errors import PolicyError
from retentiond.policy.loader import load_policy_text
from retentiond.settings import load_settings
from retentiond.state.store import Store, open_store
from tests.database.custody import ACCEPT, custody_of, prepare

AT = datetime(2026, 11, 22, 1, tzinfo=UTC)
Content = dict[str, list[tuple[Any, ...]]]

HEAD = """\
version: 1
name: bench
title: The bench's policy
timezone: Europe/Brussels
records:
"""


def policy_text(records: str, *rules: str) -> str:
    """A policy; a rule is `record: what follows keep; then …` in YAML flow."""
    said = [
        f"  - {{name: rule-{number}, clause: '{number}', {rule}}}\n"
        for number, rule in enumerate(rules or (DELETE,), 1)
    ]
    body = "".join(f"  {line}\n" for line in records.strip().splitlines())
    return f"{HEAD}{body}rules:\n{''.join(said)}"


DELETE = "record: root, keep: 1 year after left_on, then: delete"


@dataclass
class Bench:
    """Databases by source name; use as a context manager."""

    folder: Path
    urls: dict[str, str]
    chunk_rows: int = 1000
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    def engine(self, source: str = "crm") -> str:
        """sqlite, postgresql or mariadb."""
        return self.urls[source].partition(":")[0].partition("+")[0].replace("mysql", "mariadb")

    def make(self, *statements: str, source: str = "crm") -> None:
        """Carry out DDL and DML; names in double quotes are quoted as the engine does."""
        engine = sa.create_engine(self.urls[source], poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        mark = "`" if self.engine(source) == "mariadb" else '"'
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace('"', mark), execution_options={"no_parameters": True})

    def rows(self, query: str, source: str = "crm") -> list[tuple[Any, ...]]:
        engine = sa.create_engine(self.urls[source], poolclass=sa.NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def content(self, source: str = "crm") -> Content:
        """Every row of every table but ours."""
        engine = sa.create_engine(self.urls[source], poolclass=sa.NullPool)
        found: Content = {}
        with engine.connect() as connection:
            inspector = sa.inspect(connection)
            schemas = [None] if self.engine(source) != "postgresql" else inspector.get_schema_names()
            for schema in schemas:
                if schema == "information_schema":
                    continue
                for name in inspector.get_table_names(schema=schema):
                    if not name.startswith("retentiond_"):
                        table = sa.table(name, schema=schema)
                        rows = connection.execute(sa.select(sa.text("*")).select_from(table))
                        label = name if schema in (None, "public") else f"{schema}.{name}"
                        found[label] = sorted((tuple(row) for row in rows), key=repr)
        return found

    @cached_property
    def sources(self) -> Sources:
        file = self.folder / "retentiond.toml"
        lines = ["[state]", f'url = "sqlite:///{self.folder}/state.db"', "[ledger]", f'keys = "{self.folder}/keys"']
        for name, url in self.urls.items():
            lines += [f"[sources.{name}]", f"url = {json.dumps(url)}", f"chunk_rows = {self.chunk_rows}", ACCEPT]
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        return self._open.enter_context(Sources(load_settings(file, {})))

    @cached_property
    def store(self) -> Store:
        return self._open.enter_context(open_store(f"sqlite:///{self.folder}/state.db", create=True))

    def catalogs(self) -> dict[str, Catalog]:
        found, unreachable = self.sources.catalogs(self.urls)
        assert unreachable == {}
        return found

    def compile(self, *policies: str) -> Compilation:
        loaded = tuple(load_policy_text(text, f"p{number}.yaml") for number, text in enumerate(policies))
        return compile_plan(loaded, self.catalogs())

    def problems(self, *policies: str) -> list[str]:
        """What is wrong, as `code: message (hint)`; nothing where the policies compile."""
        try:
            self.compile(*policies)
        except PolicyError as error:
            return [str(problem).split(": ", 1)[1] for problem in error.problems]
        return []

    def run(self, text: str, at: datetime = AT, *, apply: bool = True) -> list[JobReport]:
        jobs = self.compile(text).plan.ready
        return list(carry_out(jobs, self.sources, at, apply=apply, custody=self.custody() if apply else None))

    def custody(self) -> Custody:
        for url in self.urls.values():
            prepare(url)
        return custody_of((), self.catalogs(), self.sources, self.store)

    def carried_out(self, text: str, at: datetime = AT) -> list[JobReport]:
        """
        Runs the policy; what held of every run is asserted: the dry run changes nothing and counts what the run does,
        exactly the rows that are counted go, and a second run finds nothing to do. The reports of the run.
        """
        before = {source: self.content(source) for source in self.urls}
        dry = self.run(text, at, apply=False)
        assert {source: self.content(source) for source in self.urls} == before
        wet = self.run(text, at)
        assert [report.failed for report in (*dry, *wet)] == [None] * 2 * len(wet)
        after = {source: self.content(source) for source in self.urls}
        gone = {
            f"{source}.{table}": len(rows) - len(after[source][table])
            for source, tables in before.items()
            for table, rows in tables.items()
            if len(rows) != len(after[source][table])
        }
        if len(wet) == 1:
            assert (dry[0].due, dry[0].cascade) == (wet[0].due, wet[0].cascade)
            assert (dry[0].held, dry[0].floored) == (wet[0].held, wet[0].floored)
        assert [report.done for report in wet] == [report.due for report in wet]
        counted: dict[str, int] = {}
        for report in wet:
            if report.action == "delete":
                label = f"{report.source}.{report.table}"
                for name, rows in {label: report.done}.items() | report.cascade.items():
                    counted[name] = counted.get(name, 0) + rows
        assert {name: rows for name, rows in counted.items() if rows} == gone
        assert all(report.done == 0 and not any(report.cascade.values()) for report in self.run(text, at))
        assert {source: self.content(source) for source in self.urls} == after
        for source in self.urls:
            if self.engine(source) == "sqlite":
                assert self.rows("PRAGMA foreign_key_check", source) == []
        return wet
