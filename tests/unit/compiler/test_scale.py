"""A thousand tables and three thousand foreign keys: compiled within the contract's five seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from retentiond.catalog.model import Catalog, ForeignKey, Table
from retentiond.compiler.compile import compile_plan
from retentiond.policy.loader import load_policy_text
from tests.unit.compiler.catalogs import catalog, column, table

TABLES, KEYS_EACH, SECONDS = 1000, 3, 5.0
COLUMNS = "id integer, left_on date, note text(40), hold boolean, a integer, b integer, c integer"


def parents_of(number: int, shape: str) -> Sequence[int]:
    if shape == "tree":  # seven levels, each row reached in three ways
        return [(number - 1) // 3, (number - 1) // 5, (number - 1) // 7]
    if shape == "chain":
        return [number - 1, max(0, number - 2), max(0, number - 3)]
    return [0, 0, 0]  # everything hangs on one


def big(shape: str) -> Catalog:
    tables: list[Table] = []
    for number in range(TABLES):
        refers = [
            f"{name} > t{parent}.id" for name, parent in zip("abc", parents_of(number, shape), strict=True) if number
        ]
        tables.append(table(f"t{number}", COLUMNS, refers=tuple(refers)))
    # The root has its three as well, to another table that nothing names.
    tables.append(table("other", "id integer"))
    keys = tuple(ForeignKey(f"root_{name}", "t0", (name,), "other", ("id",)) for name in "abc")
    tables[0] = table("t0", COLUMNS, refers=tuple(f"{key.columns[0]} > other.id" for key in keys))
    return catalog("crm", *tables)


def policy(records: str, rules: str) -> str:
    return f"version: 1\nname: big\ntitle: Big\nrecords:\n{records}rules:\n{rules}"


def bare_tables(shape: str) -> str:
    """One record that names every other table."""
    names = ", ".join(f"t{number}" for number in range(1, TABLES))
    return policy(
        f"  root: {{source: crm, table: t0, cascade: [{names}]}}\n",
        "  - {name: r, clause: '1', record: root, keep: 1 year after left_on, then: delete}\n",
    )


def bound_tables(shape: str) -> str:
    """A record per table, each naming its children, with holds everywhere, clocks up and down, and masks."""
    children: dict[int, list[int]] = {}
    for number in range(1, TABLES):
        children.setdefault(parents_of(number, shape)[0], []).append(number)
    records = []
    for number in range(TABLES):
        names = ", ".join(f"r{child}" for child in children.get(number, ()))
        link = f", belongs_to: {{r{parents_of(number, shape)[0]}: a}}" if number else ""
        records.append(f"  r{number}: {{source: crm, table: t{number}, held: hold{link}, cascade: [{names}]}}\n")
    records = [record.replace(", cascade: []", "") for record in records]
    rules = [
        "  - {name: r, clause: '1', record: r0, keep: 1 year after left_on, then: delete}\n",
        "  - {name: far, clause: '1', record: r0, keep: 1 year after last r900.left_on, then: {clear: [note]}}\n",
        *(
            f"  - {{name: m{number}, clause: '1', record: r{number}, keep: 1 year after left_on,"
            " then: {clear: [note]}}\n"
            for number in range(1, TABLES, 5)
        ),
        *(
            f"  - {{name: f{number}, clause: '1', record: r{number}, keep: at least 1 year after left_on,"
            " then: nothing, statute: {law: x, checked: 2026-01-01}}\n"
            for number in range(1, TABLES, 10)
        ),
    ]
    return policy("".join(records), "".join(rules))


@pytest.mark.parametrize(
    ("shape", "kind"),
    [("tree", bare_tables), ("chain", bare_tables), ("star", bare_tables), ("chain", bound_tables)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_large_catalog_compiles_in_time(shape: str, kind: Callable[[str], str]) -> None:
    known = big(shape)
    assert len(known.tables) > TABLES
    assert sum(len(one.foreign_keys) for one in known.tables.values()) == TABLES * KEYS_EACH
    loaded = load_policy_text(kind(shape))
    started = time.process_time()
    plan = compile_plan((loaded,), {"crm": known}).plan
    took = time.process_time() - started
    assert took < SECONDS, f"{took:.1f} s"
    first = plan.ready[0]
    assert len(first.cascade) == TABLES - 1
    place = {step.relation.label: number for number, step in enumerate((*first.cascade, first.step))}
    assert all(place[edge.parent] > place[step.relation.label] for step in first.cascade for edge in step.edges)


def test_unrelated_tables_cost_nothing() -> None:
    text = policy(
        "  root: {source: crm, table: mine}\n",
        "  - {name: r, clause: '1', record: root, keep: 1 year after left_on, then: delete}\n",
    )
    known = big("tree")
    mine = table("mine", COLUMNS)
    more = catalog("crm", *known.tables.values(), mine)
    few = catalog("crm", mine)
    loaded = load_policy_text(text)
    started = time.process_time()
    plan = compile_plan((loaded,), {"crm": more}).plan
    assert time.process_time() - started < 1
    assert plan.digest == compile_plan((loaded,), {"crm": few}).plan.digest
    assert column("id integer").family == mine.columns[0].family
