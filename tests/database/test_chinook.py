"""A real sample database of other people: customers and employees of Chinook, against plain SQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.database.bench import Bench

HERE = Path(__file__).resolve().parents[2]
DATA = HERE.parent / "shared" / "data" / "Chinook_Sqlite.sqlite"
POLICY = (HERE / "tests" / "material" / "chinook.yaml").read_text()

# Customers whose every invoice is more than a year old: with the end of day D a year after it, gone from D + 1 on.
DUE = "SELECT CustomerId FROM Invoice GROUP BY CustomerId HAVING date(max(InvoiceDate), '+1 year') < '{today}'"
HIRED = "SELECT EmployeeId FROM Employee WHERE date(HireDate, '+18 years') < '{today}'"

MOMENTS = [
    datetime(2025, 5, 30, 21, 59, 59, tzinfo=UTC),  # the last second of the first customer's year, in Brussels
    datetime(2025, 5, 30, 22, 0, tzinfo=UTC),
    datetime(2026, 5, 6, 12, tzinfo=UTC),
    datetime(2026, 5, 7, 12, tzinfo=UTC),
    datetime(2026, 11, 22, 1, tzinfo=UTC),
    datetime(2027, 1, 1, tzinfo=UTC),
]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    if not DATA.exists():
        pytest.skip(f"the sample database is not in the repository, and {DATA} is not there")
    shutil.copyfile(DATA, tmp_path / "chinook.db")
    with Bench(tmp_path, {"chinook": f"sqlite:///{tmp_path}/chinook.db"}, chunk_rows=7) as made:
        yield made


def today(at: datetime) -> date:
    return at.astimezone(ZoneInfo("Europe/Brussels")).date()


def count(bench: Bench, query: str) -> int:
    return int(bench.rows(f"SELECT count(*) FROM ({query})", "chinook")[0][0])


@pytest.mark.parametrize("at", MOMENTS, ids=lambda at: f"{at:%Y-%m-%dT%H:%M:%S}")
def test_the_dry_run_counts_what_plain_sql_counts(bench: Bench, at: datetime) -> None:
    due = DUE.format(today=today(at))
    customers, employees = bench.run(POLICY, at, apply=False)
    assert customers.due == count(bench, due)
    assert customers.total == 59
    assert customers.cascade == {
        "chinook.Invoice": count(bench, f"SELECT 1 FROM Invoice WHERE CustomerId IN ({due})"),
        "chinook.InvoiceLine": count(
            bench, f"SELECT 1 FROM InvoiceLine JOIN Invoice USING (InvoiceId) WHERE CustomerId IN ({due})"
        ),
    }
    assert employees.due == count(bench, HIRED.format(today=today(at)))
    assert (customers.suspect, customers.not_started, customers.held, customers.floored) == (0, 0, 0, 0)


def test_the_first_customer_goes_with_midnight(bench: Bench) -> None:
    assert [bench.run(POLICY, at, apply=False)[0].due for at in MOMENTS[:2]] == [0, 1]


@pytest.mark.parametrize("at", MOMENTS[3:5], ids=lambda at: f"{at:%Y-%m-%d}")
def test_what_is_due_goes_and_nothing_else(bench: Bench, at: datetime) -> None:
    due = {row[0] for row in bench.rows(DUE.format(today=today(at)), "chinook")}
    hired = {row[0] for row in bench.rows(HIRED.format(today=today(at)), "chinook")}
    assert due
    assert hired
    before = bench.content("chinook")
    customers, employees = bench.carried_out(POLICY, at)
    assert (customers.done, employees.done) == (len(due), len(hired))
    after = bench.content("chinook")
    assert after["Customer"] == [row for row in before["Customer"] if row[0] not in due]
    assert after["Invoice"] == [row for row in before["Invoice"] if row[1] not in due]
    kept = {row[0] for row in after["Invoice"]}
    assert after["InvoiceLine"] == [row for row in before["InvoiceLine"] if row[1] in kept]
    untouched = set(before) - {"Customer", "Invoice", "InvoiceLine", "Employee"}
    assert len(untouched) == 7
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    was = {row[0]: row for row in before["Employee"]}
    for row in after["Employee"]:
        old = was[row[0]]
        if row[0] not in hired:
            assert row == old
            continue
        _identity, last, first, title, boss, born, at_work, address, city, _, country, post, phone, fax, mail = row
        assert (title, boss, at_work, city, country) == (old[3], old[4], old[6], old[8], old[10])
        assert (last, first, address, phone) == ("Doe", old[2][0], None, None)
        assert (born, post) == (f"{old[5][:4]}-01-01 00:00:00", old[11][:2])
        assert fax.endswith(old[13][-2:])
        assert set(fax[:-2]) == {"•"}
        assert mail.startswith("anon-")
        assert "@" in mail
    assert bench.rows("PRAGMA foreign_key_check", "chinook") == []
    assert bench.rows("PRAGMA integrity_check", "chinook") == [("ok",)]
