"""Certificates of real runs on the three engines: labels, keys of every kind, and what a restore does to them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from retentiond.engine import steps
from retentiond.engine.replay_run import replay, replays
from retentiond.errors import FailedError, UsageError
from retentiond.reports.certificate import Certificate
from retentiond.reports.certify import certify_run, certify_subjects
from retentiond.reports.subject import SubjectCertificate
from retentiond.settings import load_settings
from tests.database.stage import AT, LATELY, LONG_AGO, Stage

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)

POLICY = """
version: 1
name: shop
title: Shop
controllers: [Shop]
timezone: Europe/Brussels
promises: {"1": a year}
records:
  customer: {source: crm, table: customers, subject: id, cascade: [order]}
  order: {source: crm, table: orders, belongs_to: {customer: customer_id}}
  member: {source: crm, table: members, subject: {member: code}}
  guest: {source: crm, table: guests, subject: {guest: mail}}
  person: {source: crm, table: people, subject: {person: id}, on_request: {stay: it is needed}}
rules:
  - {name: customers, clause: "1", record: customer, keep: 1 year after closed_at, then: delete}
  - {name: members, clause: "1", record: member, keep: 1 year after closed_at, then: delete}
  - {name: guests, clause: "1", record: guest, keep: 1 year after closed_at, then: delete}
  - {name: people, clause: "1", record: person, keep: 1 year after closed_at, then: {pseudonymise: {name: empty}}}
"""
TIMES = {"postgresql": "timestamp", "mariadb": "datetime NULL", "sqlite": "datetime"}
UUIDS = {"postgresql": "uuid", "mariadb": "uuid", "sqlite": "text"}
PERSON = str(uuid.UUID(int=2**100 + 7))


@dataclass
class Shop:
    """A stage after its run."""

    engine: str
    stage: Stage

    def label(self, table: str) -> str:
        return f"crm.public.{table}" if self.engine == "postgresql" else f"crm.{table}"

    def run_of(self, rule: str) -> str:
        record = self.stage.store.runs.last("shop", rule, "crm")
        assert record is not None
        return record.id

    def certificate(self, rule: str, now: datetime = NOW) -> Certificate:
        stage = self.stage
        stage.custody.checkpoint()
        settings = load_settings(stage.folder / "retentiond.toml", {})
        return certify_run(self.run_of(rule), settings, stage.folder / "keys", stage.store, now, count_again=True)

    def subjects(self, kind: str, *ids: str) -> SubjectCertificate:
        stage = self.stage
        stage.custody.checkpoint()
        settings = load_settings(stage.folder / "retentiond.toml", {})
        policies = stage.workspace.policies
        numbered = {one: line for line, one in enumerate(ids, 1)}
        keys = stage.folder / "keys"
        return certify_subjects(policies, (policies[0], kind), numbered, settings, keys, stage.store, NOW)


def write_policy(stage: Stage) -> None:
    """Where the settings look for it."""
    (stage.folder / "policies").mkdir()
    (stage.folder / "policies" / "shop.yaml").write_text(stage.policy, encoding="utf-8")


def fill(stage: Stage) -> None:
    stage.administer(
        f"INSERT INTO customers VALUES (4711, '{LONG_AGO}'), (4712, '{LATELY}')",
        "INSERT INTO orders VALUES (1, 4711), (2, 4711), (3, 4712)",
        f"INSERT INTO members VALUES ('Ab', '{LONG_AGO}'), ('cD', '{LATELY}')",
        f"INSERT INTO guests VALUES (1, 'jo@example.org', '{LONG_AGO}')",
        f"INSERT INTO people VALUES ('{PERSON}', 'Jo', '{LONG_AGO}')",
    )


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql),
                        pytest.param("mariadb", marks=pytest.mark.mariadb)])  # fmt: skip
def shop(request: pytest.FixtureRequest, new_database: Callable[[str], str], tmp_path: Path) -> Iterator[Shop]:
    engine: str = request.param
    when = TIMES[engine]
    with Stage(tmp_path, {"crm": new_database(engine)}, POLICY) as stage:
        stage.administer(
            f"CREATE TABLE customers (id bigint PRIMARY KEY, closed_at {when})",
            "CREATE TABLE orders (id integer PRIMARY KEY, customer_id bigint REFERENCES customers (id))",
            f"CREATE TABLE members (code char(8) PRIMARY KEY, closed_at {when})",
            f"CREATE TABLE guests (id integer PRIMARY KEY, mail varchar(80), closed_at {when})",
            f"CREATE TABLE people (id {UUIDS[engine]} PRIMARY KEY, name varchar(40), closed_at {when})",
        )
        fill(stage)
        assert [(report.failed, report.done) for report in stage.run()] == [(None, 1)] * 4
        write_policy(stage)
        yield Shop(engine, stage)


def test_a_run_is_certified_and_counted_again(shop: Shop) -> None:
    found = shop.certificate("customers")
    assert dict(found.tables) == {shop.label("customers"): 1, shop.label("orders"): 2}
    assert next(iter(found.tables)) == shop.label("customers")
    assert dict(found.recount.tables) == {shop.label("customers"): (1, 0), shop.label("orders"): (2, 0)}
    assert found.recount.why_not == ()
    assert found.recorded
    assert found.rule["controllers"] == ["Shop"]
    assert found.as_of == AT
    assert found.clocks is not None
    assert (found.clocks.database is None) == (shop.engine == "sqlite")
    shop.stage.administer("INSERT INTO customers VALUES (4711, NULL)", "INSERT INTO orders VALUES (2, NULL), (4, NULL)")
    again = shop.certificate("customers").recount
    assert dict(again.tables) == {shop.label("customers"): (1, 1), shop.label("orders"): (2, 1)}
    assert not shop.certificate("customers").final


def test_masked_rows_are_counted_by_what_stands_in_them(shop: Shop) -> None:
    assert dict(shop.certificate("people").recount.tables) == {shop.label("people"): (1, 0)}
    shop.stage.administer("UPDATE people SET name = 'Jo again'")
    assert dict(shop.certificate("people").recount.tables) == {shop.label("people"): (1, 1)}


@pytest.mark.parametrize(
    ("kind", "asked", "table", "verb"),
    [
        ("customer", "4711", "customers", "deleted"),
        ("member", "Ab", "members", "deleted"),
        ("person", PERSON.upper(), "people", "pseudonymised"),
    ],
)
def test_a_subject_is_found_by_the_key_of_its_row(shop: Shop, kind: str, asked: str, table: str, verb: str) -> None:
    found = shop.subjects(kind, asked)
    assert [(match.line, match.table, match.verb) for match in found.matches] == [(1, shop.label(table), verb)]
    document = found.as_json()
    assert document["matches"] == 1
    said = json.dumps(document)
    assert [one for one in ("4711", '"Ab"', PERSON, PERSON.upper()) if one in said] == []


@pytest.mark.parametrize(("kind", "asked"), [("customer", "4712"), ("member", "cD"), ("person", str(uuid.UUID(int=9)))])
def test_who_is_still_there_is_not(shop: Shop, kind: str, asked: str) -> None:
    found = shop.subjects(kind, asked)
    assert (found.matches, found.searched[0].rows) == ((), 1)


def test_where_the_id_is_no_key_it_cannot_be_told(shop: Shop) -> None:
    found = shop.subjects("guest", "jo@example.org")
    assert (found.matches, found.searched) == ((), ())
    assert found.not_searched[0] == ("guest (crm.guests)", "its rows are not keyed by mail, which says whose they are")


def test_an_id_that_is_no_key_of_any_of_its_tables_is_refused(shop: Shop) -> None:
    with pytest.raises(UsageError, match=r"line 2 can be no key of crm\.customers") as error:
        shop.subjects("customer", "4711", "forty-seven eleven")
    assert error.value.code == "bad-id"


def test_a_restore_is_told_and_its_replay_has_a_certificate_of_its_own(shop: Shop) -> None:
    stage, first = shop.stage, shop.run_of("customers")
    assert shop.certificate("customers").restores == ()
    for table in ("orders", "customers", "members", "guests", "people"):
        stage.administer(f"DELETE FROM {table}")
    fill(stage)
    fence = "retentiond.retentiond_fence" if shop.engine == "postgresql" else "retentiond_fence"
    stage.administer(f"UPDATE {fence} SET seq = 0, batch = '' WHERE job LIKE '%customers%'")
    (came_back,) = (one for one in replays(stage.jobs, "crm", stage.custody) if one.job.rule == "customers")
    assert replay(came_back, stage.custody, AT, "test").done == 1
    second = shop.certificate("customers")
    assert second.run != first
    assert (dict(second.tables), second.restores) == ({shop.label("customers"): 1, shop.label("orders"): 2}, ())
    stage.custody.checkpoint()
    settings = load_settings(stage.folder / "retentiond.toml", {})
    before = certify_run(first, settings, stage.folder / "keys", stage.store, NOW, count_again=True)
    assert [one.source for one in before.restores] == ["crm"]
    assert not before.final
    assert before.recount.there == 0
    found = shop.subjects("customer", "4711")
    assert [len(match.restores) for match in found.matches] == [1, 0]


def test_where_the_tokens_are_gone_it_says_so(shop: Shop) -> None:
    key = next(one.key for batch in batches(shop) for one in shop.stage.store.ledger.tokens_of(batch))
    shop.stage.custody.keys.destroy_tokens(key, NOW)
    found = shop.certificate("customers")
    assert found.recount.tables == {}
    assert len(found.recount.why_not) == 2
    assert "the key of their tokens was destroyed" in found.recount.why_not[0]
    subject = shop.subjects("customer", "4711")
    assert (subject.matches, subject.searched[0].lost) == ((), 1)


def batches(shop: Shop) -> list[Any]:
    return [entry["batch"] for entry in shop.stage.store.ledger.entries() if entry["kind"] == "intent"]


def test_a_batch_that_went_in_one_of_two_sources_only_is_asked_for_there_alone(
    new_database: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash between two commits the parents are there still, and rightly so."""
    policy = """
version: 1
name: shop
title: Shop
controllers: [Shop]
timezone: UTC
promises: {"1": a year}
records:
  customer: {source: crm, table: customers, cascade: [order]}
  order: {source: shop, table: orders, belongs_to: {customer: customer_id}}
rules:
  - {name: customers, clause: "1", record: customer, keep: 1 year after closed_at, then: delete}
"""
    urls = {"crm": new_database("sqlite"), "shop": new_database("sqlite")}
    with Stage(tmp_path, urls, policy) as stage:
        stage.administer("CREATE TABLE customers (id integer PRIMARY KEY, closed_at datetime)")
        stage.administer("CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer)", source="shop")
        stage.administer(f"INSERT INTO customers VALUES (1, '{LONG_AGO}')")
        stage.administer("INSERT INTO orders VALUES (1, 1)", source="shop")
        (report,) = second_commit_fails(stage, monkeypatch)
        assert report.failed is not None
        assert (stage.ids("customers"), stage.ids("orders", "shop")) == ({1}, set())
        write_policy(stage)
        found = Shop("sqlite", stage).certificate("customers")
        assert dict(found.tables) == {"shop.orders": 1}
        assert dict(found.recount.tables) == {"shop.orders": (1, 0)}


def second_commit_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A run that is stopped between the commits of its two sources."""
    times = 0

    def refuse(name: str) -> None:
        nonlocal times
        times += name == "commit.before"
        if name == "commit.before" and times == 2:
            raise FailedError("made to fail", code="made-to-fail")

    monkeypatch.setattr(steps, "_listeners", [refuse])
    try:
        return stage.run()
    finally:
        assert times == 2
        monkeypatch.setattr(steps, "_listeners", [])
