"""The commit protocol on the three engines: what is destroyed is recorded, what is recorded was destroyed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from retentiond.engine import fence, gate, steps
from retentiond.engine.custody import Custody
from retentiond.engine.report import JobReport
from retentiond.engine.session import Transaction
from retentiond.errors import EvidenceError
from tests.database.stage import LATELY, LONG_AGO, Stage, inserts

NewDatabase = Callable[[str], str]
ENGINES = ["sqlite", "postgresql", "mariadb"]

POLICY = """
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, cascade: [orders]}
rules:
  - {name: gone, record: customer, clause: "1", keep: 10 years after ended_at, then: delete, guard: {max_share: 100 %}}
"""
CROSS = POLICY.replace(
    "cascade: [orders]}",
    "cascade: [order]}\n  order: {source: desk, table: orders, belongs_to: {customer: customer_id}}",
)
MASK = POLICY.replace("then: delete", "then: {pseudonymise: {name: empty}}").replace(", cascade: [orders]", "")

CUSTOMERS = "CREATE TABLE customers (id INTEGER PRIMARY KEY, ended_at TIMESTAMP NULL, name VARCHAR(20))"
ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL{})"
DUE, ALL = 12, 20


class BrokenOffError(Exception):
    """What a test throws into a step."""


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """No listener of one test hears the next."""
    yield
    steps._listeners.clear()


def staged(folder: Path, urls: dict[str, str], policy: str = POLICY) -> Stage:
    stage = Stage(folder, urls, policy, chunk_rows=5)
    people = [{"id": n, "ended_at": LONG_AGO if n <= DUE else LATELY, "name": f"n{n}"} for n in range(1, ALL + 1)]
    orders = [{"id": 100 + n, "customer_id": n} for n in range(1, ALL + 1)]
    stage.administer(CUSTOMERS, *inserts("customers", people))
    elsewhere = "desk" if "desk" in urls else "crm"
    stage.administer(ORDERS.format("" if "desk" in urls else " REFERENCES customers (id)"), source=elsewhere)
    stage.administer(*inserts("orders", orders), source=elsewhere)
    return stage


@pytest.fixture(params=ENGINES)
def stage(request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, {"crm": new_database(request.param)}) as made:
        yield made


def books(custody: Custody) -> Counter[str]:
    """What the ledger says is gone, by table without its schema."""
    found: Counter[str] = Counter()
    for leaf in custody.store.ledger.entries():
        if leaf["kind"] == "outcome" and leaf["action"] == "delete":
            sign = {"destroyed": 1, "restored": -1}.get(leaf["status"], 0)
            for label, rows in leaf["tables"].items():
                found[label.replace(".public.", ".")] += sign * rows
    return +found


def outcomes(custody: Custody) -> list[tuple[str, str]]:
    leaves = custody.store.ledger.entries()
    return [(leaf["status"], leaf["evidence"]) for leaf in leaves if leaf["kind"] == "outcome"]


def balanced(stage: Stage, *, gone: int) -> None:
    """As many rows are gone as the ledger says, the right ones, and no intent is open."""
    elsewhere = "desk" if "desk" in stage.urls else "crm"
    assert ALL - len(stage.ids("customers")) == gone == books(stage.custody)["crm.customers"]
    assert ALL - len(stage.ids("orders", elsewhere)) == books(stage.custody)[f"{elsewhere}.orders"]
    assert set(range(DUE + 1, ALL + 1)) <= stage.ids("customers")
    assert stage.store.intents.all_open() == []
    last = stage.store.runs.latest()[0]
    assert last.last.done <= gone


def finished(stage: Stage) -> list[JobReport]:
    """A run that goes on where another one broke off; after it all is done and recorded."""
    reports = stage.run()
    assert [(report.failed, report.guard) for report in reports] == [(None, "ok")]
    balanced(stage, gone=DUE)
    runs = _runs(stage)
    assert sum(run["done"] for run in runs) == DUE
    assert stage.run()[0].done == 0
    return reports


def _runs(stage: Stage) -> list[dict[str, Any]]:
    connection = sqlite3.connect(stage.state_file)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute("SELECT * FROM runs")]
    finally:
        connection.close()


def standing(stage: Stage, source: str = "crm") -> fence.Standing | None:
    key = fence.fence_key(stage.custody.state_id, "shop/gone@crm")
    return fence.standing(stage.sources, source, stage.sources.dialect(source), key)


def test_what_is_destroyed_is_recorded(stage: Stage) -> None:
    (report,) = stage.run()
    assert (report.done, report.cascade, report.failed) == (DUE, {"crm.orders": DUE}, None)
    balanced(stage, gone=DUE)
    assert outcomes(stage.custody) == [("destroyed", "fence")] * 3
    found = standing(stage)
    assert found is not None
    assert found.seq == 3
    assert stage.store.intents.known("shop/gone@crm") == {"crm": 3}
    intents = [leaf for leaf in stage.store.ledger.entries() if leaf["kind"] == "intent"]
    for leaf in intents:
        lists = {one.table: one for one in stage.store.ledger.tokens_of(leaf["batch"])}
        assert {one["table"]: one["count"] for one in leaf["tokens"]} == leaf["tables"]
        assert {one["table"]: one["sha256"] for one in leaf["tokens"]} == {
            label: one.sha256 for label, one in lists.items()
        }
    assert intents[0]["due"] == {"first": "2023-02-02", "last": "2023-02-02"}


@pytest.mark.parametrize("name", [name for name in steps.NAMES if not name.startswith("settle")])
@pytest.mark.parametrize("which", [2])
def test_a_run_that_breaks_off_at_any_step_is_finished_by_the_next(stage: Stage, name: str, which: int) -> None:
    heard: list[str] = []

    def break_off(step: str) -> None:
        heard.append(step)
        if step == name and heard.count(name) == which:
            raise BrokenOffError

    steps.listen(break_off)
    (report,) = stage.run()
    assert heard.count(name) >= which
    if name != "commit.after":  # what happens there is settled at once
        assert report.failed is not None
    steps._listeners.clear()
    assert stage.store.intents.all_open() == [] or name.startswith("outcome")
    finished(stage)


def test_a_commit_whose_reply_is_lost_is_not_repeated(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gate.commit
    lost: list[int] = []

    def commit(transaction: Transaction, order: list[str]) -> None:
        real(transaction, order)
        if not lost:
            lost.append(1)
            raise EvidenceError("the reply was lost") from None

    monkeypatch.setattr(gate, "commit", commit)
    (report,) = stage.run()
    assert (lost, report.failed, report.done) == ([1], None, DUE)
    balanced(stage, gone=DUE)
    assert outcomes(stage.custody) == [("destroyed", "recovered"), *[("destroyed", "fence")] * 2]


def test_a_commit_that_never_came_is_an_aborted_batch(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gate.commit
    lost: list[int] = []

    def commit(transaction: Transaction, order: list[str]) -> None:
        if not lost:
            lost.append(1)
            raise BrokenOffError
        real(transaction, order)

    monkeypatch.setattr(gate, "commit", commit)
    (report,) = stage.run()
    assert report.failed is not None
    assert outcomes(stage.custody) == [("aborted", "recovered")]
    found = standing(stage)
    assert found is not None
    assert found.batch.startswith(fence.FENCED)
    balanced(stage, gone=0)
    finished(stage)


def test_an_outcome_that_cannot_be_written_is_found_out_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    intents = stage.store.intents
    real = intents.close

    def close(*_arguments: Any) -> None:
        raise EvidenceError("the disk is full")

    monkeypatch.setattr(intents, "close", close)
    with pytest.raises(EvidenceError):
        stage.run()
    monkeypatch.setattr(intents, "close", real)
    assert len(intents.all_open()) == 1
    assert ALL - len(stage.ids("customers")) == 5
    finished(stage)
    assert outcomes(stage.custody)[0] == ("destroyed", "recovered")


def test_whoever_takes_a_permission_back_is_asked_for_again(stage: Stage) -> None:
    raised: list[str] = []

    def raise_epoch(step: str) -> None:
        if step == "gate.after" and len(raised) < 3:
            raised.append(step)
            with stage.store.control._writer.begin() as connection:
                stage.store.control.raise_epoch(connection)

    steps.listen(raise_epoch)
    (report,) = stage.run()
    assert (len(raised), report.failed, report.done) == (3, None, DUE)
    assert outcomes(stage.custody)[:3] == [("aborted", "fence")] * 3
    balanced(stage, gone=DUE)


def test_a_source_that_is_behind_the_ledger_stops(stage: Stage) -> None:
    stage.run()
    table = "retentiond.retentiond_fence" if "postgresql" in stage.urls["crm"] else "retentiond_fence"
    stage.administer(f"UPDATE {table} SET seq = 1 WHERE job LIKE '%shop/gone%'", *inserts("customers", [row(1)]))
    (report,) = stage.run()
    assert (report.guard, report.done) == ("restore", 0)
    assert 1 in stage.ids("customers")


def test_a_state_store_that_is_behind_the_source_stops(stage: Stage) -> None:
    stage.run()
    table = "retentiond.retentiond_fence" if "postgresql" in stage.urls["crm"] else "retentiond_fence"
    stage.administer(f"UPDATE {table} SET seq = 9 WHERE job LIKE '%shop/gone%'", *inserts("customers", [row(1)]))
    (report,) = stage.run()
    assert (report.guard, report.done) == ("state-restored", 0)
    assert 1 in stage.ids("customers")


def row(number: int) -> dict[str, object]:
    return {"id": number, "ended_at": LONG_AGO, "name": "n"}


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_a_source_that_nobody_prepared_is_refused(engine: str, new_database: NewDatabase, tmp_path: Path) -> None:
    with staged(tmp_path, {"crm": new_database(engine)}) as stage:
        _ = stage.custody
        stage.administer(
            *(["DROP SCHEMA retentiond CASCADE"] if engine == "postgresql" else ["DROP TABLE retentiond_fence"])
        )
        (report,) = stage.run()
        assert (report.guard, report.done) == ("prepare", 0)
        assert "retentiond prepare crm" in report.guard_message
        assert len(stage.ids("customers")) == ALL


@pytest.mark.parametrize("engine", ENGINES)
def test_a_source_may_hold_no_table_of_ours(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with staged(tmp_path, {"crm": new_database(engine)}) as stage:
        stage.more_settings = 'fence = "probe"'
        real = gate.commit
        calls: list[int] = []

        def commit(transaction: Transaction, order: list[str]) -> None:
            calls.append(1)
            if len(calls) == 2:
                raise BrokenOffError
            real(transaction, order)
            if len(calls) == 1:
                raise EvidenceError("the reply was lost")

        monkeypatch.setattr(gate, "commit", commit)
        (report,) = stage.run()
        assert report.failed is not None
        assert outcomes(stage.custody) == [("destroyed", "probe"), ("aborted", "probe")]
        balanced(stage, gone=5)
        monkeypatch.undo()
        finished(stage)
        names = sa.inspect(sa.create_engine(stage.urls["crm"], poolclass=sa.NullPool)).get_table_names()
        assert "retentiond_fence" not in names or engine == "mariadb"


@pytest.mark.parametrize(("own", "other"), [("postgresql", "mariadb"), ("sqlite", "postgresql"), ("mariadb", "sqlite")])
@pytest.mark.parametrize("name", ["commit.before", "commit.after"])
@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_a_cascade_over_two_sources_breaks_off_between_its_commits(
    own: str, other: str, name: str, which: int, new_database: NewDatabase, tmp_path: Path
) -> None:
    with staged(tmp_path, {"crm": new_database(own), "desk": new_database(other)}, CROSS) as stage:
        heard: list[str] = []

        def break_off(step: str) -> None:
            heard.append(step)
            if step == name and heard.count(name) == which:
                raise BrokenOffError

        steps.listen(break_off)
        (report,) = stage.run()
        steps._listeners.clear()
        assert heard.count(name) >= which
        gone = ALL - len(stage.ids("customers"))
        assert gone == books(stage.custody)["crm.customers"]
        assert ALL - len(stage.ids("orders", "desk")) == books(stage.custody)["desk.orders"]
        assert stage.store.intents.all_open() == []
        del report
        finished(stage)


def test_masks_are_recorded_too(new_database: NewDatabase, tmp_path: Path) -> None:
    for engine in ENGINES:
        folder = tmp_path / engine
        folder.mkdir()
        with staged(folder, {"crm": new_database(engine)}, MASK) as stage:
            (report,) = stage.run()
            assert (report.done, report.failed) == (DUE, None)
            assert outcomes(stage.custody) == [("changed", "fence")] * 3
