"""A workbench with legal holds: placed and released as the commands do, and put into every plan and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from retentiond.compiler.plan import Job
from retentiond.engine.consent import consent_of_this_person
from retentiond.engine.custody import Custody, open_custody, utc_now
from retentiond.engine.report import JobReport
from retentiond.engine.run import carry_out
from retentiond.engine.workspace import Workspace, compile_workspace
from retentiond.policy.loader import load_policy_text
from retentiond.state.holds import NewHold
from retentiond.state.keys import KeyRing
from retentiond.state.values import Person
from tests.database.bench import AT, Bench
from tests.database.custody import prepare

REVIEW = date(2027, 6, 1)
ME = Person("tests", 1000)
SECRET = "Zq3-held-person-5521"  # never seen in any output


@dataclass
class Holding(Bench):
    """Policies by text, the first of which is called `bench`."""

    def hold(self, *ids: object, subject: str = "customer", policy: str = "bench", **more: Any) -> str:
        """The id of a hold on these subjects."""
        return self.place(NewHold("proceedings", "subject", "M-1", REVIEW, policy, subject, ids=_texts(ids), **more))

    def hold_rows(self, record: str, *keys: object, policy: str = "bench") -> str:
        """The id of a hold on a record, or these rows of it."""
        return self.place(NewHold("authority", "record", "M-2", REVIEW, policy, record=record, ids=_texts(keys)))

    def hold_source(self, source: str) -> str:
        """The id of a hold on all of a source."""
        return self.place(NewHold("authority", "source", "M-3", REVIEW, source=source))

    def place(self, hold: NewHold) -> str:
        return self.store.holds.add(hold, self.keys.sealer(), by=ME, now=utc_now())

    def release(self, hold_id: str) -> None:
        assert self.store.holds.release(hold_id, by=ME, now=utc_now(), four_eyes=False)

    @property
    def keys(self) -> KeyRing:
        return KeyRing(self.sources.keys_folder, self.store.keys, utc_now)

    def workspace(self, *texts: str) -> Workspace:
        return compile_workspace(
            tuple(load_policy_text(text, f"p{number}.yaml") for number, text in enumerate(texts)), self.sources
        )

    def looked_after(self, workspace: Workspace) -> Custody:
        for url in self.urls.values():
            prepare(url)
        return open_custody(workspace, self.sources, self.store, consent=consent_of_this_person())

    def carry(self, *texts: str, mode: Literal["plan", "run"], at: datetime = AT) -> list[JobReport]:
        """The reports of a dry or real run of these policies."""
        workspace = self.workspace(*texts)
        custody = self.looked_after(workspace)
        return list(carry_out(workspace.plan.jobs, self.sources, at, apply=mode == "run", custody=custody))

    def went(self, *texts: str, at: datetime = AT) -> dict[str, set[Any]]:
        """
        By source.table the first columns of the rows that a run took or changed, after a plan that said just as many
        of every class.
        """
        before = self.everything()
        dry = self.carry(*texts, mode="plan", at=at)
        assert self.everything() == before
        wet = self.carry(*texts, mode="run", at=at)
        failed = [report.failed for report in (*dry, *wet) if report.failed]
        stopped = [(report.guard, report.guard_message) for report in wet if report.guard != "ok"]
        assert (failed, stopped) == ([], []), (failed, stopped)
        if len(wet) == 1:
            assert _counts(dry) == _counts(wet), (dry, wet)
        after = {label: set(rows) for label, rows in self.everything().items()}
        gone = {label: {row[0] for row in rows if row not in after[label]} for label, rows in before.items()}
        return {label: keys for label, keys in gone.items() if keys}

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table of every source, by source.table."""
        return {f"{source}.{table}": rows for source in self.urls for table, rows in self.content(source).items()}

    def jobs(self, *texts: str) -> Sequence[Job]:
        """The jobs with what is held now."""
        workspace = self.workspace(*texts)
        custody = self.looked_after(workspace)
        return [custody.holds.apply(job) for job in workspace.plan.ready]


def _texts(ids: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(one) for one in ids)


def _counts(reports: Sequence[JobReport]) -> list[tuple[object, ...]]:
    return [
        (report.due, report.held, report.floored, report.not_started, report.suspect, dict(report.cascade))
        for report in reports
    ]
