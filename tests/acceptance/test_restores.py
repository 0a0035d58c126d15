"""A back-up was restored: of a source, or of the state store. Each stops, says so, and has a way back."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import AT, Shop, make_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


def gone(shop: Shop) -> dict[str, int]:
    """By table, what the ledger's export says is gone."""
    exported = shop("ledger", "export")
    assert exported.code == 0
    found: dict[str, int] = {}
    for line in exported.out.splitlines():
        leaf: dict[str, Any] = json.loads(line)
        if leaf["kind"] == "outcome" and leaf["action"] == "delete":
            sign = {"destroyed": 1, "restored": -1}.get(leaf["status"], 0)
            for label, rows in leaf["tables"].items():
                found[label] = found.get(label, 0) + sign * rows
    return {label: rows for label, rows in found.items() if rows}


def rows(shop: Shop) -> dict[str, int]:
    with sqlite3.connect(shop.database) as database:
        tables = ("customers", "contracts", "invoices")
        found = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
    database.close()
    return found


def run(shop: Shop) -> Any:
    return shop("run", "--yes", "--at", AT, "--format", "json")


def test_what_a_back_up_brought_back_is_destroyed_again(shop: Shop) -> None:
    before, backup = rows(shop), shop.folder / "back-up.db"
    shutil.copy(shop.database, backup)
    assert run(shop).code == 0
    after = rows(shop)
    missing = {f"crm.{name}": before[name] - after[name] for name in before}
    assert gone(shop) == {label: count for label, count in missing.items() if count}
    shutil.copy(backup, shop.database)
    stopped = run(shop)
    assert stopped.code == 3
    assert {job["guard"] for job in stopped.document["jobs"]} == {"restore"}
    assert "retentiond replay crm" in stopped.document["jobs"][0]["guard_message"]
    assert rows(shop) == before
    listed = shop("replay", "crm", "--list", "--format", "json")
    (back,) = [one for one in listed.document["came_back"] if one["job"] == "shop/contract-data@crm"]
    assert back["tables"] == {label: count for label, count in missing.items() if count}
    assert rows(shop) == before
    again = shop("replay", "crm")
    assert again.code == 0, again.err
    assert rows(shop) == after
    assert gone(shop) == {label: count for label, count in missing.items() if count}
    assert run(shop).code == 0
    assert shop("ledger", "verify").code == 0
    assert shop("replay", "crm").out.startswith("crm is not behind")


def test_a_held_row_that_came_back_stays(shop: Shop) -> None:
    backup = shop.folder / "back-up.db"
    shutil.copy(shop.database, backup)
    assert run(shop).code == 0
    ids = shop.folder / "ids"
    ids.write_text("1\n", encoding="ascii")
    shutil.copy(backup, shop.database)
    held = shop(
        *("hold", "add", "--policy", "shop", "--subject", "customer", "--id-file", str(ids)),
        *("--kind", "proceedings", "--matter", "A-1", "--review", "2999-01-01"),
    )
    assert held.code == 0, held.err
    assert shop("replay", "crm").code == 0
    with sqlite3.connect(shop.database) as database:
        assert database.execute("SELECT id FROM customers WHERE id IN (1, 6)").fetchall() == [(1,)]
    database.close()


@pytest.mark.parametrize("loss", ["gone", "older"])
def test_a_lost_or_older_state_store_stops_until_somebody_goes_on(shop: Shop, loss: str) -> None:
    assert shop("run", "shop/complaint-data", "--yes", "--at", AT).code == 0
    older = {file: file.read_bytes() for file in shop.folder.glob("state.db*") if file.is_file()}
    before = rows(shop)
    assert run(shop).code == 0
    after = rows(shop)
    assert after != before
    for file in shop.folder.glob("state.db*"):
        if file.is_file():
            file.unlink()
    if loss == "older":
        for file, content in older.items():
            file.write_bytes(content)
    for command in (("run", "--yes", "--at", AT), ("run", "--at", AT)):
        stopped = shop(*command, "--format", "json")
        assert stopped.code == 3
        assert {job["guard"] for job in stopped.document["jobs"]} == {"state-restored"}
    assert shop("ledger", "verify").code == 4
    assert shop("ledger", "continue").code == 3
    assert run(shop).code == 3
    went_on = shop("ledger", "continue", "--yes")
    assert went_on.code == 0, went_on.err
    assert "Legal holds" in went_on.err
    assert shop("ledger", "verify").code == 0
    assert run(shop).code == 0
    assert rows(shop) == after
    first = next(json.loads(line) for line in shop("ledger", "export").out.splitlines() if '"restore"' in line)
    assert first["event"] == "state-continued"
    assert "shop/contract-data@crm" in {gap["job"] for gap in first["gaps"]}
    nothing = shop("ledger", "continue", "--yes")
    assert nothing.code == 2
