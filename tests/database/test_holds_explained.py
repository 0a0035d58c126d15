"""`explain` names for each row the holds that bear on it, and finds it held exactly where the plan counts it so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from retentiond.engine.holds import HoldBook
from retentiond.reports.explain import RowView, explain
from tests.database.bench import AT, policy_text
from tests.database.holding import Holding
from tests.database.test_holds import SHOP, due, shop
from tests.database.test_holds_sources import RECORDS, three

CLASSES = ("due", "held", "floored", "not_started", "suspect")


def explained(bench: Holding, text: str, record: str, keys: list[object]) -> list[RowView]:
    workspace = bench.workspace(text)
    book = HoldBook(bench.store, bench.keys, workspace)
    return [row for key in keys for row in explain(workspace, bench.sources, "bench", record, str(key), AT, book)]


@pytest.mark.parametrize("record", ["line", "order", "customer"])
def test_as_the_plan_counts(new_database: Callable[[str], str], tmp_path: Path, record: str) -> None:
    with three(tmp_path, new_database, ("sqlite", "sqlite", "sqlite")) as bench:
        bench.hold("p1@example.org", "p2@example.org", subject="person")
        second = bench.hold("p2@example.org", "p3@example.org", subject="person")
        bench.hold_rows("line", 990)
        text = policy_text(RECORDS, due(record))
        (report,) = bench.carry(text, mode="plan")
        source, table = {"line": ("dms", "order_lines"), "order": ("erp", "orders"), "customer": ("crm", "customers")}[
            record
        ]
        rows = explained(bench, text, record, [row[0] for row in bench.content(source)[table]])
        told = Counter(rule.verdict for row in rows for rule in row.rules)
        assert {name: told[name] for name in CLASSES} == {name: getattr(report, name) for name in CLASSES}
        assert told["held"]
        assert told["due"]
        for row in rows:
            (rule,) = row.rules
            assert (rule.verdict == "held") == bool(rule.holds)
            assert {hold.hold for hold in row.holds} <= {hold.hold for hold in rule.holds}
        if record == "order":  # 99 belongs to nobody, but a line of it is held
            reasons = {row.rules[0].holds[0].table: row for row in rows if row.rules[0].holds and not row.holds}
            assert list(reasons) == ["dms.order_lines"]
            both = [row for row in rows if len(row.holds) == 2]
            assert len(both) == 2
            assert all(second in {hold.hold for hold in row.holds} for row in both)


def test_each_hold_is_named_with_why_and_until_when(tmp_path: Path) -> None:
    with Holding(tmp_path, {"crm": f"sqlite:///{tmp_path}/crm.db"}) as bench:
        shop(bench)
        one, whole = bench.hold(2), bench.hold_rows("invoice")
        (row,) = explained(bench, policy_text(SHOP, due("invoice")), "invoice", [20])
        assert {(hold.hold, hold.kind, hold.matter, str(hold.review), hold.table, hold.rows) for hold in row.holds} == {
            (one, "proceedings", "M-1", "2027-06-01", "crm.invoices", 1),
            (whole, "authority", "M-2", "2027-06-01", "crm.invoices", 1),
        }
        (row,) = explained(bench, policy_text(SHOP, due("customer")), "customer", [2])
        assert sorted((hold.hold == one, hold.table, hold.rows) for hold in row.rules[0].holds) == [
            (True, f"crm.{table}", 1) for table in ("addresses", "contracts", "customers", "papers")
        ]
        assert row.rules[0].goes is None


def test_where_nobody_can_tell_it_says_so(new_database: Callable[[str], str], tmp_path: Path) -> None:
    with three(tmp_path, new_database, ("sqlite", "sqlite", "sqlite")) as bench:
        bench.hold("p1@example.org", subject="person")
        bench.everything()
        Path(bench.urls["erp"].removeprefix("sqlite:///")).unlink()
        text = policy_text(RECORDS.replace(", cascade: [order]", ""), due("line"))
        (row,) = explained(bench, text, "line", [110])
        assert row.rules == ()
        assert [name for name, _ in row.blocked] == ["bench/rule-1"]
