"""`approve`, `stop`, `resume` and `run --yes` as people and schedulers call them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.commands import AT, CANARY, COMMAND, Done, Shop, make_shop

RULE = "shop/contract-data"
JOB = "shop/contract-data@crm"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return make_shop(tmp_path)


def left(shop: Shop) -> int:
    return len(shop.rows("SELECT id FROM customers"))


def states(done: Done) -> dict[str, tuple[str, str, int]]:
    return {job["rule"]: (job["guard"], job["approval"], job["done"]) for job in done.document["jobs"]}


def set_up(shop: Shop, old: str, new: str) -> None:
    text = shop.settings.read_text(encoding="utf-8")
    assert old in text
    shop.settings.write_text(text.replace(old, new), encoding="utf-8")


def change_policy(shop: Shop, old: str, new: str) -> None:
    text = shop.policy.read_text(encoding="utf-8")
    assert old in text
    shop.policy.write_text(text.replace(old, new), encoding="utf-8")


def test_what_is_approved_runs_from_a_scheduler(shop: Shop) -> None:
    shown = shop("approve", RULE)
    assert shown.code == 0, shown.err
    assert f"{JOB}: releases: first run" in shown.out
    assert "% of the table" in shown.out
    assert f"approved: {JOB} (" in shown.out
    assert left(shop) == 7  # approving destroys nothing
    done = shop("run", "--format", "json")
    assert done.code == 3
    assert states(done) == {"contract-data": ("ok", "given", 2), "complaint-data": ("max_share", "missing", 0)}
    again = shop("approve", RULE)
    assert (again.code, "approved already" in again.out) == (0, True)


def test_a_glob_approves_many(shop: Shop) -> None:
    assert shop("approve", "shop/*").code == 0
    assert shop("run").code == 0
    assert left(shop) == 5


def test_a_withdrawn_approval_counts_no_more(shop: Shop) -> None:
    shop("approve", "shop/*")
    taken = shop("approve", RULE, "--withdraw")
    assert (taken.code, taken.out) == (0, f"withdrawn: {JOB}\n")
    assert shop("approve", RULE, "--withdraw").out == f"nothing of {RULE} was approved\n"
    done = shop("run", "--format", "json")
    assert (done.code, states(done)["contract-data"][1:], states(done)["complaint-data"][1:]) == (
        3,
        ("missing", 0),
        ("given", 1),
    )
    assert left(shop) == 7


def test_what_no_rule_is_called_is_2(shop: Shop) -> None:
    for arguments in (("approve", "shop/nothing"), ("approve", "shop/nothing", "--withdraw"), ("resume", "shop/x")):
        done = shop(*arguments)
        assert (done.code, done.out) == (2, "")
    assert shop("approve").code == 2


YES = [
    # what was done before, whether --yes goes then, and the guard that says no
    ("nothing", True, "ok"),
    ("changed rule", True, "ok"),
    ("cap", True, "ok"),
    ("column", False, "schema"),
    ("stop", False, "stop"),
    ("copy", False, "identity"),
    ("key", False, "missing-key"),
    ("key mode", False, "key-readable"),
    ("four eyes", False, "ok"),
]


@pytest.mark.parametrize(("before", "goes", "guard"), YES, ids=[case[0].replace(" ", "-") for case in YES])
def test_what_a_yes_releases(shop: Shop, before: str, goes: bool, guard: str) -> None:
    if before != "nothing":
        assert shop("run", "--yes", "--at", AT).code == 0
        shop.change(
            f"INSERT INTO customers VALUES (20, '{CANARY}', 'x'); "
            f"INSERT INTO contracts VALUES (20, 20, '2010-01-01 00:00:00', '{CANARY}')"
        )
    if before == "changed rule":
        change_policy(shop, "10 years after last contract.ended_at", "9 years after last contract.ended_at")
    elif before == "cap":
        change_policy(
            shop, "    record: customer\n    basis", "    guard: {max_rows: 0}\n    record: customer\n    basis"
        )
    elif before == "column":
        shop.change("ALTER TABLE invoices ADD COLUMN more TEXT")
    elif before == "stop":
        assert shop("stop").code == 0
    elif before == "copy":
        (shop.folder / "copy.db").write_bytes(shop.database.read_bytes())
        set_up(shop, "crm.db", "copy.db")
    elif before == "key":
        (shop.folder / "keys" / "ledger.key").unlink()
    elif before == "key mode":
        (shop.folder / "keys" / "ledger.key").chmod(0o644)
    elif before == "four eyes":
        set_up(shop, "[sources.crm]", "[approval]\nfour_eyes = true\n\n[sources.crm]")
    count = left(shop)
    done = shop("run", RULE, "--yes", "--at", AT, "--format", "json")
    found = states(done)["contract-data"]
    assert found[0] == guard
    assert (done.code == 0, found[2] > 0, left(shop) < count) == (goes,) * 3
    if not goes:
        assert done.code == 3
        planned = shop("plan", RULE, "--at", AT, "--format", "json")
        assert planned.code == 0
        assert states(planned)["contract-data"][0] in (guard, "max_share")


def test_stop_works_whatever_else_is_broken(shop: Shop) -> None:
    shop("approve", "shop/*")
    good = shop.policy.read_text(encoding="utf-8")
    shop.policy.write_text("version: 1\nname: broken\n", encoding="utf-8")
    shop.database.rename(shop.folder / "away.db")
    stopped = shop("stop", "shop/contract-*")
    assert (stopped.code, stopped.out) == (0, "stopped: shop/contract-*\n")
    (shop.folder / "away.db").rename(shop.database)
    shop.policy.write_text(good, encoding="utf-8")
    done = shop("run", "--format", "json")
    assert (done.code, states(done)["contract-data"][0], states(done)["complaint-data"][2]) == (3, "stop", 1)
    assert left(shop) == 7
    resumed = shop("resume", "shop/contract-*")
    assert (resumed.code, resumed.out) == (0, "goes on: shop/contract-*\n")
    assert shop("run").code == 0
    assert left(shop) == 5


def test_stop_and_resume_say_what_they_did(shop: Shop) -> None:
    assert (
        shop("stop", "shop/*").out == "stopped: shop/*: shop/complaint-data, shop/contract-data, shop/invoices-by-law\n"
    )
    nobody = shop("stop", "shop/nobdy")
    assert nobody.code == 0
    assert "no rule is called shop/nobdy" in nobody.err
    assert shop("stop").out == "stopped: everything\n"
    wrong = shop("resume", RULE)
    assert wrong.code == 2
    assert "stopped: shop/*, shop/nobdy, everything" in wrong.err
    assert shop("resume", "shop/*").out == "goes on: shop/*\nstill stopped: shop/nobdy\nstill stopped: everything\n"
    assert shop("resume").out == "goes on: shop/nobdy, everything\n"
    assert shop("resume").code == 2


def test_status_tells_who_may_and_who_is_stopped(shop: Shop) -> None:
    shop("approve", RULE)
    shop("run")
    shop("stop", "shop/complaint-data")
    document = shop("status", "--format", "json").document
    jobs = {job["rule"]: job for job in document["jobs"]}
    assert jobs["contract-data"]["approval"]["rows"] == 2
    assert (jobs["contract-data"]["approval"]["in_force"], jobs["contract-data"]["stopped"]) == (True, None)
    assert (jobs["complaint-data"]["approval"], jobs["complaint-data"]["stopped"]) == (None, "shop/complaint-data")
    assert jobs["complaint-data"]["last_run"]["failed"]["code"] == "max_share"
    assert [stop["pattern"] for stop in document["stops"]] == ["shop/complaint-data"]
    assert [approval["job"] for approval in document["approvals"]] == [JOB]
    change_policy(shop, "name: contract-data", "name: contracts")
    document = shop("status", "--format", "json").document
    assert {job["rule"]: job["gone"] for job in document["jobs"]} == {"contract-data": True, "complaint-data": False}
    table = shop("status").out
    assert "rule is gone" in table
    assert "stopped: shop/complaint-data since" in table
    planned = shop("plan", "--at", AT, "--format", "json").document["jobs"]
    assert next(job for job in planned if job["rule"] == "contracts")["approval"] == "not needed"  # all of it went


def test_a_renamed_rule_is_a_new_one(shop: Shop) -> None:
    shop("approve", "shop/*")
    shop("run", "shop/complaint-data")
    shop("run", RULE)
    shop.change(
        "INSERT INTO customers VALUES (20, 'x', 'x'); INSERT INTO contracts VALUES (20, 20, '2010-01-01 00:00:00', 'x')"
    )
    change_policy(shop, "name: contract-data", "name: contracts")
    done = shop("run", "shop/contracts")
    assert done.code == 3
    assert "shop/contract-data is no longer there: was it renamed?" in done.out
    assert shop("approve", RULE, "--withdraw").out == f"withdrawn: {JOB}\n"  # of a rule that is gone


def test_a_settings_file_that_others_may_write_is_refused(shop: Shop) -> None:
    shop.settings.chmod(0o666)
    for arguments in (("run", "--yes"), ("approve", RULE)):
        done = shop(*arguments)
        assert (done.code, "everybody may change it" in done.err) == (3, True)
    assert shop("plan").code == 0
    assert left(shop) == 7


@pytest.mark.parametrize("how", ["link", "second name"])
def test_a_policy_under_another_name_is_refused(shop: Shop, how: str) -> None:
    elsewhere = shop.folder / "elsewhere.yaml"
    if how == "link":
        shop.policy.rename(elsewhere)
        shop.policy.symlink_to(elsewhere)
    else:
        os.link(shop.policy, elsewhere)
    done = shop("run", "--yes")
    assert (done.code, left(shop)) == (3, 7)
    assert str(shop.policy) in done.err


def person(shop: Shop, uid: int, *arguments: str) -> Done:
    """The command as called by whoever logged in with that uid."""
    script = f'echo {uid} > /proc/self/loginuid && exec "$0" "$@"'
    words = ["sh", "-c", script, str(COMMAND), "--config", str(shop.settings), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=shop.folder, check=False)
    if "loginuid" in done.stderr:
        pytest.skip("this system lets nobody set a login uid")
    return Done(done.returncode, done.stdout, done.stderr)


def test_two_people_approve(shop: Shop) -> None:
    set_up(shop, "[sources.crm]", "[approval]\nfour_eyes = true\n\n[sources.crm]")
    first = person(shop, 4001, "approve", RULE)
    assert (first.code, f"waits for a second person: {JOB}" in first.out) == (0, True)
    assert "waits for a second" in shop("status").out
    assert shop("run", RULE).code == 3
    same = person(shop, 4001, "approve", RULE)
    assert (same.code, "takes a second person" in same.err) == (3, True)
    if Path("/proc/self/loginuid").read_text(encoding="ascii") == "4294967295":
        nobody = shop("approve", RULE)
        assert (nobody.code, "does not know who you are" in nobody.err) == (3, True)
    assert shop("run", RULE, "--yes").code == 3
    assert left(shop) == 7
    second = person(shop, 4002, "approve", RULE)
    assert (second.code, f"approved: {JOB}" in second.out) == (0, True)
    assert shop("run", RULE).code == 0
    assert left(shop) == 5


@pytest.fixture
def at_terminal(shop: Shop) -> Callable[..., tuple[int, str]]:
    """Calls a command as a person at a terminal who gives one answer; the exit code and all that was seen."""

    def call(answer: str, *arguments: str) -> tuple[int, str]:
        child, terminal = pty.fork()
        if child == 0:  # pragma: no cover - another process
            command = str(Path(sys.executable).parent / "retentiond")
            os.execv(command, [command, "--config", str(shop.settings), *arguments])
        os.write(terminal, f"{answer}\n".encode())
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

    return call


def test_on_a_terminal_approve_asks_and_no_is_the_answer(
    shop: Shop, at_terminal: Callable[..., tuple[int, str]]
) -> None:
    code, seen = at_terminal("", "approve", RULE)
    assert code == 3
    assert "Approve 1 job?" in seen
    assert shop("run", RULE).code == 3
    code, seen = at_terminal("y", "approve", RULE)
    assert code == 0, seen
    assert shop("run", RULE).code == 0


def test_a_yes_at_the_terminal_is_an_approval(shop: Shop, at_terminal: Callable[..., tuple[int, str]]) -> None:
    code, seen = at_terminal("y", "run", RULE)
    assert code == 0, seen
    assert left(shop) == 5
    document = shop("status", "--format", "json").document
    assert [(approval["job"], approval["rows"]) for approval in document["approvals"]] == [(JOB, 2)]
    assert shop("run", RULE).code == 0  # the rule is approved from now on
