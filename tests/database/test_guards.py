"""Each guard trips on real databases and says its name; what releases it, and what does not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from retentiond.engine import guards, steps
from retentiond.engine.consent import consent_of_this_person
from retentiond.engine.custody import utc_now
from retentiond.engine.report import JobReport
from retentiond.engine.revocation import take_back
from retentiond.engine.session import Session
from retentiond.errors import FailedError, RefusedError
from retentiond.state.values import Person
from tests.database.custody import prepare
from tests.database.guarding import OLD, Guarded, policy
from tests.database.test_least_rights import role

NewDatabase = Callable[[str], str]
ANNA, BERT = Person("anna", 1001), Person("bert", 1002)


@pytest.fixture
def shop(tmp_path: Path, engine_url: str) -> Guarded:
    return Guarded(tmp_path, engine_url)


@pytest.fixture
def small(tmp_path: Path, sqlite_url: str) -> Guarded:
    """On SQLite only, for what no engine bears on."""
    return Guarded(tmp_path, sqlite_url)


def told(report: JobReport) -> tuple[str, str, int]:
    assert report.failed is None, report.failed
    return report.guard, report.approval, report.done


# The rule and its approval


def test_a_first_run_waits_and_a_yes_lets_it_go(shop: Guarded) -> None:
    shop.fill(3, 5)
    left = shop.run()
    assert told(left) == ("ok", "missing", 0)
    assert "first run" in left.guard_message
    assert left.due == 3
    assert shop.count == 8
    assert told(shop.run(yes=True)) == ("ok", "given", 3)
    assert shop.count == 5
    shop.fill(2)
    assert told(shop.run()) == ("ok", "given", 2)  # what was approved once goes on


def test_an_approval_lets_it_go_and_a_withdrawn_one_does_not(small: Guarded) -> None:
    small.fill(3, 5)
    assert small.offer().releases[0].startswith("first run")
    assert small.approve().in_force
    assert small.offer().releases == ()
    with small.command() as command:
        command.store.approvals.withdraw([command.job.name], by=ANNA, now=utc_now())
    left = small.run()
    assert told(left) == ("ok", "missing", 0)
    assert "withdrawn" in left.guard_message
    small.approve()
    assert told(small.run()) == ("ok", "given", 3)


def test_nothing_due_needs_no_approval(small: Guarded) -> None:
    small.fill(0, 5)
    assert told(small.run()) == ("ok", "not needed", 0)
    assert told(small.run(yes=True)) == ("ok", "not needed", 0)
    small.approve()
    assert told(small.run()) == ("ok", "given", 0)


def test_one_account_was_meant_and_all_are_hit(shop: Guarded) -> None:
    """What befell a company in 2020: the rule of one account, edited, met 145,000 people's chats."""
    shop.text = policy(where="id = 1")
    shop.fill(30)
    assert told(shop.run(yes=True)) == ("ok", "given", 1)
    shop.text = policy()
    left = shop.run()
    assert told(left) == ("ok", "missing", 0)
    assert "changed rule" in left.guard_message
    assert shop.count == 29


def test_an_older_version_of_a_rule_wants_an_approval_again(small: Guarded) -> None:
    small.fill(1, 10)
    small.text = policy("1 day")
    small.approve()
    small.text = policy("1 year")
    small.approve()
    small.text = policy("1 day")  # somebody deploys last week's file
    assert told(small.run()) == ("ok", "missing", 0)
    assert small.count == 11


def test_a_renamed_rule_is_a_new_one_and_says_so(small: Guarded) -> None:
    small.fill(3, 5)
    assert told(small.run(yes=True)) == ("ok", "given", 3)
    small.text = policy(rule="renamed")
    small.fill(2)
    left = small.run()
    assert told(left) == ("ok", "missing", 0)
    assert "shop/old is no longer there" in left.guard_message


@pytest.mark.parametrize("how", ["insert", "copy", "digest", "reopen"])
def test_a_line_in_the_table_is_no_approval(small: Guarded, how: str) -> None:
    """Somebody who can write to the state store, and not to the ledger's tree, approves nothing."""
    small.fill(3, 5)
    if how == "insert":
        small.run()  # makes the store
    else:
        small.text = policy("1 day")
        small.approve()
        small.text = policy()
    with small.command() as command:
        digest, name = command.job.digest, command.job.name
    store = sqlite3.connect(small.state_file)
    with store:
        if how == "insert":
            store.execute(
                "INSERT INTO approvals (job, digest, fingerprint, rows, tables, guards, given_at, given_by, in_force,"
                " leaf) VALUES (?, ?, '', 3, '{}', '[]', '2026-11-22T00:00:00.000000Z', 'eve', 1, 0)",
                [name, digest],
            )
        elif how == "copy":
            columns = "job, fingerprint, rows, tables, guards, given_at, given_by, in_force, leaf"
            query = f"INSERT INTO approvals (digest, {columns}) SELECT ?, {columns} FROM approvals"
            store.execute(query, [digest])
        else:
            store.execute("UPDATE approvals SET digest = ?", [digest])
        assert store.execute("SELECT COUNT(*) FROM approvals WHERE digest = ?", [digest]).fetchone() == (1,)
    store.close()
    for report in (small.plan(), small.run(), small.run(yes=True)):
        assert told(report)[0::2] == ("forged", 0)
    assert small.count == 8
    with small.command() as command:
        command.store.approvals.withdraw([name], by=ANNA, now=utc_now())
    assert told(small.run()) == ("ok", "missing", 0)
    assert told(small.run(yes=True)) == ("ok", "given", 3)


# Caps


def test_a_cap_destroys_nothing_rather_than_a_part(shop: Guarded) -> None:
    shop.text = policy(guard="max_rows: 60, max_share: 100%")
    shop.fill(60)
    assert told(shop.run(yes=True)) == ("ok", "given", 60)
    shop.fill(61, 5)
    planned = shop.plan()
    assert told(planned) == ("max_rows", "given", 0)
    stopped = shop.run()
    assert told(stopped) == ("max_rows", "given", 0)
    assert "61 rows are due" in stopped.guard_message
    assert shop.count == 66
    assert shop.approve().wanted.caps == ("max_rows",)
    assert told(shop.plan()) == ("ok", "given", 0)
    assert told(shop.run()) == ("ok", "given", 61)
    shop.fill(61)
    assert told(shop.run()) == ("max_rows", "given", 0)  # it was released for one run
    assert shop.count == 66


def test_more_than_a_fifth_of_a_table_waits(small: Guarded) -> None:
    small.text = policy(guard="max_rows: 1000")
    small.fill(1, 9)
    small.run(yes=True)
    small.fill(3)
    assert told(small.run()) == ("max_share", "given", 0)
    small.approve()
    small.fill(1)  # a tenth more than 3 is not 4
    assert told(small.run()) == ("max_share", "given", 0)
    assert told(small.run(yes=True)) == ("ok", "given", 4)


def test_a_spike_over_the_rules_own_history(small: Guarded) -> None:
    for rows in (5, 7, 9):
        small.fill(rows)
        small.run(yes=True)
    small.fill(90)
    assert told(small.run()) == ("ok", "given", 90)
    small.fill(901)
    assert told(small.run()) == ("spike", "given", 0)
    assert small.count == 901
    small.approve()
    assert told(small.run()) == ("ok", "given", 901)


def test_what_is_added_between_approval_and_run_waits(small: Guarded) -> None:
    small.fill(100)
    small.approve()
    small.fill(20)
    stopped = small.run()
    assert told(stopped) == ("spike", "given", 0)
    assert "100 were when it was approved" in stopped.guard_message
    assert small.count == 120


def test_a_release_is_not_spent_by_a_run_that_did_nothing(small: Guarded) -> None:
    small.text = policy(guard="max_rows: 2, max_share: 100%")
    small.fill(3)
    small.approve()
    small.administer("CREATE TRIGGER no BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'no'); END")
    small.approve()  # the trigger is a change of the schema
    failed = small.run()
    assert (failed.done, failed.failed is not None) == (0, True)
    small.administer("DROP TRIGGER no")
    small.approve()
    assert told(small.run()) == ("ok", "given", 3)


def test_a_yes_covers_no_more_than_was_shown(small: Guarded) -> None:
    small.fill(10)
    shown = consent_of_this_person({"shop/old@crm": 9})
    with small.command(shown) as command:
        left = command.run()
    assert told(left) == ("ok", "missing", 0)
    assert "more than were shown" in left.guard_message
    with small.command(consent_of_this_person({"shop/old@crm": 10})) as command:
        assert told(command.run()) == ("ok", "given", 10)


# What is there


CHANGES = {
    "a column": "ALTER TABLE accounts ADD COLUMN email VARCHAR(80)",
    "a child": "CREATE TABLE kids (id INTEGER NOT NULL PRIMARY KEY, account_id INTEGER NOT NULL,"
    " FOREIGN KEY (account_id) REFERENCES accounts (id))",
}


def test_a_changed_schema_waits_whoever_says_yes(shop: Guarded) -> None:
    shop.fill(3, 5)
    shop.approve()
    shop.administer(CHANGES["a column"])
    for report in (shop.plan(), shop.run(), shop.run(yes=True)):
        assert told(report) == ("schema", "not needed" if not report.dry_run else "missing", 0)
        assert "crm.accounts" in report.guard_message.replace("public.", "")
    assert shop.count == 8
    shop.approve()
    assert told(shop.run()) == ("ok", "given", 3)


def test_a_schema_that_changes_under_a_command(shop: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may alter the table adds a trigger, to borrow our rights, after the plan was made."""
    monkeypatch.setattr(guards, "_FRESH_SECONDS", -1.0)
    shop.fill(3, 5)
    with shop.command(consent_of_this_person()) as command:
        shop.administer(CHANGES["a column"])
        report = command.run()
    assert told(report) == ("schema", "not needed", 0)
    assert "since this command read it" in report.guard_message
    assert shop.count == 8


def test_tables_that_a_rule_did_not_speak_of_are_its_own_change(small: Guarded) -> None:
    small.administer(CHANGES["a child"].replace("(id)", "(id) ON DELETE CASCADE"))
    small.text = policy().replace("subject: id}", "subject: id, cascade: [kids]}")
    small.fill(3, 5)
    small.run(yes=True)
    small.administer("DROP TABLE kids")
    small.text = policy()
    small.fill(1)
    changed = small.run()
    assert (changed.guard, changed.done) == ("schema", 0)  # the foreign key that pointed at it is gone
    small.approve()
    small.administer("CREATE TABLE notes (id INTEGER NOT NULL PRIMARY KEY, account_id INTEGER, closed_at TIMESTAMP)")
    small.text = (
        policy()
        .replace("after closed_at", "after last note.closed_at")
        .replace("rules:", "  note: {source: crm, table: notes, belongs_to: {account: account_id}}\nrules:")
    )
    small.administer(f"INSERT INTO notes SELECT id, id, '{OLD}' FROM accounts")
    assert told(small.run()) == ("ok", "missing", 0)
    assert told(small.run(yes=True))[:2] == ("ok", "given")


def test_another_database_at_the_same_name(shop: Guarded, new_database: NewDatabase) -> None:
    shop.fill(3, 5)
    assert told(shop.run(yes=True)) == ("ok", "given", 3)
    kind = "sqlite" if shop.url.startswith("sqlite") else "postgresql" if "postgresql" in shop.url else "mariadb"
    other = Guarded(shop.folder, new_database(kind))
    other.fill(4)
    shop.url = other.url
    for yes in (False, True):
        stopped = shop.run(yes=yes)
        assert told(stopped) == ("identity", "not needed", 0)
        assert stopped.due is None  # refused before a row was counted
    assert shop.count == 4
    assert any("another database" in line for line in shop.offer().releases)
    shop.approve()
    after = shop.run()
    assert (after.guard, after.done) in {("ok", 4), ("restore", 0)}


def test_a_copy_of_the_file_is_told_by_its_place(small: Guarded) -> None:
    small.fill(3, 5)
    small.run(yes=True)
    copy = small.folder / "copy.db"
    shutil.copy(sa.make_url(small.url).database or "", copy)
    small.url = f"sqlite:///{copy}"
    small.fill(2)
    stopped = small.run(yes=True)
    assert told(stopped) == ("identity", "not needed", 0)
    assert "may be a copy" in stopped.guard_message
    small.approve()
    assert told(small.run()) == ("ok", "given", 2)


# The clock


def later(by: timedelta) -> Callable[[], datetime]:
    return lambda: utc_now() + by


def test_a_clock_that_differs_from_the_servers(tmp_path: Path, new_database: NewDatabase) -> None:
    for kind in ("postgresql", "mariadb"):
        folder = tmp_path / kind
        folder.mkdir()
        shop = Guarded(folder, new_database(kind))
        shop.fill(3)
        for by in (timedelta(hours=1), timedelta(days=400), -timedelta(seconds=90)):
            stopped = shop.run(yes=True, now=later(by))
            assert told(stopped) == ("clock", "not needed", 0)
            assert "that of crm" in stopped.guard_message
            with shop.command() as command:
                assert command.store.ledger.size() == 0  # else the ledger would be ahead of the right time
        assert told(shop.run(yes=True, now=later(timedelta(seconds=30)))) == ("ok", "given", 3)


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(days=400), -timedelta(days=400)])
def test_a_clock_that_was_moved_between_two_runs(small: Guarded, by: timedelta) -> None:
    small.fill(3)
    small.run(yes=True)
    small.fill(3)
    assert told(small.plan(now=later(by))) == ("clock", "given", 0)
    stopped = small.run(yes=True, now=later(by))
    assert told(stopped) == ("clock", "not needed", 0)
    assert small.count == 3
    assert any("clock" in line for line in small.offer(now=later(by)).releases)
    small.approve(now=later(by))
    assert told(small.run(now=later(by))) == ("ok", "given", 3)
    small.fill(1)
    assert told(small.run()) == ("clock", "not needed", 0)  # and back again


def test_a_clock_that_is_moved_while_a_command_runs(small: Guarded) -> None:
    small.fill(3)
    moments = iter([timedelta(0)])
    with small.command(consent_of_this_person(), lambda: utc_now() + next(moments, timedelta(days=2))) as command:
        stopped = command.run()
    assert told(stopped) == ("clock", "not needed", 0)
    assert "while this ran" in stopped.guard_message
    assert small.count == 3


# Who we are


def test_a_superuser_is_refused_unless_accepted(tmp_path: Path, postgresql_url: str, mariadb_url: str) -> None:
    for url in (postgresql_url, mariadb_url):
        folder = tmp_path / url.partition(":")[0]
        folder.mkdir()
        shop = Guarded(folder, url, accept="")
        shop.fill(3)
        assert told(shop.run(yes=True)) == ("superuser", "not needed", 0)
        assert shop.offer().blockers[0].guard == "superuser"
        shop.accept = 'accept = ["superuser"]'
        assert told(shop.run(yes=True)) == ("ok", "given", 3)


def test_an_owner_is_refused_unless_accepted(tmp_path: Path, postgresql_url: str) -> None:
    shop = Guarded(tmp_path, postgresql_url, accept="")
    shop.fill(3)
    with role(postgresql_url, ["SELECT, DELETE ON accounts"]) as url:
        name = sa.make_url(url).username
        prepare(postgresql_url, name)
        shop.administer(f"ALTER TABLE accounts OWNER TO {name}")
        shop.url = url
        assert told(shop.run(yes=True)) == ("owner", "not needed", 0)
        shop.accept = 'accept = ["owner"]'
        assert told(shop.run(yes=True)) == ("ok", "given", 3)


def test_a_role_that_sees_no_foreign_keys_is_refused_unless_accepted(tmp_path: Path, mariadb_url: str) -> None:
    shop = Guarded(tmp_path, mariadb_url, accept="")
    shop.fill(3)
    with role(mariadb_url, ["SELECT, DELETE ON accounts"]) as url:
        prepare(mariadb_url, f"{sa.make_url(url).username}@%")
        shop.url = url
        assert told(shop.run(yes=True)) == ("blind-role", "not needed", 0)
        shop.accept = 'accept = ["blind-role"]'
        assert told(shop.run(yes=True)) == ("ok", "given", 3)


def test_a_table_that_cannot_roll_back(tmp_path: Path, mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan is refused where it is made; here the engine is changed after that."""
    monkeypatch.setattr(guards, "_FRESH_SECONDS", -1.0)
    shop = Guarded(tmp_path, mariadb_url)
    shop.fill(3)
    with shop.command(consent_of_this_person()) as command:
        shop.administer("ALTER TABLE accounts ENGINE = MyISAM")
        with Session(command.sources, apply=False) as session:
            found = [one.guard for one in command.custody.warden.objections(command.job, session)]
        assert found == ["schema", "engine"]
        assert told(command.run())[0] == "schema"
    assert shop.count == 3


# The switch


def test_what_is_stopped_does_not_run(small: Guarded) -> None:
    small.fill(3)
    small.approve()
    with small.command() as command:
        assert command.store.stops.stop("shop/*", now=utc_now(), by="anna")
        assert not command.store.stops.stop("shop/*", now=utc_now(), by="anna")
    for report in (small.plan(), small.run(), small.run(yes=True)):
        assert told(report)[0::2] == ("stop", 0)
        assert "anna" in report.guard_message
    assert [no.guard for no in small.offer().blockers] == ["stop"]
    with small.command() as command:
        assert command.store.stops.resume("other", now=utc_now(), by="anna") == ()
        assert command.store.stops.resume("*", now=utc_now(), by="anna") == ("shop/*",)
    assert told(small.run()) == ("ok", "given", 3)


@pytest.fixture
def at_step() -> Iterator[Callable[[str, Callable[[], None]], list[str]]]:
    """Does something once, when a step of the protocol is reached; the list fills as it fires."""
    listeners: list[Callable[[str], None]] = []

    def place(step: str, action: Callable[[], None]) -> list[str]:
        fired: list[str] = []

        def listener(name: str) -> None:
            if name == step and not fired:
                fired.append(name)
                action()

        listeners.append(listener)
        steps.listen(listener)
        return fired

    yield place
    for listener in listeners:
        steps._listeners.remove(listener)


@pytest.mark.parametrize("step", ["fence.before", "change.before", "effect.before", "intent.after", "gate.before"])
@pytest.mark.parametrize("what", ["stop", "withdraw"])
def test_what_is_taken_back_before_a_commit_commits_no_more(
    shop: Guarded, at_step: Callable[[str, Callable[[], None]], list[str]], step: str, what: str
) -> None:
    """Behind `take_back` nothing commits, however far the chunk was."""
    shop.fill(120)
    shop.approve()
    left: list[int] = []

    def take() -> None:
        with shop.command() as other:
            if what == "stop":
                write: Callable[[], object] = lambda: other.store.stops.stop("*", now=utc_now(), by="anna")  # noqa: E731
            else:
                write = lambda: other.store.approvals.withdraw(["shop/old@crm"], by=ANNA, now=utc_now())  # noqa: E731
            take_back(other.store, other.sources, write)
        if not shop.url.startswith("sqlite"):
            left.append(shop.count)

    fired = at_step(step, take)
    report = shop.run()
    assert fired
    assert (report.guard, report.approval) == (("stop", "given") if what == "stop" else ("ok", "missing"))
    assert report.done == 0
    assert shop.count == 120
    assert left in ([120], [])


def test_a_stop_that_cannot_be_in_force_yet_says_so(
    small: Guarded, at_step: Callable[[str, Callable[[], None]], list[str]]
) -> None:
    """Who has passed the gate commits; whoever stops meanwhile is told, and nothing commits after that chunk."""
    small.fill(120)
    small.approve()
    errors: list[FailedError] = []

    def stop() -> None:
        with small.command() as other, pytest.raises(FailedError) as caught:
            take_back(other.store, other.sources, lambda: other.store.stops.stop("*", now=utc_now(), by="anna"), 0.2)
        errors.append(caught.value)

    fired = at_step("gate.after", stop)
    report = small.run()
    assert fired
    assert errors[0].code == "in-flight"
    assert "shop/old@crm" in str(errors[0])
    assert report.guard == "stop"
    assert small.count in (70, 120)  # the one chunk, or none
    assert small.count == 120 - report.done


# Two people


def test_two_people_approve_and_one_does_not(small: Guarded) -> None:
    small.four_eyes = True
    small.fill(3, 5)
    assert told(small.run(yes=True)) == ("ok", "missing", 0)
    assert not small.approve(ANNA).in_force
    assert told(small.run()) == ("ok", "missing", 0)
    with pytest.raises(RefusedError) as caught:
        small.approve(ANNA)
    assert caught.value.code == "same-person"
    with pytest.raises(RefusedError) as caught:
        small.approve(Person("root", None))
    assert caught.value.code == "unknown-person"
    assert told(small.run()) == ("ok", "missing", 0)
    given = small.approve(BERT)
    assert (given.in_force, given.by_two) == (True, True)
    assert told(small.run(yes=True)) == ("ok", "given", 3)


def test_two_people_approve_the_same(small: Guarded) -> None:
    small.four_eyes = True
    small.fill(3, 5)
    small.approve(ANNA)
    small.text = policy("1 day")
    assert not small.approve(BERT).in_force  # over another plan: a first of its own
    small.fill(10)
    assert not small.approve(ANNA).in_force  # over more than Bert saw
    assert told(small.run()) == ("ok", "missing", 0)
    assert small.approve(BERT).in_force
    assert told(small.run()) == ("ok", "given", 18)


def test_what_one_person_approved_is_not_enough_for_two(small: Guarded) -> None:
    small.fill(3)
    small.approve(ANNA)
    small.four_eyes = True
    left = small.run()
    assert told(left) == ("ok", "missing", 0)
    assert "takes two" in left.guard_message
    small.approve(ANNA)
    assert small.approve(BERT).in_force
    assert told(small.run()) == ("ok", "given", 3)


def test_another_database_takes_two_people_too(small: Guarded) -> None:
    small.four_eyes = True
    small.fill(3)
    small.approve(ANNA)
    small.approve(BERT)
    small.run()
    copy = small.folder / "copy.db"
    shutil.copy(sa.make_url(small.url).database or "", copy)
    small.url = f"sqlite:///{copy}"
    assert not small.approve(ANNA).in_force
    assert told(small.run())[0] == "identity"
    assert small.approve(BERT).in_force
    assert told(small.run())[0] == "ok"


# Looking


def test_looking_writes_nothing(small: Guarded) -> None:
    small.fill(3, 5)
    first = small.plan()
    assert told(first) == ("ok", "missing", 0)
    assert first.due == 3
    assert not small.state_file.exists()
    small.approve()
    before = small.state_file.read_bytes()
    assert told(small.plan()) == ("ok", "given", 0)
    assert small.state_file.read_bytes() == before


def test_what_is_approved_and_stopped_stands_in_the_ledger(small: Guarded) -> None:
    small.fill(3)
    small.approve(ANNA)
    with small.command() as command:
        store = command.store
        store.stops.stop("*", now=utc_now(), by="anna")
        store.stops.resume("*", now=utc_now(), by="bert")
        store.approvals.withdraw([command.job.name], by=BERT, now=utc_now())
        epoch = store.control.epoch()
        entries = [entry for entry in store.ledger.entries() if entry["kind"] in ("approval", "stop")]
    assert epoch == 3
    assert [(entry["kind"], entry["event"], entry["by"]) for entry in entries if "source" not in entry] == [
        ("approval", "given", "anna"),
        ("stop", "stopped", "anna"),
        ("stop", "resumed", "bert"),
        ("approval", "withdrawn", "bert"),
    ]
    assert entries[0]["rows"] == 3
    assert entries[0]["login_uid"] == 1001
