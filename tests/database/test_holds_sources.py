"""Legal holds across databases: the way up to the subject may lead through three engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import pytest

from retentiond.engine import steps
from tests.database.bench import policy_text
from tests.database.holding import Holding
from tests.database.test_holds import LONG_AGO, due, subject

MARKS = {"postgresql": [pytest.mark.postgresql], "mariadb": [pytest.mark.mariadb], "sqlite": []}
ORDERS = [
    pytest.param(order, id="-".join(order), marks=[mark for engine in order for mark in MARKS[engine]])
    for order in permutations(MARKS)
]
RECORDS = "\n".join(
    [
        subject("customer", table="customers", column="{person: email}", more=", cascade: [order]"),
        "order: {source: erp, table: orders, belongs_to: {customer: customer}, cascade: [line]}",
        "line: {source: dms, table: order_lines, belongs_to: {order: order_id}}",
    ]
)
PEOPLE = (1, 2, 3, 4)


@contextmanager
def three(folder: Path, new_database: Callable[[str], str], engines: tuple[str, ...]) -> Iterator[Holding]:
    urls = {source: new_database(engine) for source, engine in zip(("crm", "erp", "dms"), engines, strict=True)}
    with Holding(folder, urls, chunk_rows=3) as bench:
        bench.make(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, email VARCHAR(80), left_on DATE)",
            "INSERT INTO customers VALUES "
            + ", ".join(f"({n}, 'p{n}@example.org', {LONG_AGO})" for n in PEOPLE)
            + f", (5, NULL, {LONG_AGO})",
        )
        bench.make(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, left_on DATE)",
            f"INSERT INTO orders VALUES {', '.join(f'({n}, {n % 10}, {LONG_AGO})' for n in range(10, 26))},"
            f" (99, NULL, {LONG_AGO})",
            source="erp",
        )
        bench.make(
            "CREATE TABLE order_lines (id INTEGER PRIMARY KEY, order_id INTEGER, left_on DATE)",
            f"INSERT INTO order_lines VALUES {', '.join(f'({n * 10}, {n}, {LONG_AGO})' for n in range(10, 26))},"
            f" (990, 99, {LONG_AGO}), (991, NULL, {LONG_AGO})",
            source="dms",
        )
        yield bench


@pytest.mark.parametrize("engines", ORDERS)
def test_the_way_leads_over_three_engines(
    new_database: Callable[[str], str], tmp_path: Path, engines: tuple[str, ...]
) -> None:
    with three(tmp_path, new_database, engines) as bench:
        hold = bench.hold("p1@example.org", "p4@example.org", subject="person")
        lines = bench.went(policy_text(RECORDS, due("line")))["dms.order_lines"]
        assert lines == {n * 10 for n in range(10, 26) if n % 10 not in (1, 4)} | {990, 991}
        orders = bench.went(policy_text(RECORDS, due("order")))["erp.orders"]
        assert orders == {n for n in range(10, 26) if n % 10 not in (1, 4)} | {99}
        assert bench.went(policy_text(RECORDS, due("customer"))) == {"crm.customers": {2, 3, 5}}
        bench.release(hold)
        assert set(bench.went(policy_text(RECORDS, due("customer")))) == {
            "crm.customers",
            "erp.orders",
            "dms.order_lines",
        }


def test_a_source_on_the_way_that_is_down_keeps_everything(new_database: Callable[[str], str], tmp_path: Path) -> None:
    """Nobody can tell what is held: the job fails. Without a hold, or where none leads there, it goes on."""
    with three(tmp_path, new_database, ("sqlite", "sqlite", "sqlite")) as bench:
        hold = bench.hold("p1@example.org", subject="person")
        before = bench.everything()
        Path(bench.urls["erp"].removeprefix("sqlite:///")).unlink()
        down = {label: rows for label, rows in before.items() if not label.startswith("erp.")}
        text = policy_text(RECORDS.replace(", cascade: [order]", ""), due("line"))
        (report,) = bench.carry(text, mode="run")
        assert report.failed is not None
        assert report.done == 0
        assert bench.content("dms") == {"order_lines": down["dms.order_lines"]}
        bench.release(hold)
        (report,) = bench.carry(text, mode="run")
        assert report.failed is None
        assert report.done == 18


def test_a_row_that_comes_under_a_hold_in_another_source_meanwhile_stays(
    new_database: Callable[[str], str], tmp_path: Path
) -> None:
    """An order is given to a held person while its lines are about to go: it is seen before they are gone."""
    with three(tmp_path, new_database, ("sqlite", "sqlite", "sqlite")) as bench:
        bench.hold("p1@example.org", subject="person")
        fired: list[str] = []

        def reached(name: str) -> None:
            if name == "change.after" and not fired:
                fired.append(name)
                bench.make("UPDATE orders SET customer = 1 WHERE id = 12", source="erp")

        steps.listen(reached)
        try:
            (report,) = bench.carry(policy_text(RECORDS, due("line")), mode="run")
        finally:
            steps._listeners.remove(reached)
        assert fired
        assert report.failed is None
        left = {row[0] for row in bench.content("dms")["order_lines"]}
        assert left == {110, 120, 210}
