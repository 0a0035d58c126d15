"""`hold`: what a person types, what comes out, and that nobody reads there who is held."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.acceptance.commands import CANARY, Done, Shop, make_shop

WHY = ("--kind", "proceedings", "--matter", "M 12/2026", "--review", "2099-01-01")
MAILS = """\
version: 1
name: mails
title: People by their addresses
timezone: Europe/Brussels
records:
  person: {source: crm, table: customers, subject: {mail: email}, on_request: {stay: x}}
  contract: {source: crm, table: contracts, belongs_to: {person: customer_id}}
rules:
  - {name: notes, clause: "1", record: contract, keep: 10 years after ended_at, then: {clear: [note]}}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


def add(shop: Shop, ids: str | bytes, *arguments: str) -> Done:
    file = shop.folder / "ids.txt"
    file.write_bytes(ids if isinstance(ids, bytes) else ids.encode())
    return shop("hold", "add", "--subject", "customer", "--id-file", str(file), *WHY, *arguments)


def placed(done: Done) -> str:
    """The id of the hold; nothing else stands on stdout."""
    assert done.code == 0, done.err
    found = done.out.removesuffix("\n")
    assert str(uuid.UUID(found)) == found
    return found


def holds(shop: Shop, *arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = shop("hold", "list", "--format", "json", *arguments).document["holds"]
    return found


def test_from_placed_to_released(shop: Shop) -> None:
    assert shop("hold", "list").out == "nothing is held\n"
    hold = placed(add(shop, "1\n0003\n"))
    listed = shop("hold", "list")
    assert hold in listed.out
    assert "shop: customer (2)" in listed.out
    assert "M 12/2026" in listed.out
    (found,) = holds(shop)
    assert {
        name: found[name] for name in ("id", "kind", "scope", "policy", "subject", "count", "review", "overdue")
    } == {
        "id": hold,
        "kind": "proceedings",
        "scope": "subject",
        "policy": "shop",
        "subject": "customer",
        "count": 2,
        "review": "2099-01-01",
        "overdue": False,
    }
    jobs = shop("plan", "--format", "json").document["jobs"]
    assert [(job["rule"], job["due"], job["held"]) for job in jobs] == [
        ("contract-data", 1, 1),
        ("complaint-data", 0, 2),
    ]
    jobs = shop("plan", "shop/contract-data", "--sample", "9", "--format", "json").document["jobs"]
    assert jobs[0]["sample"] == [[6]]
    run = shop("run", "--yes", "--format", "json")
    assert [(job["done"], job["held"]) for job in run.document["jobs"]] == [(1, 1), (0, 2)]
    assert shop.rows("SELECT id FROM customers WHERE id IN (1, 6)") == [(1,)]
    assert "legal holds: 1" in shop("status").out
    assert shop("status", "--format", "json").document["holds"] == {"active": 1, "review_overdue": 0}
    assert shop("hold", "release", hold).out == f"released: {hold}\n"
    assert holds(shop) == []
    assert [one["released_by"] is not None for one in holds(shop, "--all")] == [True]
    assert hold in shop("hold", "list", "--all").out
    assert "legal holds" not in shop("status").out
    shop("run", "--yes")
    assert shop.rows("SELECT id FROM customers WHERE id IN (1, 6)") == []
    again = shop("hold", "release", hold)
    assert (again.code, "released before" in again.err) == (2, True)


def test_explain_names_the_hold(shop: Shop) -> None:
    hold = placed(add(shop, "1\n"))
    told = shop("explain", "shop/customer", "1").out
    assert (
        f"legal hold on 1 row of crm.customers: proceedings, M 12/2026, looked at again on 2099-01-01 ({hold})" in told
    )
    assert "held: its time is over" in told
    (row,) = shop("explain", "shop/invoice", "1", "--format", "json").document["rows"]
    assert [(one["hold"], one["kind"], one["rows"]) for one in row["holds"]] == [(hold, "proceedings", 1)]
    assert shop("explain", "shop/customer", "6", "--format", "json").document["rows"][0]["holds"] == []


def test_what_went_before_is_told(shop: Shop) -> None:
    assert shop("run", "--yes").code == 0
    done = add(shop, "1\n2\n6\n")
    placed(done)
    assert "before: 2 rows of crm.customers destroyed by shop/contract-data@crm" in done.err
    assert "before" not in shop("hold", "add", "--source", "crm", *WHY).err


def test_the_other_holds(shop: Shop) -> None:
    (shop.folder / "keys.txt").write_text("1\n3\n")
    rows = placed(shop("hold", "add", "--record", "shop/complaint", "--keys-file", str(shop.folder / "keys.txt"), *WHY))
    jobs = {job["rule"]: job for job in shop("plan", "--format", "json").document["jobs"]}
    assert (jobs["complaint-data"]["due"], jobs["complaint-data"]["held"]) == (0, 2)
    record = placed(shop("hold", "add", "--record", "shop/customer", *WHY))
    source = placed(shop("hold", "add", "--source", "crm", *WHY))
    assert {(one["id"], one["scope"], one["record"], one["source"], one["count"]) for one in holds(shop)} == {
        (rows, "record", "complaint", None, 2),
        (record, "record", "customer", None, 0),
        (source, "source", None, "crm", 0),
    }
    assert [job["due"] for job in shop("plan", "--format", "json").document["jobs"]] == [0, 0]


def test_ids_come_as_editors_write_them(shop: Shop) -> None:
    done = add(shop, b"\xef\xbb\xbf1\r\n\r\n 2\r\n   \r\n2\r\n2")
    placed(done)
    assert holds(shop)[0]["count"] == 3
    assert "1 id said twice" in done.err
    assert "line 3 begin" in done.err
    done = shop("hold", "add", "--subject", "customer", "--id-file", "-", *WHY, stdin="7\n")
    placed(done)
    assert holds(shop)[0]["count"] == 1


def test_ids_that_are_none(shop: Shop) -> None:
    """How files are read is tried with `cli.hold_lines`; here, that nothing is placed, and what is said."""
    for ids, message in (
        (b"\r\n  \n\n", "holds no id"),
        (b"1\n\xff\n", "line 2 is no UTF-8"),
        (f"1\n{CANARY}\n3\n".encode(), "line 2: no id of crm.customers (id INTEGER)"),
        (b"1\n4.5\n1e3\n", "lines 2 and 3: no id"),
    ):
        done = add(shop, ids)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
    assert holds(shop) == []


def test_a_hold_on_nothing_that_there_is(shop: Shop) -> None:
    for arguments, message in (
        (("--subject", "customer"), "go together"),
        (("--subject", "customer", "--source", "crm"), "a hold is on subjects, on a record or on a source"),
        ((), "a hold is on subjects, on a record or on a source"),
        (("--source", "crm", "--policy", "shop"), "--policy to --subject"),
        (("--source", "erp"), "no source erp"),
        (("--record", "customer"), "POLICY/RECORD"),
        (("--record", "shop/client"), "shop has no record client"),
        (("--record", "shops/customer"), "no policy shops"),
        (("--subject", "client", "--id-file", "-"), "no policy has a subject client"),
        (("--subject", "customer", "--id-file", "-", "--policy", "shops"), "no policy shops"),
        (("--subject", "customer", "--id-file", "gone.txt"), "gone.txt"),
        (("--record", "shop/customer", "--id-file", "-"), "go together"),
    ):
        done = shop("hold", "add", *arguments, *WHY, stdin="1\n")
        assert (done.code, done.out) == (2, "")
        assert message in done.err
    assert holds(shop) == []


def test_a_hold_says_why_and_until_when(shop: Shop) -> None:
    for kind, matter, review, message in (
        ("because", "M", "2099-01-01", "because"),
        ("restriction", " ", "2099-01-01", "--matter is no reference"),
        ("restriction", "M\n2", "2099-01-01", "--matter is no reference"),
        ("restriction", "M" * 201, "2099-01-01", "--matter is no reference"),
        ("restriction", "M", "2020-01-01", "lies in the past"),
        ("restriction", "M", "soon", "no date"),
        ("restriction", "M", "2099-01-01T10:00", "no date"),
    ):
        done = shop("hold", "add", "--source", "crm", "--kind", kind, "--matter", matter, "--review", review)
        assert (done.code, message in done.err) == (2, True)
    for missing in ("--kind", "--matter", "--review"):
        pairs = [pair for pair in zip(WHY[::2], WHY[1::2], strict=True) if pair[0] != missing]
        done = shop("hold", "add", "--source", "crm", *(part for pair in pairs for part in pair))
        assert (done.code, missing in done.err) == (2, True)


def test_no_option_takes_an_id(shop: Shop) -> None:
    done = shop("hold", "add", "--subject", "customer", "7", *WHY)
    assert (done.code, done.out) == (2, "")


def test_nobody_reads_who_is_held(shop: Shop) -> None:
    """Addresses as ids, and every output there is; the canary is looked for in each."""
    (shop.folder / "policies" / "mails.yaml").write_text(MAILS)
    (shop.folder / "ids.txt").write_text(f"{CANARY}@example.org\n")
    subject = ("--subject", "mail", "--id-file", str(shop.folder / "ids.txt"))
    done = shop("hold", "add", *subject, *WHY, "-vv")
    placed(done)
    assert "of crm.customers the ledger cannot tell" in done.err
    for arguments in (
        *(
            ("hold", "list"),
            ("hold", "list", "--format", "json"),
            ("plan", "--sql", "-vv"),
            ("plan", "--format", "json"),
        ),
        *(("plan", "mails/notes", "--sample", "3"), ("explain", "mails/person", "1"), ("status", "--format", "json")),
        *(("run", "--yes", "-vv"), ("ledger", "export"), ("ledger", "verify")),
    ):
        assert shop(*arguments).code == 0
    assert {job["rule"]: job["held"] for job in shop("plan", "mails/*", "--format", "json").document["jobs"]} == {
        "notes": 4
    }
    connection_file = shop.folder / "state.db"
    assert CANARY.encode() not in connection_file.read_bytes()
    for line in shop("ledger", "export").out.splitlines():
        assert "M 12/2026" not in line
        json.loads(line)


def test_two_policies_with_one_kind_of_subject(shop: Shop) -> None:
    (shop.folder / "policies" / "mails.yaml").write_text(MAILS.replace("{mail: email}", "{customer: id}"))
    done = add(shop, "1\n")
    assert (done.code, "which: --policy" in done.err) == (2, True)
    placed(add(shop, "1\n", "--policy", "shop"))


def test_a_hold_is_placed_whatever_else_is_wrong(shop: Shop) -> None:
    whole = shop.policy.read_text()
    shop.database.rename(shop.folder / "away.db")
    done = add(shop, "1\nno number\n")
    first = placed(done)
    assert "crm cannot be reached" in done.err
    shop.policy.write_text("version: 1\nname: shop\n")
    done = add(shop, "1\n")
    assert (done.code, "say which policy" in done.err) == (2, True)
    done = add(shop, "6\n", "--policy", "shop")
    second = placed(done)
    assert "the policies are broken" in done.err
    shop.policy.write_text(whole)
    (shop.folder / "away.db").rename(shop.database)
    assert shop("plan", "shop/contract-data", "--format", "json").document["jobs"][0]["held"] == 2
    assert {one["id"] for one in holds(shop)} == {first, second}


def test_a_hold_whose_policy_got_another_name_stops_everything(shop: Shop) -> None:
    hold = placed(add(shop, "1\n"))
    text = shop.policy.read_text()
    shop.policy.write_text(text.replace("name: shop", "name: store", 1))
    run = shop("run", "--yes", "--format", "json")
    assert run.code == 3
    assert {job["guard"] for job in run.document["jobs"]} == {"hold-unplaced"}
    assert hold in run.document["jobs"][0]["guard_message"]
    plan = shop("plan", "--format", "json")
    assert plan.code == 0
    assert {job["guard"] for job in plan.document["jobs"]} == {"hold-unplaced"}
    placed(add(shop, "1\n", "--policy", "store"))
    assert shop("hold", "release", hold).code == 0
    assert shop("run", "--yes").code == 0
    assert shop.rows("SELECT id FROM customers WHERE id IN (1, 6)") == [(1,)]


def test_without_the_key_nothing_goes_and_a_plan_warns(shop: Shop) -> None:
    placed(add(shop, "1\n"))
    (shop.folder / "keys" / "seal.key").unlink()
    plan = shop("plan", "--format", "json")
    assert (plan.code, plan.document["jobs"][0]["held"]) == (0, 0)
    assert "is not known" in plan.err
    assert "is not known" in shop("explain", "shop/customer", "1").err
    run = shop("run", "--yes", "--format", "json")
    assert (run.code, {job["guard"] for job in run.document["jobs"]}) == (3, {"missing-key"})
    assert holds(shop) != []


def test_four_eyes_release_no_hold_alone(shop: Shop) -> None:
    hold = placed(add(shop, "1\n"))
    shop.settings.write_text(shop.settings.read_text() + "\n[approval]\nfour_eyes = true\n")
    done = shop("hold", "release", hold)
    assert done.code == 3
    assert [one["id"] for one in holds(shop)] == [hold]
