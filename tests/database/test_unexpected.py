"""A mistake of our own in one job: that job fails, says nothing of any row, and the others are done."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from retentiond.compiler.plan import Job
from retentiond.engine import count as counting
from retentiond.engine import job_run, run
from retentiond.engine.consent import consent_of_this_person
from retentiond.engine.custody import open_custody
from retentiond.engine.sources import Sources
from retentiond.engine.workspace import open_workspace
from retentiond.settings import load_settings
from retentiond.state.store import open_store

CANARY = "canary-7f3a"
POLICY = """
version: 1
name: shop
title: Shop
records:
  order: {source: shop, table: orders}
  visit: {source: shop, table: visits}
rules:
  - {name: orders, record: order, clause: "1", keep: 1 year after made_on, then: delete}
  - {name: visits, record: visit, clause: "2", keep: 1 year after made_on, then: delete}
"""


def test_an_unexpected_error_fails_one_job_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        for table in ("orders", "visits"):
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, made_on DATE)")
            database.execute(f"INSERT INTO {table} VALUES (1, '2020-01-01')")
    database.close()
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    settings_text = (
        'policies = "policy.yaml"\n[state]\nurl = "sqlite:///state.db"\n[sources.shop]\nurl = "sqlite:///shop.db"\n'
    )
    (tmp_path / "retentiond.toml").write_text(settings_text, encoding="utf-8")
    settings = load_settings(tmp_path / "retentiond.toml", {})
    counted = counting.count

    def count(job: Job, *others: Any) -> Any:
        if job.rule == "orders":
            raise TypeError(CANARY)
        return counted(job, *others)

    monkeypatch.setattr(job_run, "count", count)
    with Sources(settings) as sources, open_store(settings.state.connection_url(), create=True) as store:
        workspace = open_workspace(settings, sources)
        custody = open_custody(workspace, sources, store, consent=consent_of_this_person())
        at = datetime(2026, 1, 1, tzinfo=UTC)
        reports = list(run.carry_out(workspace.plan.jobs, sources, at, apply=True, custody=custody))
        histories = {history.job.rule: history.last for history in store.runs.latest()}
    orders, visits = reports
    assert orders.failed is not None
    assert orders.failed.code == "unexpected"
    assert "TypeError" in orders.failed.message
    assert CANARY not in f"{orders} {histories}"
    assert (visits.failed, visits.done) == (None, 1)
    assert (histories["orders"].outcome, histories["visits"].outcome) == ("failed", "done")
