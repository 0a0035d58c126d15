"""`plan` and `run`: the documents, the exit codes, and that what was planned is what goes."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.acceptance.commands import AT, SCHEMA, Done, Shop, make_shop, tables
from tests.database.custody import prepare

FIELDS = [
    *("policy", "rule", "source", "record", "table", "action", "cutoff", "cutoffs", "due", "held", "floored"),
    *("not_started", "suspect", "total", "oldest_due", "cascade", "guard", "approval", "done", "failed", "seconds"),
]
COUNTS = ("due", "held", "floored", "not_started", "suspect", "total", "done")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


def counts(done: Done) -> dict[str, tuple[int, ...]]:
    return {job["rule"]: tuple(job[name] for name in COUNTS) for job in done.document["jobs"]}


def test_the_document_of_a_plan_is_the_contract(shop: Shop) -> None:
    done = shop("plan", "--at", AT, "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert done.document["at"] == AT
    assert done.document["dry_run"] is True
    assert "requests" not in done.document
    for job in done.document["jobs"]:
        assert [field for field in FIELDS if field not in job] == []
    assert counts(done) == {"contract-data": (2, 0, 1, 2, 1, 7, 0), "complaint-data": (1, 1, 0, 1, 0, 4, 0)}
    contract, complaint = done.document["jobs"]
    assert contract["cutoff"] is None
    assert contract["cutoffs"] == [{"clock": "last contract.ended_at", "cutoff": "2016-05-31T22:00:00Z"}]
    assert contract["oldest_due"] == "2023-02-01T23:00:00Z"
    assert contract["cascade"] == {"crm.contracts": 2, "crm.invoices": 2}
    assert complaint["cutoff"] is not None
    assert (contract["guard"], contract["approval"], contract["failed"]) == ("max_share", "missing", None)


def test_a_plan_writes_nothing_and_needs_no_state_store(shop: Shop) -> None:
    before = shop.database.read_bytes()
    shop("plan", "--at", AT)
    shop("run", "--dry-run", "--at", AT)
    assert shop.database.read_bytes() == before
    assert not (shop.folder / "state.db").exists()
    assert not (shop.folder / "keys").exists()


def test_what_was_planned_goes_and_then_nothing_is_due(shop: Shop) -> None:
    planned = shop("plan", "--at", AT, "--exit-code", "--format", "json")
    assert planned.code == 10
    ran = shop("run", "--at", AT, "--yes", "--format", "json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.document["dry_run"] is False
    assert ran.document["requests"] == []
    for before, after in zip(planned.document["jobs"], ran.document["jobs"], strict=True):
        assert (after["due"], after["done"], after["cascade"]) == (before["due"], before["due"], before["cascade"])
        assert after["counted_at"] is not None
    assert shop("plan", "--at", AT, "--exit-code").code == 0
    again = shop("run", "--at", AT, "--yes", "--format", "json")
    assert [job["done"] for job in again.document["jobs"]] == [0, 0]
    assert shop.rows("SELECT id FROM customers ORDER BY id") == [(2,), (3,), (4,), (5,), (7,)]
    assert shop.rows("SELECT customer_ref, body FROM complaints WHERE id = 1") == [(None, None)]
    assert len(shop.rows("SELECT id FROM complaints WHERE body IS NOT NULL")) == 3


def test_off_a_terminal_run_asks_nobody_and_leaves_what_was_not_approved(shop: Shop) -> None:
    left = shop("run", "--at", AT)
    assert left.code == 3
    assert "0 deleted" in left.out
    assert "waits for approval: first run" in left.out
    assert len(shop.rows("SELECT id FROM customers")) == 7
    done = shop("run", "--at", AT, "--yes")
    assert done.code == 0
    assert "2 deleted, 1 masked" in done.out
    assert "\x1b" not in done.out


def test_a_plan_and_a_run_on_each_engine(tmp_path: Path, engine_url: str) -> None:
    shop = make_shop(tmp_path, engine_url)
    fill(engine_url)
    planned = shop("plan", "--at", AT, "--exit-code", "--format", "json")
    assert counts(planned) == {"contract-data": (2, 0, 1, 2, 1, 7, 0), "complaint-data": (1, 1, 0, 1, 0, 4, 0)}
    assert planned.code == 10
    ran = shop("run", "--at", AT, "--yes", "--format", "json")
    assert ran.code == 0, ran.err
    assert [(job["done"], job["cascade"]) for job in ran.document["jobs"]] == [
        (2, {"crm.contracts": 2, "crm.invoices": 2}),
        (1, {}),
    ]
    assert shop("plan", "--at", AT, "--exit-code").code == 0
    explained = shop("explain", "shop/customer", "5", "--at", AT, "--format", "json")
    assert explained.document["rows"][0]["rules"][0]["class"] == "floored"


def fill(url: str) -> None:
    prepare(url)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in SCHEMA.split(";")[:-1]:
            connection.exec_driver_sql(statement)
        for table, rows in tables():
            columns = ", ".join(f":c{index}" for index in range(len(rows[0])))
            values = [
                {f"c{index}": typed(value, engine.dialect.name) for index, value in enumerate(row)} for row in rows
            ]
            connection.execute(sa.text(f"INSERT INTO {table} VALUES ({columns})"), values)
    engine.dispose()


def typed(value: object, dialect: str) -> object:
    """Dates as the drivers of servers want them; MariaDB's TIMESTAMP begins a second after the epoch."""
    if dialect == "sqlite" or not isinstance(value, str):
        return value
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            found = read(value)
        except ValueError:
            continue
        if isinstance(found, datetime) and found.year == 1970 and dialect != "postgresql":
            return found.replace(second=1)
        return found
    return value


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), ["contract-data", "complaint-data"]),
        (("shop/complaint-data",), ["complaint-data"]),
        (("shop/*", "--source", "crm"), ["contract-data", "complaint-data"]),
        (("*/contract-*",), ["contract-data"]),
    ],
)
def test_rules_are_named_or_matched(shop: Shop, rules: tuple[str, ...], expected: list[str]) -> None:
    done = shop("plan", *rules, "--format", "json")
    assert [job["rule"] for job in done.document["jobs"]] == expected


def test_a_run_of_one_rule_lists_no_requests(shop: Shop) -> None:
    done = shop("run", "shop/complaint-data", "--at", AT, "--format", "json")
    assert "requests" not in done.document


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "shop/contract-dat"), 'did you mean "shop/contract-data"?'),
        (("plan", "--source", "crn"), 'did you mean "crm"?'),
        (("plan", "--at", "yesterday"), "neither an instant nor a date"),
        (("plan", "--at", "99999-01-01"), "neither an instant nor a date"),
        (("run", "--at", "2999-01-01"), "lies in the future"),
        (("run", "--at", "2026-13-01"), "neither an instant nor a date"),
        (("plan", "--format", "yaml"), "'yaml' is not one of"),
        (("plan", "--sample", "0"), "0 is not in the range"),
    ],
)
def test_a_wrong_command_is_2_and_says_why(shop: Shop, arguments: tuple[str, ...], words: str) -> None:
    done = shop(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_plan_may_look_ahead(shop: Shop) -> None:
    done = shop("run", "--dry-run", "--at", "2100-01-01", "--format", "json")
    assert done.code == 0
    assert counts(done)["contract-data"][0] == 4


def test_when_is_read_on_the_settings_clock(shop: Shop) -> None:
    assert shop("plan", "--at", "2026-06-01", "--format", "json").document["at"] == "2026-05-31T22:00:00Z"


def test_csv_has_one_header_and_a_line_per_job(shop: Shop) -> None:
    lines = list(csv.DictReader(io.StringIO(shop("plan", "--at", AT, "--format", "csv").out)))
    assert [line["rule"] for line in lines] == ["contract-data", "complaint-data"]
    assert lines[0]["cascade"] == "crm.contracts=2;crm.invoices=2"
    assert (lines[0]["due"], lines[0]["dry_run"], lines[0]["failed"]) == ("2", "true", "")


def test_sql_and_samples_are_shown_on_request(shop: Shop) -> None:
    done = shop("plan", "--at", AT, "--sql", "--sample", "5", "--format", "json")
    contract = done.document["jobs"][0]
    assert "\nSELECT " in f"\n{contract['sql']}"
    assert sorted(contract["sample"]) == [[1], [6]]
    table = shop("plan", "--at", AT, "--sql", "--sample", "1")
    assert "-- shop/contract-data@crm" in table.out
    assert "keys of due rows: 1" in table.out


def test_a_broken_policy_stops_everything(shop: Shop) -> None:
    (shop.folder / "policies" / "other.yaml").write_text("version: 1\nname: other\n", encoding="utf-8")
    for arguments in (("plan",), ("run", "--yes"), ("plan", "--format", "json")):
        done = shop(*arguments)
        assert (done.code, done.out) == (2, "")
        assert f"{shop.folder}/policies/other.yaml:1:1: missing-key: " in done.err
    assert len(shop.rows("SELECT id FROM customers")) == 7


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_policy_file_that_others_may_write_is_refused(shop: Shop, mode: int) -> None:
    shop.policy.chmod(mode)
    planned = shop("plan", "--format", "json")
    assert planned.code == 0
    assert planned.document["jobs"]
    assert f"warning: {shop.policy}: " in planned.err
    done = shop("run", "--yes")
    assert (done.code, done.out) == (3, "")
    assert str(shop.policy) in done.err
    assert len(shop.rows("SELECT id FROM customers")) == 7


def test_a_folder_that_others_may_write_is_refused(shop: Shop) -> None:
    shop.policy.parent.chmod(0o777)
    assert shop("run", "--yes").code == 3
    shop.policy.parent.chmod(0o1777)
    assert shop("run", "--yes", "--at", AT).code == 0


def test_a_rule_that_fails_is_1_and_the_others_go_on(shop: Shop) -> None:
    shop.change("CREATE TRIGGER veto BEFORE UPDATE ON complaints BEGIN SELECT RAISE(ABORT, 'Xq7-canary-8842'); END")
    done = shop("run", "--yes", "--at", AT, "--format", "json")
    contract, complaint = done.document["jobs"]
    assert done.code == 1
    assert (contract["failed"], contract["done"]) == (None, 2)
    assert complaint["failed"]["code"]
    assert complaint["done"] == 0


def test_a_source_that_is_not_there_is_no_traceback(shop: Shop) -> None:
    shop.database.unlink()
    done = shop("plan", "--format", "json")
    assert done.code in (1, 2)
    assert done.out == ""
    assert not shop.database.exists()


def test_where_failing_and_due_meet_failing_counts(shop: Shop) -> None:
    shop.change("CREATE TRIGGER veto BEFORE UPDATE ON complaints BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert shop("run", "--yes", "--at", AT).code == 1
    assert shop("plan", "--at", AT, "--exit-code").code == 10


@pytest.fixture
def watched(shop: Shop) -> Callable[[str], tuple[int, str]]:
    """Runs `retentiond run` as a person at a terminal who gives one answer; returns exit code and all that was seen."""
    import pty
    import sys

    def answer(text: str) -> tuple[int, str]:
        child, terminal = pty.fork()
        if child == 0:  # pragma: no cover - another process
            command = str(Path(sys.executable).parent / "retentiond")
            os.execv(command, [command, "--config", str(shop.settings), "run", "--at", AT])
        os.write(terminal, f"{text}\n".encode())
        seen = b""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen.decode("utf-8", "replace")

    return answer


def test_on_a_terminal_run_asks_once(shop: Shop, watched: Callable[[str], tuple[int, str]]) -> None:
    code, seen = watched("n")
    assert code == 3
    assert "Carry this out now?" in seen
    assert len(shop.rows("SELECT id FROM customers")) == 7
    code, seen = watched("y")
    assert code == 0, seen
    assert "2 deleted, 1 masked" in seen
    code, seen = watched("")
    assert code == 0
    assert "Carry this out" not in seen
