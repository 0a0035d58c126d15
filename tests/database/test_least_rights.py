"""The least grants that a rule needs, written down here, and what is said where one of them is missing (B01)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from retentiond.engine.report import JobReport
from retentiond.errors import RetentiondError
from tests.database.stage import LONG_AGO, Stage, inserts

NewDatabase = Callable[[str], str]

HEAD = """
version: 1
name: shop
title: A shop
records: {RECORDS}
rules:
"""
CUSTOMER = "customer: {source: crm, table: customers%s}"
CONTRACT = "contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}}"
RECORDS = {
    "delete": "visit: {source: crm, table: visits, held: held}",
    "cascade": f"{CUSTOMER % ', cascade: [contract]'}, {CONTRACT}",
    "mask": f"{CUSTOMER % ', marker: done_at'}, {CONTRACT}",
}
RULES = {
    "delete": "{name: r, record: visit, clause: '1', where: kind = 'x', keep: 10 years after seen_at, then: delete}",
    "cascade": "{name: r, record: customer, clause: '1', keep: 10 years after last contract.ended_at, then: delete}",
    "mask": "{name: r, record: customer, clause: '1', keep: 10 years after last contract.ended_at,"
    " then: {pseudonymise: {name: {mask: {keep_last: 1}}, email: empty}}}",
}


def policy(rule: str) -> str:
    return HEAD.replace("RECORDS", RECORDS[rule]) + f"  - {RULES[rule]}\n"


# One right a line, as (rights, table). PostgreSQL asks for UPDATE on some column of a row that is locked.
POSTGRESQL = {
    "delete": ["SELECT (id, seen_at, kind, held) ON visits", "DELETE ON visits"],
    "cascade": [
        "SELECT (id) ON customers",
        "UPDATE (id) ON customers",
        "DELETE ON customers",
        "SELECT (id, customer_id, ended_at) ON contracts",
        "UPDATE (id) ON contracts",
        "DELETE ON contracts",
    ],
    "mask": [
        "SELECT (id, name, email, done_at) ON customers",
        "UPDATE (name, email, done_at) ON customers",
        "SELECT (customer_id, ended_at) ON contracts",
        "UPDATE (customer_id) ON contracts",
    ],
}
# MariaDB locks rows for whoever may read them. Without PROCESS it hides foreign keys that point at a table, and a guard
# says no.
SEES = "PROCESS ON *.*"
MARIADB = {
    "delete": [SEES, "SELECT (id, seen_at, kind, held) ON visits", "DELETE ON visits"],
    "cascade": [
        SEES,
        "SELECT (id) ON customers",
        "DELETE ON customers",
        "SELECT (id, customer_id, ended_at) ON contracts",
        "DELETE ON contracts",
    ],
    "mask": [
        SEES,
        "SELECT (id, name, email, done_at) ON customers",
        "UPDATE (name, email, done_at) ON customers",
        "SELECT (customer_id, ended_at) ON contracts",
    ],
}


@contextmanager
def role(url: str, grants: Sequence[str]) -> Iterator[str]:
    """A URL of a fresh user who has these rights and no others."""
    name = f"least_{uuid.uuid4().hex[:12]}"
    mariadb = url.startswith("mysql")
    user = f"'{name}'@'%'" if mariadb else name
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as administrator:
        create = f"CREATE USER {user}" if mariadb else f"CREATE ROLE {user} LOGIN"
        for statement in (create, *(f"GRANT {grant} TO {user}" for grant in grants)):
            administrator.exec_driver_sql(statement, execution_options={"no_parameters": True})
        try:
            yield sa.make_url(url).set(username=name).render_as_string(hide_password=False)
        finally:
            if not mariadb:
                administrator.exec_driver_sql(f"DROP OWNED BY {user}")
            administrator.exec_driver_sql(f"DROP USER {user}", execution_options={"no_parameters": True})


def fill(stage: Stage) -> None:
    stage.administer(
        """CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(80), email VARCHAR(80), secret VARCHAR(80),
             done_at TIMESTAMP NULL)""",
        """CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id),
             ended_at TIMESTAMP NULL, secret VARCHAR(80))""",
        """CREATE TABLE visits (id INTEGER PRIMARY KEY, seen_at TIMESTAMP NULL, kind VARCHAR(9), held SMALLINT NOT NULL,
             secret VARCHAR(80))""",
        *inserts("customers", [{"id": 1, "name": "Ann Other", "email": "a@example.org"}]),
        *inserts("contracts", [{"id": 1, "customer_id": 1, "ended_at": LONG_AGO}]),
        *inserts("visits", [{"id": 1, "seen_at": LONG_AGO, "kind": "x", "held": 0}]),
    )


def attempt(url: str, folder: Path, rule: str, grants: Sequence[str]) -> JobReport | str:
    """The run of a role with these rights; the error where it did not come to one."""
    with role(url, grants) as working:
        stage = Stage(folder, {"crm": url}, policy(rule), working_urls={"crm": working})
        with stage:
            try:
                (report,) = stage.run()
            except RetentiondError as error:
                return str(error)
            return report


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
)
@pytest.mark.parametrize("rule", RULES)
def test_these_rights_are_enough_and_none_is_too_much(
    engine: str, rule: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database(engine)
    with Stage(tmp_path, {"crm": url}, "") as stage:
        fill(stage)
        tables = ("customers", "contracts", "visits")
        before = [stage.rows(f"SELECT * FROM {table}") for table in tables]
        grants = (POSTGRESQL if engine == "postgresql" else MARIADB)[rule]
        for missing in grants:
            found = attempt(url, tmp_path, rule, [grant for grant in grants if grant != missing])
            assert [stage.rows(f"SELECT * FROM {table}") for table in tables] == before, missing
            if missing == SEES:
                assert isinstance(found, JobReport)
                assert (found.guard, found.done) == ("blind-role", 0)
                continue
            if isinstance(found, str):  # MariaDB hides the columns themselves
                assert missing.startswith("SELECT")
                assert re.search(f"crm.{missing.split(' ON ')[1]} has no|has no table", found), found
                continue
            assert found.failed is not None, missing
            assert found.failed.code in ("42501", "1142", "1143"), (missing, found.failed)
            assert missing.split(" ON ")[1] in found.failed.message, (missing, found.failed)
        found = attempt(url, tmp_path, rule, grants)
        assert isinstance(found, JobReport), found
        assert (found.failed, found.done) == (None, 1)
