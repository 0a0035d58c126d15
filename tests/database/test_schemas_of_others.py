"""Schemas as other people made them: sample databases and frameworks, rebuilt small, asked through the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from retentiond.cli import main
from tests.database.custody import ACCEPT, prepare
from tests.database.schemas import as_user, carry_out, source

AT = "2026-06-01T00:00:00Z"


class Desk:
    """Settings and one policy on some sources, and the command called in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def settle(self, urls: Mapping[str, str], policy: str) -> None:
        (self._folder / "policies").mkdir(exist_ok=True)
        (self._folder / "policies" / "others.yaml").write_text(policy)
        lines = [f'policies = "{self._folder}/policies"', "[state]", f'url = "sqlite:///{self._folder}/state.db"']
        for name, url in urls.items():
            lines += [f"[sources.{name}]", f'url = "{url}"', ACCEPT]
            with suppress(OperationalError):  # one of them refuses the login, as it should
                prepare(url)
        (self._folder / "retentiond.toml").write_text("\n".join(lines) + "\n")

    def call(self, *arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--config", str(self._folder / "retentiond.toml")])
        seen = self._capsys.readouterr()
        return int(ended.value.code or 0), seen.out, seen.err

    def jobs(self, command: str, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """The jobs of `plan` or `run --yes` by rule and source."""
        yes = ["--yes"] if command == "run" else []
        ended, out, err = self.call(command, *yes, "--at", AT, "--format", "json", *arguments)
        assert ended == code, err
        return {f"{job['rule']}@{job['source']}": job for job in json.loads(out)["jobs"]}


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


def test_names_of_twenty_characters_take_a_token(desk: Desk, engine_url: str) -> None:
    # Chinook's and Northwind's employees.
    carry_out(
        engine_url,
        "CREATE TABLE employee (id INTEGER PRIMARY KEY, last_name VARCHAR(20) NOT NULL, hired DATE NOT NULL)",
        "INSERT INTO employee VALUES (1, 'Adams', '2002-08-14'), (2, 'Edwards', '2002-05-01'),"
        " (3, 'Park', '2025-08-01')",
    )
    policy = """\
version: 1
name: others
title: Media shop
records:
  employee: {source: shop, table: employee, subject: id, on_request: {stay: labour law}}
rules:
  - name: staff
    clause: "1"
    record: employee
    keep: 20 years after hired
    then: {pseudonymise: {last_name: token}}
"""
    desk.settle({"shop": engine_url}, policy)
    assert desk.jobs("run")["staff@shop"]["done"] == 2
    assert desk.jobs("run")["staff@shop"]["done"] == 0


def test_all_undeclared_tables_stand_in_the_one_line_to_paste(desk: Desk, new_database: Callable[[str], str]) -> None:
    url = new_database("postgresql")
    carry_out(
        url,
        "CREATE TABLE auth_user (id integer PRIMARY KEY, last_login timestamptz)",
        *(
            f"CREATE TABLE {name} (id integer PRIMARY KEY, user_id integer REFERENCES auth_user {action})"
            for name, action in (("token", ""), ("profile", "ON DELETE CASCADE"), ("log", "ON DELETE SET NULL"))
        ),
        "CREATE TABLE log_line (id integer PRIMARY KEY, log_id integer REFERENCES log)",
    )
    policy = """\
version: 1
name: others
title: Django
records:
  user: {source: app, table: auth_user, subject: id, cascade: [%s]}
rules:
  - {name: users, clause: "1", record: user, keep: 2 years after last_login, then: delete}
"""
    desk.settle({"app": url}, policy % "profile")
    code, _, err = desk.call("validate")
    assert code == 2
    assert err.count("undeclared-reach") == 2
    assert err.count("`cascade: [profile, log, token]`") == 2
    assert "log_user_id_fkey" in err
    desk.settle({"app": url}, policy % "profile, log, token")
    code, _, err = desk.call("validate")
    assert code == 2
    assert "`cascade: [profile, log, token, log_line]`" in err


KEYED = """\
version: 1
name: others
title: Help desk
records:
  ticket: {source: desk, table: ticket, subject: id, cascade: [message]}
  message: {source: desk, table: message, belongs_to: {ticket: ticket_id}, cascade: [part]}
rules:
  - {name: tickets, clause: "1", record: ticket, keep: 1 year after last message.sent_on, then: delete}
"""

KEYS = [
    ("postgresql", "uuid", "'0c1e0001-89ab-4def-8123-456789abcde1'", "'0c1e0001-89ab-4def-8123-456789abcde2'"),
    ("postgresql", "bytea", "'\\xff00c3'", "'\\xff00c4'"),
    ("postgresql", "mood", "'happy'", "'not so'"),
    ("postgresql", "macaddr", "'08:00:2b:01:02:03'", "'08:00:2b:01:02:04'"),
    ("postgresql", "inet", "'10.0.0.1'", "'2001:db8::/32'"),
    ("postgresql", "numeric(12,2)", "-2.50", "3"),
    ("postgresql", "char(5)", "'AB'", "'ab'"),
    ("mariadb", "uuid", "'0c1e0001-89ab-4def-8123-456789abcde1'", "'0c1e0001-89ab-4def-8123-456789abcde2'"),
    ("mariadb", "binary(16)", "x'ff00c3'", "x'ff00c4'"),
    ("mariadb", "decimal(12,2)", "-2.50", "3"),
    ("mariadb", "time", "'10:00:00'", "'11:00:00'"),
    ("mariadb", "datetime(6)", "'2020-01-01 10:00:00.000001'", "'2020-01-01 10:00:00.000002'"),
    ("mariadb", "bigint unsigned", "18446744073709551615", "0"),
    ("sqlite", "BLOB", "x'ff00c3'", "x'ff00c4'"),
    ("sqlite", "", "1", "'1'"),
]


@pytest.mark.parametrize(("engine", "kind", "old", "new"), KEYS, ids=lambda value: str(value)[:16])
def test_keys_of_any_type_lead_from_parents_to_children(
    desk: Desk, new_database: Callable[[str], str], engine: str, kind: str, old: str, new: str
) -> None:
    url = new_database(engine)
    if kind == "mood":
        carry_out(url, "CREATE TYPE mood AS ENUM ('happy', 'not so')")
    carry_out(
        url,
        f"CREATE TABLE ticket (id {kind} NOT NULL PRIMARY KEY)",
        f"CREATE TABLE message (id {kind} NOT NULL PRIMARY KEY, ticket_id {kind} NOT NULL, sent_on date NOT NULL,"
        " FOREIGN KEY (ticket_id) REFERENCES ticket (id))",
        f"CREATE TABLE part (message_id {kind} NOT NULL, n integer NOT NULL, PRIMARY KEY (message_id, n),"
        " FOREIGN KEY (message_id) REFERENCES message (id))",
        f"INSERT INTO ticket VALUES ({old}), ({new})",
        f"INSERT INTO message VALUES ({old}, {new}, '2026-05-01'), ({new}, {old}, '2020-05-01')",
        f"INSERT INTO part VALUES ({old}, 1), ({new}, 1), ({new}, -2)",
    )
    desk.settle({"desk": url}, KEYED)
    counted = desk.jobs("plan")["tickets@desk"]
    assert (counted["due"], counted["cascade"]) == (1, {"desk.message": 1, "desk.part": 2})
    done = desk.jobs("run")["tickets@desk"]
    assert (done["done"], done["cascade"], done["failed"]) == (1, {"desk.message": 1, "desk.part": 2}, None)
    again = desk.jobs("plan")["tickets@desk"]
    assert (again["total"], again["due"]) == (1, 0)


def test_a_method_reaches_into_jsonb(desk: Desk, postgresql_url: str) -> None:
    carry_out(
        postgresql_url,
        "CREATE TABLE users (id integer PRIMARY KEY, settings jsonb, more json, seen timestamptz,"
        " anonymised_at timestamptz)",
        """INSERT INTO users VALUES (1, '{"theme": "dark", "email": {"to": "jo@example.org"}}', '[{"ip": "10.1.2.3"}]',
        '2020-01-01', NULL), (2, NULL, NULL, '2020-01-01', NULL)""",
    )
    policy = """\
version: 1
name: others
title: Forum
records:
  user: {source: forum, table: users, subject: id, marker: anonymised_at, on_request: {stay: contract}}
rules:
  - name: inactive
    clause: "1"
    record: user
    keep: 1 year after seen
    then: {pseudonymise: {settings: {json: {email.to: {constant: gone}}}, more: {json: {ip: network}}}}
"""
    desk.settle({"forum": postgresql_url}, policy)
    job = desk.jobs("run")["inactive@forum"]
    assert (job["done"], job["failed"]) == (2, None)
    with source(postgresql_url) as engine, engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT settings, more FROM public.users ORDER BY id").all()
    assert list(map(tuple, found)) == [
        ({"theme": "dark", "email": {"to": "gone"}}, [{"ip": "10.1.2.0"}]),
        (None, None),
    ]


TENANTS = """\
version: 1
name: others
title: Tenants
records:
  log: {source: tenant-*, table: logs}
rules:
  - {name: logs, clause: "1", record: log, keep: 1 year after written_on, then: delete}
"""


def test_a_source_that_cannot_be_opened_stops_its_own_jobs_only(
    desk: Desk, new_database: Callable[[str], str], tmp_path: Path
) -> None:
    there, refuses = new_database("sqlite"), new_database("mariadb")
    carry_out(
        there,
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, written_on DATE)",
        "INSERT INTO logs VALUES (1, '2020-01-01'), (2, '2026-05-01')",
    )
    gone = f"sqlite:///{tmp_path}/gone.db"
    (tmp_path / "letter.db").write_text("Dear reader, this is no database.\n" * 100)
    urls = {
        "tenant-gone": gone,
        "tenant-letter": f"sqlite:///{tmp_path}/letter.db",
        "tenant-refuses": as_user(refuses, "stranger"),
        "tenant-there": there,
    }
    desk.settle(urls, TENANTS)
    for command in ("plan", "run"):
        jobs = desk.jobs(command, code=1)
        assert jobs["logs@tenant-there"]["due"] == 1
        assert {name for name, job in jobs.items() if job["failed"]} == {
            "logs@tenant-gone",
            "logs@tenant-letter",
            "logs@tenant-refuses",
        }
        assert jobs["logs@tenant-gone"]["due"] is None
    assert desk.jobs("plan", code=1)["logs@tenant-there"]["total"] == 1
    desk.settle({"tenant-gone": gone}, TENANTS)  # none is there: the settings are wrong
    code, _, err = desk.call("plan")
    assert code == 2
    assert "there is no SQLite database at" in err
