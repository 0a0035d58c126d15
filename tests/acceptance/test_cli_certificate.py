"""Certificates as a person makes them: what they say, what they never show, and that an auditor can check them."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import Done, Shop, make_shop
from tests.unit.reports.reading import Page

PROJECT = Path(__file__).parents[2]
AT = "2026-06-01T00:00:00Z"
SUBJECT = ("ledger", "certificate", "--subject", "customer", "--id-file")


@pytest.fixture(scope="module")
def after_runs(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """
    Customers 4711001, 4711005 and 4711006 are over; the invoice of the second is not. The first of two runs came too
    early for anything.
    """
    made = make_shop(tmp_path_factory.mktemp("shop"))
    made.change(
        "PRAGMA foreign_keys = OFF;"
        "UPDATE customers SET id = id + 4711000; UPDATE contracts SET customer_id = customer_id + 4711000;"
        "UPDATE complaints SET customer_ref = customer_ref + 4711000;"
    )
    assert made("run", "--yes", "--at", "1990-01-01").code == 0
    assert made("run", "--yes", "--at", AT).code == 0
    return made


@pytest.fixture
def shop(after_runs: Shop, tmp_path: Path) -> Shop:
    shutil.copytree(after_runs.folder, tmp_path / "shop")
    return Shop(tmp_path / "shop")


def run_of(shop: Shop, rule: str) -> str:
    jobs = shop("status", "--format", "json").document["jobs"]
    return next(str(job["last_run"]["run"]) for job in jobs if job["rule"] == rule)


def certificate(shop: Shop, rule: str = "contract-data", *arguments: str) -> dict[str, Any]:
    done = shop("ledger", "certificate", run_of(shop, rule), "--format", "json", *arguments)
    assert (done.code, done.err) == (0, "")
    return done.document


def test_it_says_what_the_run_did(shop: Shop) -> None:
    document = certificate(shop)
    assert document["title"] == "Record of deletion from live systems"
    assert document["tables"] == {"crm.customers": 2, "crm.contracts": 2, "crm.invoices": 2}
    assert document["rule"]["clause"] == "1"
    assert document["rule"]["says"] == "contract data goes ten years after the end"
    assert document["rule"]["recorded"] is True
    assert document["due"] == {"first": "2023-02-02", "last": "2025-04-01"}
    assert document["evidence"] == {"modes": {"fence": 1}, "cross_source": False}
    assert document["recount"]["tables"] == {
        table: {"asked": 2, "there": 0} for table in ("crm.contracts", "crm.customers", "crm.invoices")
    }
    assert document["held_back"] | {"counted_at": None} == {
        "held": 0, "floored": 1, "suspect": 1, "not_started": 2, "counted_at": None, "holds": {},
    }  # fmt: skip
    assert [approval["event"] for approval in document["approvals"]] == ["given"]
    assert document["backups"][0]["until"] == "unknown"


def test_a_mask_is_counted_again_too(shop: Shop) -> None:
    assert certificate(shop, "complaint-data")["recount"]["tables"] == {"crm.complaints": {"asked": 1, "there": 0}}
    shop.change("UPDATE complaints SET customer_ref = 4711001, body = 'back again' WHERE id = 1")
    document = certificate(shop, "complaint-data")
    assert document["recount"]["tables"] == {"crm.complaints": {"asked": 1, "there": 1}}
    assert document["verb"] == "anonymised"


def test_rows_that_are_there_again_are_found(shop: Shop) -> None:
    shop.change("INSERT INTO customers VALUES (4711001, 'new', 'new'), (4711999, 'new', 'new')")
    assert certificate(shop)["recount"]["tables"]["crm.customers"] == {"asked": 2, "there": 1}
    page = Page(shop("ledger", "certificate", run_of(shop, "contract-data")).out)
    assert "1 row with a key of a deleted row" in page.text


def test_the_page_and_the_document_say_the_same_and_show_no_id(shop: Shop) -> None:
    run, file = run_of(shop, "contract-data"), shop.folder / "made.html"
    assert shop("ledger", "certificate", run[:8], "--output", str(file)) == Done(0, "", "")
    page = Page(file.read_text(encoding="utf-8"))
    document = page.document
    fresh = certificate(shop)
    for moment in ("issued", "recount"):
        document.pop(moment)
        fresh.pop(moment)
    assert document == fresh
    assert "4711" not in page.text + json.dumps(document)


def test_it_can_be_checked_with_the_script_of_the_documents(shop: Shop, tmp_path: Path) -> None:
    text = (PROJECT / "docs/running.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "check.py").write_text(script, encoding="utf-8")
    document = certificate(shop)
    assert checked(tmp_path, document, shop) == "holds\n"
    for spoilt in spoil(document):
        assert checked(tmp_path, spoilt, shop) == ""
    others = tmp_path / "others"
    others.mkdir()
    another = make_shop(others)
    assert another("run", "--yes", "--at", AT).code == 0
    assert checked(tmp_path, document, another) == "", "another ledger's key"


def checked(folder: Path, document: dict[str, Any], shop: Shop) -> str:
    (folder / "document.json").write_text(json.dumps(document), encoding="utf-8")
    words = [sys.executable, "-W", "ignore", "check.py", "document.json", str(shop.folder / "keys" / "ledger.pub")]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False).stdout


def spoil(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The document with another count, an entry changed, one moved, another root, and another text that was signed."""
    text = json.dumps(document)
    found = []
    for place in range(5):
        spoilt = json.loads(text)
        ledger = spoilt["ledger"]
        match place:
            case 0:
                spoilt["tables"]["crm.customers"] += 1
            case 1:
                ledger["entries"][-1]["leaf"] = ledger["entries"][-1]["leaf"].replace('customers":2', 'customers":3')
            case 2:
                ledger["entries"][0]["seq"] += 1
            case 3:
                ledger["entries"][0]["path"][0] = "00" * 32
            case 4:
                ledger["checkpoint"] = ledger["checkpoint"].replace("signed 20", "signed 19")
        assert spoilt != document
        found.append(spoilt)
    return found


def test_without_the_source_and_the_policy_it_can_still_be_made(shop: Shop) -> None:
    run = run_of(shop, "contract-data")
    shop.database.unlink()
    document = shop("ledger", "certificate", run, "--format", "json").document
    assert document["recount"]["tables"] == {}
    assert document["recount"]["not_counted"]
    shop.policy.unlink()
    document = shop("ledger", "certificate", run, "--format", "json").document
    assert document["rule"]["clause"] == "1"
    document = shop("ledger", "certificate", run, "--format", "json", "--no-recount").document
    assert document["recount"]["not_counted"] == ["nobody asked for it"]


def test_what_is_no_run_is_told_with_the_last_ones(shop: Shop) -> None:
    done = shop("ledger", "certificate", "zzzz")
    assert (done.code, done.out) == (2, "")
    assert run_of(shop, "contract-data")[:8] in done.err
    assert shop("ledger", "certificate", "").code == 2


def test_a_run_that_destroyed_nothing_gets_none(shop: Shop) -> None:
    with sqlite3.connect(shop.folder / "state.db") as state:
        ((first,),) = state.execute("SELECT id FROM runs WHERE rule = 'contract-data' ORDER BY seq LIMIT 1").fetchall()
    state.close()
    assert first != run_of(shop, "contract-data")
    done = shop("ledger", "certificate", first)
    assert (done.code, done.out) == (2, "")
    assert "destroyed nothing" in done.err


def test_of_a_ledger_that_does_not_verify_there_is_none(shop: Shop) -> None:
    run = run_of(shop, "contract-data")
    connection = sqlite3.connect(shop.folder / "state.db")
    with connection:
        for name in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name[0]}")
        connection.execute("UPDATE ledger SET leaf = replace(CAST(leaf AS TEXT), 'customers\":2', 'customers\":3')")
    connection.close()
    done = shop("ledger", "certificate", run)
    assert (done.code, done.out) == (4, "")


@pytest.mark.parametrize(
    "arguments", [(), ("5f0c", "--subject", "customer"), ("--subject", "customer"), ("5f0c", "--id-file", "-")]
)
def test_it_is_of_a_run_or_of_subjects(shop: Shop, arguments: tuple[str, ...]) -> None:
    assert shop("ledger", "certificate", *arguments).code == 2


def test_before_the_first_run_there_is_nothing(tmp_path: Path) -> None:
    done = make_shop(tmp_path)("ledger", "certificate", "5f0c")
    assert (done.code, done.out) == (2, "")
    assert not (tmp_path / "state.db").exists()


class TestSubjects:
    """What is recorded of persons, told by the number of their line."""

    def test_those_that_went_are_found(self, shop: Shop) -> None:
        done = shop(*SUBJECT, "-", "--format", "json", stdin="4711002\n4711001\n4711006\n")
        assert (done.code, done.err) == (0, "")
        document = done.document
        assert document["matches"] == 2
        assert [(one["line"], one["table"], one["verb"]) for one in document["found"]] == [
            (2, "crm.customers", "deleted"),
            (3, "crm.customers", "deleted"),
        ]
        assert {one["run"] for one in document["found"]} == {run_of(shop, "contract-data")}
        assert document["found"][0]["rule"]["says"] == "contract data goes ten years after the end"
        assert len(document["ledger"]["entries"]) == 2
        assert "4711" not in done.out

    def test_the_page_shows_no_id(self, shop: Shop) -> None:
        file = shop.folder / "ids"
        file.write_text("4711001\n", encoding="utf-8")
        page = Page(shop(*SUBJECT, str(file)).out)
        assert "One entry tells of a row of this data subject" in page.text
        assert "Line 1: deleted on " in page.text
        assert "4711" not in page.text + json.dumps(page.document)

    def test_nothing_recorded_is_an_answer(self, shop: Shop) -> None:
        done = shop(*SUBJECT, "-", "--format", "json", stdin="4711002\n")
        assert (done.code, done.document["matches"], done.document["found"]) == (0, 0, [])
        assert done.document["searched"] == [
            {"record": "customer", "table": "crm.customers", "batches": 1, "rows": 2, "lost": 0, "exact": True}
        ]
        page = Page(shop(*SUBJECT, "-", stdin="4711002\n").out)
        assert "Nothing is recorded of this data subject" in page.text

    def test_where_the_source_is_gone_it_says_so(self, shop: Shop) -> None:
        shop.database.unlink()
        document = shop(*SUBJECT, "-", "--format", "json", stdin="4711001\n").document
        assert (document["matches"], document["searched"]) == (0, [])
        assert document["not_searched"][0]["what"] == "customer (crm.customers)"

    def test_what_can_be_no_id_is_named_by_its_line(self, shop: Shop) -> None:
        done = shop(*SUBJECT, "-", stdin="4711001\nsecret-id\n")
        assert (done.code, done.out) == (2, "")
        assert "line 2" in done.err
        assert "secret-id" not in done.err

    def test_an_unknown_type_is_told(self, shop: Shop) -> None:
        done = shop("ledger", "certificate", "--subject", "custmer", "--id-file", "-", stdin="1\n")
        assert done.code == 2
        assert "customer" in done.err
