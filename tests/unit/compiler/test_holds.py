"""How each table is asked for legal holds: by its own columns, by rows above it, or by a climb."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from retentiond.catalog.model import Catalog, Dialect, Table
from retentiond.compiler.binding import UnreachableError
from retentiond.compiler.compile import compile_plan
from retentiond.compiler.hold_sql import held_by_holds
from retentiond.compiler.holds import HoldCompiler, HoldOn
from retentiond.compiler.plan import HoldTests, Job, Relation
from retentiond.compiler.tables import table_of
from retentiond.errors import RefusedError
from retentiond.policy.loader import load_policy_text
from retentiond.policy.model import Policy
from tests.unit.compiler.catalogs import catalog, column, table

SECRET = "Kx9-held-7731"
COLUMNS = "id integer, left_on date, number text(20), email text(80), up integer, more integer"
DIALECTS: dict[Dialect, Any] = {"postgresql": postgresql, "mariadb": mysql, "sqlite": sqlite}


def policy(records: str, *rules: str, name: str = "p") -> Policy:
    said = "".join(f"  - {{name: r{n}, clause: '1', {rule}}}\n" for n, rule in enumerate(rules))
    body = "".join(f"  {line.strip()}\n" for line in records.strip().splitlines())
    return load_policy_text(f"version: 1\nname: {name}\ntitle: T\nrecords:\n{body}rules:\n{said}")


def due(record: str) -> str:
    return f"record: {record}, keep: 1 year after left_on, then: delete"


def schemas(**tables: Table) -> dict[str, Catalog]:
    """A source per word before the underscore."""
    sources: dict[str, list[Table]] = {}
    for name, one in tables.items():
        sources.setdefault(name.partition("_")[0], []).append(one)
    return {source: catalog(source, *found) for source, found in sources.items()}


def plain(name: str, *refers: str, **more: Any) -> Table:
    return table(name, COLUMNS, refers=refers, **more)


def subject(kind: str = "customer", *ids: str) -> HoldOn:
    return HoldOn("h1", "subject", "p", kind, ids=ids or ("1", "2"))


def asked_of(
    one: Policy, catalogs: Mapping[str, Catalog], holds: list[HoldOn], *others: Policy
) -> dict[str, HoldTests]:
    """What every table of the jobs is asked, by label."""
    policies = (one, *others)
    compiler = HoldCompiler(policies, catalogs, (), holds)
    jobs = [compiler.put_into(job) for job in compile_plan(policies, catalogs).plan.ready]
    return {step.relation.label: step.keepers.holds for job in jobs for step in (*job.cascade, job.step)}


def said(holds: HoldTests) -> list[str]:
    """`a.id > b.up: email` for a test over two hops, `climb up` for a climb."""
    found = []
    for test in holds.tests:
        hops = " > ".join(
            f"{','.join(hop.near_columns)}={hop.far.short}.{','.join(hop.far_columns)}" for hop in test.hops
        )
        found.append(f"{hops + ': ' if hops else ''}{','.join(test.columns)}")
    for climb in holds.climbs:
        found += [f"climb {','.join(hop.near_columns)} to {hop.far.label}" for hop in climb.hops]
    return found


SHOP = """\
customer: {source: crm, table: customers, subject: id, on_request: {stay: x}}
contract: {source: crm, table: contracts, belongs_to: {customer: up}}
paper: {source: crm, table: papers, belongs_to: {contract: up}}
page: {source: crm, table: pages, belongs_to: {paper: up}}
"""


def test_a_column_that_holds_the_subject_spares_the_join() -> None:
    one = policy(SHOP, due("customer"), due("contract"), due("paper"), due("page"))
    known = schemas(crm_a=plain("customers"), crm_b=plain("contracts"), crm_c=plain("papers"), crm_d=plain("pages"))
    found = {label: said(holds) for label, holds in asked_of(one, known, [subject()]).items()}
    assert found == {
        "crm.customers": ["id"],
        "crm.contracts": ["up"],
        "crm.papers": ["up=contracts.id: up"],
        "crm.pages": ["up=papers.id > up=contracts.id: up"],
    }


def test_another_source_is_climbed_to_unless_the_row_itself_can_tell() -> None:
    records = """\
    customer: {source: crm, table: customers, subject: id, on_request: {stay: x}}
    complaint: {source: support, table: complaints, belongs_to: {customer: up}}
    letter: {source: post, table: letters, belongs_to: {complaint: up}}
    """
    one = policy(records, due("complaint"), due("letter"))
    known = schemas(crm_a=plain("customers"), support_b=plain("complaints"), post_c=plain("letters"))
    found = asked_of(one, known, [subject()])
    assert said(found["support.complaints"]) == ["up"]
    assert said(found["post.letters"]) == ["climb up to support.complaints"]
    (climb,) = found["post.letters"].climbs
    (ancestor,) = climb.ancestors
    assert [(test.columns, test.keys) for test in ancestor.tests] == [(("up",), ((1,), (2,)))]


def test_a_subject_by_another_column_is_looked_up() -> None:
    records = """\
    customer: {source: crm, table: customers, subject: email, on_request: {stay: x}}
    contract: {source: crm, table: contracts, belongs_to: {customer: up}}
    complaint: {source: support, table: complaints, belongs_to: {customer: up}}
    """
    one = policy(records, due("contract"), due("complaint"))
    known = schemas(crm_a=plain("customers"), crm_b=plain("contracts"), support_c=plain("complaints"))
    found = asked_of(one, known, [subject("customer", SECRET)])
    assert said(found["crm.contracts"]) == ["up=customers.id: email"]
    assert said(found["support.complaints"]) == ["climb up to crm.customers"]


def test_texts_of_two_collations_are_not_taken_for_each_other() -> None:
    """A customer may be found under a spelling that the row below does not have."""
    records = """\
    customer: {source: crm, table: customers, subject: number, on_request: {stay: x}}
    contract: {source: crm, table: contracts, belongs_to: {customer: {number: number}}}
    complaint: {source: support, table: complaints, belongs_to: {customer: {number: number}}}
    """
    one = policy(records, due("contract"), due("complaint"))
    customers = plain("customers", unique=("number",))
    known = schemas(crm_a=customers, crm_b=plain("contracts"), support_c=plain("complaints"))
    found = asked_of(one, known, [subject()])
    assert said(found["crm.contracts"]) == ["number"]  # of one collation: what the row says is what its customer says
    assert said(found["support.complaints"]) == ["number", "climb number to crm.customers"]
    exact = {source: catalog(source, *known[source].tables.values(), dialect="sqlite") for source in known}
    assert said(asked_of(one, exact, [subject()])["support.complaints"]) == ["number"]


def test_circles_are_climbed() -> None:
    records = """\
    person: {source: crm, table: people, subject: id, on_request: {stay: x}}
    folder: {source: crm, table: folders, belongs_to: {person: more, folder: up}}
    file: {source: crm, table: files, belongs_to: {folder: up}}
    """
    one = policy(records, due("folder"), due("file"))
    known = schemas(crm_a=plain("people"), crm_b=plain("folders"), crm_c=plain("files"))
    found = asked_of(one, known, [subject("person")])
    assert said(found["crm.folders"]) == ["more", "climb up to crm.folders"]
    assert said(found["crm.files"]) == ["climb up to crm.folders"]


def test_what_goes_along_is_held_by_its_foreign_key() -> None:
    """Though a note is no record that belongs to anybody: it is in the cascade of one that is the subject."""
    records = """\
    customer: {source: crm, table: customers, subject: id, on_request: {stay: x}, cascade: [addresses, note]}
    note: {source: crm, table: notes}
    shop: {source: crm, table: shops, cascade: [addresses, note]}
    """
    rows = [plain(name, "up > customers.id", "more > shops.id") for name in ("addresses", "notes")]
    known = {"crm": catalog("crm", plain("customers"), plain("shops"), *rows)}
    found = asked_of(policy(records, due("shop"), due("note")), known, [subject()])
    assert said(found["crm.addresses"]) == ["up"]
    assert said(found["crm.notes"]) == ["up"]
    assert said(found["crm.shops"]) == []


def test_the_other_companys_customer_is_somebody_else() -> None:
    """Two policies: each hold reaches its own; on a table that both speak of, either keeps the row."""
    mine = policy(SHOP, due("contract"))
    theirs = policy(
        "customer: {source: erp, table: customers, subject: id, on_request: {stay: x}}\n"
        "contract: {source: crm, table: contracts, belongs_to: {customer: more}}\n"
        "order: {source: erp, table: orders, belongs_to: {customer: up}}",
        due("order"),
        name="q",
    )
    known = schemas(
        crm_a=plain("customers"), crm_b=plain("contracts"), crm_c=plain("papers"), crm_d=plain("pages"),
        erp_a=plain("customers"), erp_b=plain("orders"),
    )  # fmt: skip
    found = asked_of(mine, known, [subject()], theirs)
    assert (said(found["crm.contracts"]), said(found["erp.orders"])) == (["up"], [])
    other = HoldOn("h2", "subject", "q", "customer", ids=("7",))
    found = asked_of(mine, known, [subject(), other], theirs)
    assert (said(found["crm.contracts"]), said(found["erp.orders"])) == (["more", "up"], ["up"])


def test_records_rows_and_sources() -> None:
    one = policy(SHOP, due("contract"), due("paper"))
    known = schemas(crm_a=plain("customers"), crm_b=plain("contracts"), crm_c=plain("papers"), crm_d=plain("pages"))
    rows = HoldOn("h", "record", "p", record="contract", ids=("007", "x", "8"))
    found = asked_of(one, known, [rows])
    assert [(test.columns, test.keys) for test in found["crm.contracts"].tests] == [(("id",), ((7,), (8,)))]
    assert not found["crm.papers"]  # a row's hold is on that row; what it would take along keeps it anyway
    whole = asked_of(one, known, [rows, HoldOn("h", "record", "p", record="contract")])
    assert whole["crm.contracts"].every
    every = asked_of(one, known, [HoldOn("h", "source", source="crm")])
    assert all(holds.every for holds in every.values())


@pytest.mark.parametrize(
    "hold",
    [
        HoldOn("h1", "subject", "gone", "customer", ids=("1",)),
        HoldOn("h1", "subject", "p", "gone", ids=("1",)),
        HoldOn("h1", "record", "p", record="gone"),
        HoldOn("h1", "source", source="gone"),
    ],
    ids=lambda hold: str(hold.scope),
)
def test_a_hold_on_something_that_is_not_there_any_more_stops_everything(hold: HoldOn) -> None:
    one = policy(SHOP, due("contract"))
    known = schemas(crm_a=plain("customers"), crm_b=plain("contracts"), crm_c=plain("papers"), crm_d=plain("pages"))
    with pytest.raises(RefusedError, match="h1") as stopped:
        HoldCompiler((one,), known, (), [hold])
    assert stopped.value.code == "hold-unplaced"


def test_a_source_that_cannot_be_reached_leaves_no_way_out() -> None:
    records = """\
    customer: {source: crm, table: customers, subject: email, on_request: {stay: x}}
    complaint: {source: support, table: complaints, belongs_to: {customer: up}}
    other: {source: support, table: others}
    """
    one = policy(records, due("complaint"), due("other"))
    known = schemas(crm_a=plain("customers"), support_b=plain("complaints"), support_c=plain("others"))
    jobs = {job.record: job for job in compile_plan((one,), known).plan.ready}
    compiler = HoldCompiler((one,), {"support": known["support"]}, ("crm",), [subject()])
    with pytest.raises(UnreachableError, match="crm"):
        compiler.put_into(jobs["complaint"])
    assert not compiler.put_into(jobs["other"]).step.keepers.holds


def test_holds_neither_change_the_digest_nor_show_who_is_held() -> None:
    one = policy(SHOP, due("contract"), due("paper"))
    known = schemas(crm_a=plain("customers"), crm_b=plain("contracts"), crm_c=plain("papers"), crm_d=plain("pages"))
    compiler = HoldCompiler((one,), known, (), [subject("customer", "77310042")])
    for job in compile_plan((one,), known).plan.ready:
        held = compiler.put_into(job)
        assert held.digest == job.digest
        assert held.step.keepers.holds
        assert "77310042" not in repr(held)
    assert SECRET not in repr(subject("customer", SECRET))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_question_is_never_answered_with_unknown(dialect: Dialect) -> None:
    """`NOT (NULL IN …)` would let no row without a subject go."""
    one = policy(SHOP, due("paper"))
    known = {"crm": catalog("crm", *map(plain, ("customers", "contracts", "papers", "pages")), dialect=dialect)}
    found = asked_of(one, known, [subject()])
    relation = Relation("crm", dialect, "papers", "papers", tuple(map(column, COLUMNS.split(", "))), ("id",))
    (condition,) = held_by_holds(found["crm.papers"], relation, table_of(relation))
    text = str(sa.select(condition).compile(dialect=DIALECTS[dialect].dialect()))
    assert "EXISTS" in text
    assert "up IS NOT NULL AND" in text


def test_a_long_chain_of_records_takes_no_time() -> None:
    count = 300
    tables = [
        plain("t0"),
        *(plain(f"t{n}", f"up > t{n - 1}.id", f"more > t{(n - 1) // 2}.id") for n in range(1, count)),
    ]
    lines = ["r0: {source: crm, table: t0, subject: id, on_request: {stay: x}, cascade: [r1]}"]
    lines += [
        f"r{n}: {{source: crm, table: t{n}, belongs_to: {{r{n - 1}: up}}, cascade: [r{n + 1}]}}"
        for n in range(1, count - 1)
    ]
    lines.append(f"r{count - 1}: {{source: crm, table: t{count - 1}, belongs_to: {{r{count - 2}: up}}}}")
    one = policy("\n".join(lines), due("r0"))
    known = {"crm": catalog("crm", *tables)}
    (job,) = compile_plan((one,), known).plan.ready
    started = time.process_time()
    held: Job = HoldCompiler((one,), known, (), [subject("r0")]).put_into(job)
    assert time.process_time() - started < 2
    assert all(step.keepers.holds for step in (*held.cascade, held.step))
