"""`explain` and `plan` look at the same rows in two ways; row by row they must say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from retentiond.compiler.plan import Job
from retentiond.compiler.tables import table_of
from retentiond.demo.build import build_demo
from retentiond.engine.run import carry_out
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import Workspace, open_workspace
from retentiond.reports.explain import explain
from retentiond.settings import load_settings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLASSES = ("due", "held", "floored", "not_started", "suspect")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Sources]]:
    layout = build_demo(tmp_path_factory.mktemp("demo") / "d", 40, NOW)
    settings = load_settings(layout.settings, {})
    with Sources(settings) as sources:
        yield open_workspace(settings, sources), sources


def keys(job: Job, sources: Sources) -> list[str]:
    table = table_of(job.step.relation)
    with sources.reading(job.source).connect() as connection:
        rows = connection.execute(sa.select(*(table.c[name] for name in job.step.relation.key)))
        return [",".join(str(part) for part in row) for row in rows]


@pytest.mark.parametrize("policy", ["sparkcentral", "bsoft", "blooom", "bluspark", "blue-messaggio"])
@pytest.mark.parametrize("at", [NOW, NOW - timedelta(days=500)], ids=["now", "earlier"])
def test_the_classes_of_all_rows_are_the_counts_of_the_plan(
    demo: tuple[Workspace, Sources], policy: str, at: datetime
) -> None:
    workspace, sources = demo
    jobs = [job for job in workspace.plan.ready if job.policy == policy]
    told: dict[tuple[str, str], Counter[str]] = {(job.rule, job.source): Counter() for job in jobs}
    asked: set[tuple[str, str]] = set()
    for job in jobs:
        if (job.record, job.source) in asked:
            continue
        asked.add((job.record, job.source))
        for key in keys(job, sources):
            for row in explain(workspace, sources, policy, job.record, key, at):
                if row.source == job.source:
                    for rule in row.rules:
                        told[rule.rule, row.source][rule.verdict] += 1
    for report in carry_out(jobs, sources, at, apply=False):
        assert report.failed is None
        found = {name: told[report.rule, report.source][name] for name in CLASSES}
        assert found == {name: getattr(report, name) for name in CLASSES}, (report.name, report.source)


def test_a_row_goes_when_explain_says_so(demo: tuple[Workspace, Sources]) -> None:
    workspace, sources = demo
    seen = set()
    job = next(job for job in workspace.plan.ready if job.rule == "contract-data")
    for key in keys(job, sources):
        (row,) = explain(workspace, sources, "sparkcentral", "customer", key, NOW)
        (rule,) = row.rules
        seen.add(rule.verdict)
        if rule.goes is not None and rule.verdict in ("not_yet", "floored"):
            before = explain(workspace, sources, "sparkcentral", "customer", key, rule.goes - timedelta(seconds=1))
            after = explain(workspace, sources, "sparkcentral", "customer", key, rule.goes)
            assert before[0].rules[0].verdict != "due"
            assert after[0].rules[0].verdict == "due"
    assert {"due", "not_started", "not_yet"} <= seen
