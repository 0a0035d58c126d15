"""The digest of a plan: the same for what does the same, another for what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from retentiond.catalog.model import Catalog, Family, Table
from retentiond.compiler.compile import compile_plan
from retentiond.policy.loader import load_policy_text
from tests.unit.compiler.catalogs import catalog, column, table

RECORDS = """\
  person: {source: crm, table: people, subject: id, held: hold, cascade: [contract, notes]}
  contract: {source: crm, table: contracts, belongs_to: {person: person_id}}
  user: {source: "shop-*", table: users}
"""
RULES = """\
  - {name: one, clause: "1", record: person, where: kind = 'x', keep: 1 year after last contract.ended_on, then: delete}
  - {name: two, clause: "1", record: user, keep: 1 year after left_on, then: {pseudonymise: {name: {constant: x}}}}
"""
FLOORS = """\
  - name: by-law
    clause: "1"
    record: paper
    keep: at least 3 years after ended_on
    statute: {law: x, checked: 2026-01-01}
    then: nothing
"""


def policy(name: str, records: str, rules: str) -> str:
    return f"version: 1\nname: {name}\ntitle: T\nrecords:\n{records}rules:\n{rules}"


A = policy("a", RECORDS, RULES)
B = policy("b", "  paper: {source: crm, table: contracts, held: stop}\n", FLOORS)
C = policy("c", "  paper: {source: crm, table: contracts, held: keep_it}\n", FLOORS.replace("3 years", "4 years"))


def schemas() -> dict[str, Catalog]:
    people = table("people", "id integer, kind text(5), hold boolean, name text(40)")
    contracts = table(
        "contracts",
        "id integer, person_id integer, ended_on date, stop boolean, keep_it boolean, title text(20)",
        refers=("person_id > people.id",),
    )
    notes = table("notes", "id integer, person_id integer, body text(40)", refers=("person_id > people.id",))
    users = table("users", "id integer, name text(40), left_on date, phone text(20)")
    shops = {name: catalog(name, users) for name in ("shop-a", "shop-b")}
    return {"crm": catalog("crm", people, contracts, notes), **shops}


def digest(*texts: str, known: dict[str, Catalog] | None = None) -> str:
    loaded = tuple(load_policy_text(text, f"{number}.yaml") for number, text in enumerate(texts))
    return compile_plan(loaded, known or schemas()).plan.digest


def changed(source: str, name: str, change: Callable[[Table], Table]) -> dict[str, Catalog]:
    known = schemas()
    tables = [change(one) if one.name == name else one for one in known[source].tables.values()]
    return {**known, source: catalog(source, *tables)}


def with_column(said: str) -> Callable[[Table], Table]:
    return lambda one: replace(one, columns=(*one.columns, column(said)))


def with_type(name: str, family: Family, kind: str) -> Callable[[Table], Table]:
    return lambda one: replace(
        one,
        columns=tuple(
            replace(found, family=family, type=kind) if found.name == name else found for found in one.columns
        ),
    )


def test_equal_for_equal_whatever_the_order() -> None:
    whole = digest(A, B, C)
    assert whole == digest(A, B, C) == digest(C, B, A)
    backwards = dict(reversed(schemas().items()))
    assert whole == digest(B, A, C, known=backwards)
    shuffled = {
        name: replace(known, tables=dict(reversed([*known.tables.items()]))) for name, known in schemas().items()
    }
    assert whole == digest(A, B, C, known=shuffled)


@pytest.mark.parametrize(
    ("source", "name", "change"),
    [
        ("crm", "people", with_column("city text(40)")),
        ("crm", "notes", with_column("ended_on date")),
        ("crm", "contracts", with_type("title", Family.JSON, "json")),
        ("shop-a", "users", with_type("phone", Family.INTEGER, "integer")),
        ("shop-a", "users", lambda one: replace(one, columns=tuple(reversed(one.columns)), estimated_rows=9)),
    ],
)
def test_what_no_step_uses_changes_nothing(source: str, name: str, change: Callable[[Table], Table]) -> None:
    assert digest(A, B, known=changed(source, name, change)) == digest(A, B)


@pytest.mark.parametrize(
    ("source", "name", "change"),
    [
        ("crm", "people", with_type("id", Family.DECIMAL, "numeric")),
        ("crm", "contracts", with_type("ended_on", Family.NAIVE, "timestamp")),
        ("crm", "contracts", with_type("stop", Family.INTEGER, "integer")),
        ("crm", "notes", with_type("person_id", Family.DECIMAL, "numeric")),
        ("shop-b", "users", with_type("name", Family.TEXT, "text(41)")),
    ],
)
def test_what_a_step_uses_changes_it(source: str, name: str, change: Callable[[Table], Table]) -> None:
    assert digest(A, B, known=changed(source, name, change)) != digest(A, B)


@pytest.mark.parametrize(
    "text",
    [
        A.replace("1 year after last", "2 years after last"),
        A.replace("kind = 'x'", "kind = 'y'"),
        A.replace("constant: x", "constant: z"),
        A.replace(", held: hold", ""),
        A.replace("name: two", "name: three"),
    ],
)
def test_another_rule_is_another_plan(text: str) -> None:
    assert text != A
    assert digest(text, B) != digest(A, B)


def test_words_for_people_are_no_part_of_it() -> None:
    assert digest(A.replace("title: T", "title: Another"), B) == digest(A, B)
