"""`prepare`, as an administrator meets it: from a source that nobody has touched to a run with the least rights."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from retentiond.catalog.connections import open_engine
from retentiond.catalog.manifest import hides_triggers, manifest_of, read_manifest, with_manifest
from retentiond.catalog.reflection import reflect
from retentiond.cli import main
from retentiond.settings import load_settings
from retentiond.state.store import open_store
from tests.acceptance.commands import Done
from tests.database.rights_worlds import NEW, OLD
from tests.database.test_roles import SERVERS, administrator, fast, session, user

NewDatabase = Callable[[str], str]
POLICY = """\
version: 1
name: shop
title: A shop
records:
  customer: {source: crm, table: customers, subject: number, cascade: [contract]}
  contract: {source: crm, table: contracts, belongs_to: {customer: customer_id}}
rules:
  - {name: gone, record: customer, clause: '1', keep: 10 years after closed_at, then: delete}
"""
TABLES = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, number INTEGER, secret VARCHAR(80), closed_at TIMESTAMP NULL)",
    (
        "CREATE TABLE contracts (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL, secret VARCHAR(80),"
        " FOREIGN KEY (customer_id) REFERENCES customers (id))"
    ),
    f"INSERT INTO customers VALUES (1, 11, 's', {OLD}), (2, 12, 's', {NEW})",
    "INSERT INTO contracts VALUES (1, 1, 's'), (2, 2, 's')",
)


@dataclass
class Site:
    """A source `crm`, its administrator's URL, and the settings of a daemon whose role has no rights yet."""

    folder: Path
    admin_url: str
    url: str
    role: str

    def __call__(self, *arguments: str, **environment: str) -> Done:
        """A command, carried out in this process: starting one takes longer than most of what is asked here."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RETENTIOND_")}
        out, err, code = io.StringIO(), io.StringIO(), 0
        with patch.dict(os.environ, clean | environment, clear=True), redirect_stdout(out), redirect_stderr(err):
            try:
                main([arguments[0], "--config", str(self.settings), *arguments[1:]])
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        assert "Traceback" not in out.getvalue() + err.getvalue()
        return Done(code, out.getvalue(), err.getvalue())

    @property
    def settings(self) -> Path:
        return self.folder / "retentiond.toml"

    def admin_file(self, mode: int = 0o600) -> str:
        file = self.folder / "admin.url"
        file.write_text(self.admin_url + "\n")
        file.chmod(mode)
        return str(file)

    def paste(self, sql: str) -> None:
        """What an administrator does with what is printed."""
        with administrator(self.admin_url) as act:
            for statement in "\n".join(line for line in sql.splitlines() if not line.startswith("--")).split(";\n"):
                if statement.strip(" ;\n"):
                    act(statement.strip(" ;\n"))


def make_site(folder: Path, admin_url: str, url: str, role: str, more: str = "") -> Site:
    site = Site(folder, admin_url, url, role)
    (folder / "policies").mkdir(mode=0o700)
    (folder / "policies" / "shop.yaml").write_text(POLICY)
    (folder / "policies" / "shop.yaml").chmod(0o600)
    site.settings.write_text(f'[state]\nurl = "sqlite:///state/state.db"\n[sources.crm]\nurl = "{url}"\n{more}')
    site.settings.chmod(0o600)
    with administrator(admin_url) as act:
        for statement in TABLES:
            act(statement)
    return site


@pytest.fixture(params=SERVERS)
def site(request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path) -> Iterator[Site]:
    url = fast(new_database(request.param))
    with administrator(url) as act, user(url) as (own, name):
        if request.param == "postgresql":
            act("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        yield make_site(tmp_path, url, own, name)


def test_what_is_made_and_what_is_pasted_is_enough_for_a_run(site: Site) -> None:
    before = site("run", "--yes", "--format", "json")
    assert before.code != 0
    done = site("prepare", "crm", "--admin-url-file", site.admin_file())
    assert (done.code, done.err) == (0, "")
    site.paste(done.out)
    assert site("validate").code == 0, site("validate").err
    ran = site("run", "--yes", "--format", "json")
    assert ran.code == 0, ran.out + ran.err
    (job,) = ran.document["jobs"]
    assert (job["done"], job["cascade"], job["guard"]) == (1, {"crm.contracts": 1}, "ok")
    held = site("hold", "add", "--policy", "shop", "--subject", "customer", "--id-file", ids(site, "12"),
                "--kind", "proceedings", "--matter", "m", "--review", "2027-01-01")  # fmt: skip
    assert held.code == 0, held.err
    again = site("run", "--yes", "--format", "json")
    assert again.code == 0, again.out + again.err


def test_holds_are_asked_with_the_rights_that_were_granted_beforehand(site: Site) -> None:
    site.paste(site("prepare", "crm", "--admin-url-file", site.admin_file()).out)
    on = ("--policy", "shop", "--subject", "customer", "--id-file", ids(site, "11"), "--kind", "proceedings")
    assert site("hold", "add", *on, "--matter", "m", "--review", "2027-01-01").code == 0
    ran = site("run", "--yes", "--format", "json")
    assert ran.code == 0, ran.out + ran.err
    assert [(job["done"], job["held"]) for job in ran.document["jobs"]] == [(0, 1)]
    role = f"'{site.role}'@'%'" if site.url.startswith("mysql") else site.role
    with administrator(site.admin_url) as act:
        act(f"REVOKE SELECT (number) ON customers FROM {role}")
    blind = site("run", "--yes", "--format", "json")
    assert blind.code == 1
    (job,) = blind.document["jobs"]
    assert job["done"] == 0
    assert job["failed"]["code"] in ("42501", "1143")


def ids(site: Site, *lines: str) -> str:
    file = site.folder / "ids"
    file.write_text("".join(f"{line}\n" for line in lines))
    file.chmod(0o600)
    return str(file)


def test_what_is_printed_makes_the_fence_too(site: Site) -> None:
    printed = site("prepare", "crm", "--print", "--admin-url-file", site.admin_file())
    assert printed.code == 0, printed.err
    assert not (site.folder / "state").exists()
    with session(site.admin_url) as (connection, _):
        assert not {"retentiond", "retentiond_fence"} & {*inspect(connection)}
    site.paste(printed.out)
    site.paste(printed.out)  # a second time does no harm
    ran = site("run", "--yes", "--format", "json")
    assert ran.code == 0, ran.out + ran.err
    assert ran.document["jobs"][0]["done"] == 1
    assert "the fence is there" in site("prepare", "crm").out


def inspect(connection: sa.Connection) -> Iterator[str]:
    inspector = sa.inspect(connection)
    yield from inspector.get_table_names()
    yield from inspector.get_schema_names()


def test_it_may_be_called_again_and_says_the_same(site: Site) -> None:
    first = site("prepare", "crm", "--admin-url-file", site.admin_file())
    second = site("prepare", "crm", "--admin-url-file", site.admin_file())
    assert (first.code, second.code) == (0, 0)
    assert first.out == second.out


def test_validate_tells_at_its_rule_which_right_is_missing(site: Site) -> None:
    site.paste(site("prepare", "crm", "--admin-url-file", site.admin_file()).out)
    assert "missing-right" not in site("validate").err
    role = f"'{site.role}'@'%'" if site.url.startswith("mysql") else site.role
    with administrator(site.admin_url) as act:
        act(f"REVOKE DELETE ON contracts FROM {role}")
    told = site("validate")
    assert told.code == 0
    assert re.search(r"shop\.yaml:8:\d+: warning: missing-right: .* gone needs: DELETE on .*contracts", told.err), (
        told.err
    )


def test_without_rights_it_says_who_could(site: Site) -> None:
    done = site("prepare", "crm")
    assert done.code == 3
    assert "--admin-url-file" in done.err
    assert "--print" in done.err


def test_without_an_administrator_the_statements_of_the_fence_are_printed_all_the_same(site: Site) -> None:
    done = site("prepare", "crm", "--print")
    assert "CREATE TABLE IF NOT EXISTS" in done.out
    assert site.role in done.out
    mariadb = site.url.startswith("mysql")  # it hides the tables from who has no rights on them
    assert (done.code, "GRANT DELETE" in done.out or "DELETE ON" in done.out) == ((1, False) if mariadb else (0, True))


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_an_administrators_url_that_others_may_read_is_refused(site: Site, mode: int) -> None:
    done = site("prepare", "crm", "--admin-url-file", site.admin_file(mode))
    assert done.code == 2
    assert "may read it" in done.err


def test_an_administrator_of_another_database_is_refused(site: Site, new_database: NewDatabase) -> None:
    site.paste(site("prepare", "crm", "--admin-url-file", site.admin_file()).out)
    site.admin_url = fast(new_database("mariadb" if site.url.startswith("mysql") else "postgresql"))
    done = site("prepare", "crm", "--admin-url-file", site.admin_file())
    assert done.code == 3
    assert "another database" in done.err
    site.admin_url = "sqlite:////tmp/other.db"
    assert site("prepare", "crm", "--admin-url-file", site.admin_file()).code == 2


def test_no_password_is_ever_printed(site: Site) -> None:
    secret = "tiger-8842"
    site.admin_url = sa.make_url(site.admin_url).set(password=secret).render_as_string(hide_password=False)
    site.settings.write_text(
        site.settings.read_text().replace(
            site.url, sa.make_url(site.url).set(password=secret).render_as_string(hide_password=False)
        )
    )
    for arguments in (["--print"], [], ["--admin-url-file", site.admin_file()]):
        for form in ("text", "json"):
            done = site("prepare", "crm", "--format", form, "-vv", *arguments)
            assert secret not in done.out + done.err


def test_a_document_holds_the_same(site: Site) -> None:
    text = site("prepare", "crm", "--print", "--admin-url-file", site.admin_file()).out
    document = site("prepare", "crm", "--print", "--admin-url-file", site.admin_file(), "--format", "json").document
    assert (document["source"], document["fence"], document["problem"]) == ("crm", "to make", None)
    statements = [*document["fence_statements"], *(s for grant in document["grants"] for s in grant["statements"])]
    assert [line for line in text.splitlines() if line.endswith(";") and not line.startswith("USE")] == [
        f"{statement};" for statement in statements
    ]
    assert "shop/gone" in [grant["rule"] for grant in document["grants"]]


def test_a_source_that_is_probed_needs_no_fence(site: Site) -> None:
    site.settings.write_text(site.settings.read_text() + 'fence = "probe"\n')
    done = site("prepare", "crm", "--admin-url-file", site.admin_file())
    assert done.code == 0
    assert "no fence is needed" in done.out
    assert "retentiond_fence" not in done.out
    with session(site.admin_url) as (connection, _):
        assert not {"retentiond", "retentiond_fence"} & {*inspect(connection)}


def test_a_source_nobody_knows_is_an_error(site: Site) -> None:
    done = site("prepare", "crn")
    assert done.code == 2
    assert "`crm`" in done.err


def test_a_sqlite_source_gets_its_table_at_once(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("sqlite")
    site = make_site(tmp_path, url, url, "")
    printed = site("prepare", "crm", "--print")
    assert (printed.code, "CREATE TABLE IF NOT EXISTS retentiond_fence" in printed.out) == (0, True)
    with session(url) as (connection, _):
        assert "retentiond_fence" not in {*inspect(connection)}
    first, second = site("prepare", "crm"), site("prepare", "crm")
    assert (first.code, second.code) == (0, 0)
    assert "GRANT" not in first.out
    with session(url) as (connection, _):
        (row,) = connection.exec_driver_sql("SELECT job, batch FROM retentiond_fence").all()
    assert row[0] == "identity"
    assert re.fullmatch("[0-9a-f]{32}", row[1])


@pytest.mark.mariadb
def test_a_blind_role_sees_what_an_administrator_has_shown(new_database: NewDatabase, tmp_path: Path) -> None:
    url = fast(new_database("mariadb"))
    with administrator(url) as act, user(url) as (own, name):
        site = make_site(tmp_path, url, own, name)
        act("CREATE TRIGGER seen AFTER DELETE ON contracts FOR EACH ROW UPDATE customers SET secret = 'x'")
        done = site("prepare", "crm", "--admin-url-file", site.admin_file())
        assert "PROCESS" not in done.out
        assert "TRIGGER ON" not in done.out
        site.paste(done.out)
        engines = [open_engine(one, read_only=True, statement_seconds=None, lock_seconds=5) for one in (url, own)]
        whole, blind = (reflect(engine, "crm") for engine in engines)
        assert (whole.complete, blind.complete, hides_triggers(blind)) == (True, False, True)
        assert [trigger.touches for trigger in blind.tables["contracts"].triggers] == [None]
        settings = load_settings(site.settings, {})
        with open_store(settings.state.connection_url(), create=False) as store:
            recorded = store.manifests.of("crm")
            entries = [entry for entry in store.ledger.entries() if entry.get("event") == "inspected"]
        assert recorded is not None
        assert [entry["source"] for entry in entries] == ["crm"]
        manifest = read_manifest(json.loads(json.dumps(recorded.document)))
        assert manifest == manifest_of(whole)
        assert manifest is not None
        told = with_manifest(blind, manifest)
        assert (told.complete, hides_triggers(told)) == (True, False)
        assert told.tables["contracts"].triggers == whole.tables["contracts"].triggers
        assert {key.table for key in told.incoming["customers"]} == {"contracts"}

        act("CREATE TRIGGER later AFTER DELETE ON contracts FOR EACH ROW UPDATE customers SET secret = 'y'")
        triggers = with_manifest(reflect(engines[1], "crm"), manifest).tables["contracts"].triggers
        assert [(trigger.name, trigger.touches) for trigger in triggers] == [("seen", ("customers",)), ("later", None)]
        act("CREATE TABLE later (id INTEGER PRIMARY KEY)")
        act(f"GRANT SELECT ON later TO '{name}'@'%'")
        assert not with_manifest(reflect(engines[1], "crm"), manifest).complete
