"""The fingerprint depends on what bears on the rows of the tables, and on nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.catalog.fingerprint import fingerprint
from retentiond.catalog.model import (
    Catalog,
    Check,
    Column,
    Family,
    ForeignKey,
    Index,
    Partitioning,
    Table,
    Trigger,
    incoming_keys,
)

PEOPLE = Table(
    name="public.people",
    kind="table",
    schema="public",
    columns=(Column("id", "bigint", Family.INTEGER, nullable=False), Column("email", "text", Family.TEXT)),
    primary_key=("id",),
    indexes=(Index("by_email", ("email",), unique=True), Index("plain", ("id", "email"))),
    checks=(Check("c", "CHECK (id > 0)"),),
    triggers=(Trigger("t", "trigger", "AFTER", ("DELETE",), "d1"),),
    estimated_rows=10,
)
ORDERS = Table(
    name="public.orders",
    kind="table",
    schema="public",
    columns=(Column("id", "bigint", Family.INTEGER), Column("person", "bigint", Family.INTEGER)),
    foreign_keys=(ForeignKey("fk", "public.orders", ("person",), "public.people", ("id",), "CASCADE"),),
)


def catalog(*tables: Table) -> Catalog:
    named = {table.name: table for table in tables}
    return Catalog("crm", "postgresql", (15, 0), named, incoming_keys(named), default_schema="public")


def of_people(people: Table, *others: Table) -> str:
    return fingerprint(catalog(people, *others), ["public.people"])


@pytest.mark.parametrize(
    "other",
    [
        replace(PEOPLE, columns=(*PEOPLE.columns, Column("phone", "text", Family.TEXT))),
        replace(PEOPLE, columns=(replace(PEOPLE.columns[0], type="integer"), PEOPLE.columns[1])),
        replace(PEOPLE, columns=(PEOPLE.columns[0], replace(PEOPLE.columns[1], nullable=False))),
        replace(PEOPLE, columns=(PEOPLE.columns[0], replace(PEOPLE.columns[1], generated=True))),
        replace(PEOPLE, primary_key=("id", "email")),
        replace(PEOPLE, indexes=(replace(PEOPLE.indexes[0], where="id > 5"),)),
        replace(PEOPLE, triggers=()),
        replace(PEOPLE, triggers=(replace(PEOPLE.triggers[0], digest="d2"),)),
        replace(PEOPLE, triggers=(replace(PEOPLE.triggers[0], enabled=False),)),
        replace(PEOPLE, row_security=True),
        replace(PEOPLE, inherited_by=("public.heirs",)),
        replace(PEOPLE, kind="view"),
        replace(PEOPLE, system_versioned=True),
        replace(PEOPLE, engine="MyISAM"),
    ],
)
def test_what_bears_on_rows_changes_it(other: Table) -> None:
    assert of_people(other, ORDERS) != of_people(PEOPLE, ORDERS)


@pytest.mark.parametrize(
    "other",
    [
        replace(PEOPLE, estimated_rows=11),
        replace(PEOPLE, columns=PEOPLE.columns[::-1]),
        replace(PEOPLE, indexes=(*PEOPLE.indexes, Index("more", ("email",)))),
        replace(PEOPLE, indexes=(replace(PEOPLE.indexes[0], name="renamed"), PEOPLE.indexes[1])),
        replace(PEOPLE, checks=()),
    ],
)
def test_what_does_not_leaves_it(other: Table) -> None:
    assert of_people(other, ORDERS) == of_people(PEOPLE, ORDERS)


def test_incoming_keys_count_and_other_tables_do_not() -> None:
    assert of_people(PEOPLE) != of_people(PEOPLE, ORDERS)
    set_null = replace(ORDERS, foreign_keys=(replace(ORDERS.foreign_keys[0], on_delete="SET NULL"),))
    assert of_people(PEOPLE, set_null) != of_people(PEOPLE, ORDERS)
    wider = replace(ORDERS, columns=(*ORDERS.columns, Column("x", "text", Family.TEXT)))
    assert of_people(PEOPLE, wider) == of_people(PEOPLE, ORDERS)


def test_our_own_tables_do_not_count() -> None:
    fence = replace(ORDERS, name="retentiond.retentiond_fence", schema="retentiond")
    fence = replace(fence, foreign_keys=(replace(ORDERS.foreign_keys[0], table=fence.name),))
    assert of_people(PEOPLE, fence) == of_people(PEOPLE)
    assert fingerprint(catalog(PEOPLE, fence), [PEOPLE.name, fence.name]) == of_people(PEOPLE)


def test_partitions_count_only_where_they_are_peculiar() -> None:
    parent = replace(PEOPLE, kind="partitioned", partitioning=Partitioning("RANGE", ("id",), ()))
    one = Partitioning("RANGE", ("id",), (("public.p1", "FROM 1 TO 2"),))
    partition = replace(PEOPLE, name="public.p1", kind="partition", partition_of=parent.name, triggers=())
    grown = replace(parent, partitioning=one)
    assert of_people(parent) == of_people(grown, partition)
    assert of_people(parent) != of_people(grown, replace(partition, triggers=PEOPLE.triggers))
    assert of_people(parent) != of_people(replace(parent, partitioning=Partitioning("HASH", ("id",), ())))


def test_a_table_that_is_gone_changes_it() -> None:
    assert fingerprint(catalog(ORDERS), ["public.people"]) != of_people(PEOPLE, ORDERS)


@given(st.permutations(["public.people", "public.orders", "public.people"]))
def test_the_order_of_tables_and_repetitions_do_not_matter(names: list[str]) -> None:
    known = catalog(PEOPLE, ORDERS)
    assert fingerprint(known, names) == fingerprint(known, ["public.orders", "public.people"])


def test_it_stays_the_same_from_version_to_version() -> None:
    # Approvals name it: whoever changes this digest makes every approved schema unknown.
    assert of_people(PEOPLE, ORDERS) == "7dc0557c7efda515e94ca695314f4e7156d85f55d544b182fafe04bb40f3c0f3"
