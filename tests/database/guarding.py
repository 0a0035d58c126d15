"""A rig for guards and approvals: every run is a new command, which reads settings, policy and schema anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from retentiond.compiler.plan import Job
from retentiond.engine.approving import Approver, Offer, offer
from retentiond.engine.consent import NONE, Consent, consent_of_this_person
from retentiond.engine.count import Tally
from retentiond.engine.custody import Custody, open_custody, utc_now
from retentiond.engine.report import JobReport
from retentiond.engine.run import carry_out
from retentiond.engine.session import Session
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace, compile_workspace
from retentiond.policy.loader import load_policy_text
from retentiond.settings import load_settings
from retentiond.state.approvals import Approval
from retentiond.state.store import Store, open_store
from retentiond.state.values import Person
from tests.database.custody import ACCEPT, prepare

AT = datetime(2026, 11, 22, 1, tzinfo=UTC)
OLD, NEW = "2013-02-01 10:00:00", "2026-11-01 10:00:00"

SCHEMA = "CREATE TABLE accounts (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40), closed_at TIMESTAMP NULL)"

POLICY = """
version: 1
name: shop
title: A shop
records:
  account: {source: crm, table: accounts, subject: id}
rules:
  - {name: RULE, record: account, clause: "1", keep: PERIOD after closed_at, then: delete, WHEREguard: {GUARD}}
"""
LOOSE = "max_share: 100%"


def policy(period: str = "1 year", *, where: str = "", guard: str = LOOSE, rule: str = "old") -> str:
    """A policy with one rule."""
    text = POLICY.replace("PERIOD", period).replace("GUARD", guard).replace("RULE", rule)
    return text.replace("WHERE", f"where: {where}, " if where else "")


@dataclass
class Command:
    """One command at work."""

    workspace: Workspace
    sources: Sources
    store: Store
    custody: Custody

    @property
    def job(self) -> Job:
        """The only job."""
        (job,) = self.workspace.plan.jobs
        assert isinstance(job, Job)
        return job

    def run(self, *, apply: bool = True) -> JobReport:
        """The only job's report."""
        (report,) = carry_out(self.workspace.plan.jobs, self.sources, AT, apply=apply, custody=self.custody)
        return report


@dataclass
class Guarded:
    """A source with rows, a policy and a state store."""

    folder: Path
    url: str
    text: str = field(default_factory=policy)
    accept: str = ACCEPT
    four_eyes: bool = False

    def __post_init__(self) -> None:
        prepare(self.url)
        self.administer(SCHEMA)

    @property
    def state_file(self) -> Path:
        return self.folder / "state.db"

    def fill(self, old: int, new: int = 0) -> None:
        """Rows that are due, and rows that are not, beside those that are there."""
        first = 1 + (self.rows("SELECT COALESCE(MAX(id), 0) FROM accounts")[0][0])
        values = [f"({first + n}, 'n', '{OLD if n < old else NEW}')" for n in range(old + new)]
        for start in range(0, len(values), 500):
            self.administer(
                f"INSERT INTO accounts (id, name, closed_at) VALUES {', '.join(values[start : start + 500])}"
            )

    @property
    def count(self) -> int:
        return int(self.rows("SELECT COUNT(*) FROM accounts")[0][0])

    def administer(self, *statements: str) -> None:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        engine.dispose()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.exec_driver_sql(query)]
        engine.dispose()
        return found

    def settings_file(self) -> Path:
        file = self.folder / "retentiond.toml"
        lines = ["[state]", f'url = "sqlite:///{self.state_file}"', "[ledger]", f'keys = "{self.folder}/keys"']
        lines += ["[approval]", f"four_eyes = {str(self.four_eyes).lower()}"]
        lines += ["[sources.crm]", f'url = "{self.url}"', "chunk_rows = 50", self.accept]
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        return file

    @contextmanager
    def command(
        self, consent: Consent = NONE, now: Callable[[], datetime] = utc_now, *, create: bool = True
    ) -> Iterator[Command]:
        """A command that is at work; without `create` one that may write nothing."""
        settings = load_settings(self.settings_file(), {})
        with (
            Sources(settings) as sources,
            open_store(f"sqlite:///{self.state_file}", create=create, keys=settings.ledger.keys) as store,
        ):
            workspace = compile_workspace((load_policy_text(self.text),), sources)
            yield Command(workspace, sources, store, open_custody(workspace, sources, store, consent=consent, now=now))

    def run(self, *, yes: bool = False, now: Callable[[], datetime] = utc_now) -> JobReport:
        """`run`, with or without `--yes`."""
        with self.command(consent_of_this_person() if yes else NONE, now) as command:
            return command.run()

    def plan(self, now: Callable[[], datetime] = utc_now) -> JobReport:
        """`plan`."""
        with self.command(now=now, create=False) as command:
            return command.run(apply=False)

    def offer(self, now: Callable[[], datetime] = utc_now) -> Offer:
        """What `approve` would show."""
        with self.command(now=now) as command, Session(command.sources, apply=False) as session:
            return self._offer(command, session)

    def approve(self, who: Person | None = None, now: Callable[[], datetime] = utc_now) -> Approval:
        """`approve`, by somebody."""
        person = who or Person("anna", 1001)
        with self.command(now=now) as command, Session(command.sources, apply=False) as session:
            offered = self._offer(command, session)
            assert not offered.blockers, offered.blockers
            return Approver(command.store, command.custody.warden, person, now, self.four_eyes).give(offered, session)

    @staticmethod
    def _offer(command: Command, session: Session) -> Offer:
        report = command.run(apply=False)
        assert report.failed is None, report.failed
        tally = Tally(due=report.due or 0, total=report.total or 0)
        return offer(command.job, tally, command.custody.warden, session)
