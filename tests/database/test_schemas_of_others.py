"""Schemas as other people made them: sample databases and frameworks, rebuilt small, asked through the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from retentiond.cli import main
from tests.database.schemas import carry_out

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
            lines += [f"[sources.{name}]", f'url = "{url}"']
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
