"""`doctor`: each thing that is wrong is found, what it advises puts it right, and nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from retentiond.engine.doctor import diagnose
from retentiond.engine.finding import Finding
from retentiond.settings import load_settings
from retentiond.state.store import Store, open_store
from tests.database.test_prepare import POLICY, Site, ids, make_site, site
from tests.database.test_roles import SERVERS, administrator, fast, user

NewDatabase = Callable[[str], str]
__all__ = ["site"]  # the fixture of test_prepare


def now() -> datetime:
    return datetime.now(UTC)


def found(site: Site, clock: Callable[[], datetime] = now, **environment: str) -> list[Finding]:
    return list(diagnose(load_settings(site.settings, environment), environment, clock).findings)


def of(findings: list[Finding], *codes: str, where: str = "") -> list[Finding]:
    return [one for one in findings if one.code in codes and (not where or one.where == where)]


def errors(findings: list[Finding]) -> list[str]:
    return [one.code for one in findings if one.severity == "error"]


def prepared(site: Site) -> Site:
    done = site("prepare", "crm", "--admin-url-file", site.admin_file())
    assert done.code == 0, done.err
    site.paste(done.out)
    return site


def test_what_is_missing_is_told_and_what_is_advised_heals_it(site: Site) -> None:
    before = site("doctor")
    assert before.code in (1, 2, 3)  # a role without rights comes to its database on PostgreSQL alone
    if site.url.startswith("postgresql"):
        assert before.code == 3
        assert {"prepare", "missing-right"} <= set(errors(found(site)))
        assert "GRANT SELECT (" in before.out
    prepared(site)
    after = site("doctor")
    assert after.code == 0, after.out
    assert "the least grants" not in after.out, after.out
    assert "the least grants" in site("doctor", "--grants").out
    findings = found(site)
    assert errors(findings) == []
    assert [one.severity for one in of(findings, "rights", "fence", "reachable", "role", where="source crm")] == [
        "ok"
    ] * 4


def test_a_right_that_is_taken_away_is_missing_and_the_grant_gives_it_back(site: Site) -> None:
    prepared(site)
    role = f"'{site.role}'@'%'" if site.url.startswith("mysql") else site.role
    with administrator(site.admin_url) as act:
        for right in ("DELETE ON contracts", "SELECT (closed_at) ON customers"):
            act(f"REVOKE {right} FROM {role}")
            if site.url.startswith("mysql") and "SELECT" in right:
                continue  # REFERENCES shows the column all the same
        missing = of(found(site), "missing-right")
        assert [one.severity for one in missing] == ["error", "error"]
        assert all(one.remedy.startswith("GRANT ") for one in missing)
        for one in missing:
            act(one.remedy)
        assert of(found(site), "missing-right") == []


def test_rights_beyond_the_least_are_listed_and_the_advice_takes_them_back(site: Site) -> None:
    prepared(site)
    mariadb = site.url.startswith("mysql")
    role = f"'{site.role}'@'%'" if mariadb else site.role
    fence = "retentiond_fence" if mariadb else "retentiond.retentiond_fence"
    with administrator(site.admin_url) as act:
        act("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        act(f"GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO {role}")
        act(f"GRANT SELECT (secret) ON contracts TO {role}")
        act(f"GRANT SELECT ON other TO {role}")
        act(f"GRANT DELETE ON {fence} TO {role}")
        extra = of(found(site), "superfluous-right")
        text = " ".join(one.message for one in extra)
        assert "INSERT" in text
        assert "SELECT (secret)" in text
        assert "other" in text
        assert fence in text
        assert {one.severity for one in extra} == {"warning"}
        for one in extra:
            for statement in one.remedy.split("; "):
                act(statement)
        assert of(found(site), "superfluous-right", "missing-right", "prepare") == []
    ran = site("run", "--yes", "--format", "json")
    assert ran.code == 0, ran.out + ran.err
    assert ran.document["jobs"][0]["done"] == 1


@pytest.mark.postgresql
def test_power_and_ownership_are_errors_until_accepted_and_listed_then(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database("postgresql")
    with user(url, attributes="SUPERUSER") as (own, name), administrator(url) as act:
        site = make_site(tmp_path, url, own, name)
        act(f"ALTER TABLE customers OWNER TO {name}")
        assert {"superuser", "owner"} <= set(errors(found(site)))
        text = site.settings.read_text()
        site.settings.write_text(f'{text}accept = ["superuser"]\n')
        findings = found(site)
        assert not {"superuser", "owner"} & set(errors(findings))
        assert [one.severity for one in of(findings, "superuser", "owner")] == ["warning", "warning"]
        assert " SUPERUSER; " in of(findings, "superfluous-right")[0].message


@pytest.mark.mariadb
def test_a_blind_role_is_an_error_until_somebody_shows_it_or_accepts(new_database: NewDatabase, tmp_path: Path) -> None:
    url = fast(new_database("mariadb"))
    with user(url) as (own, name), administrator(url) as act:
        site = make_site(tmp_path, url, own, name)
        printed = site("prepare", "crm", "--print", "--admin-url-file", site.admin_file())
        site.paste(
            "\n".join(line for line in printed.out.splitlines() if "PROCESS" not in line and "TRIGGER" not in line)
        )
        for table in ("customers", "contracts"):
            act(f"GRANT REFERENCES ON {table} TO '{name}'@'%'")
        blind = found(site)
        assert "blind-role" in errors(blind)
        assert of(blind, "hidden-triggers") != []
        text = site.settings.read_text()
        site.settings.write_text(f'{text}accept = ["blind-role"]\n')
        assert "blind-role" not in errors(found(site))
        site.settings.write_text(text)
        assert site("prepare", "crm", "--admin-url-file", site.admin_file()).code == 0
        findings = found(site)
        assert errors(findings) == []
        assert [one.severity for one in of(findings, "manifest")] == ["info"]
        later = found(site, lambda: now() + timedelta(days=40))
        assert [one.severity for one in of(later, "manifest")] == ["warning"]


def test_one_source_that_is_down_hides_nothing_of_the_others(site: Site) -> None:
    prepared(site)
    text = site.settings.read_text()
    kind = "mysql+pymysql" if site.url.startswith("mysql") else "postgresql+psycopg"
    site.settings.write_text(f'{text}[sources.gone]\nurl = "{kind}://x@127.0.0.1:9/x"\n')
    findings = found(site)
    (down,) = [one for one in findings if one.where == "source gone"]
    assert down.severity == "error"
    assert [one.severity for one in of(findings, "rights", where="source crm")] == ["ok"]
    assert site("doctor").code == 1


def test_a_policy_that_is_wrong_hides_nothing_of_the_sources(site: Site) -> None:
    prepared(site)
    policy = site.folder / "policies" / "shop.yaml"
    policy.write_text(POLICY.replace("closed_at", "closed_on"))
    findings = found(site)
    assert "unknown-column" in errors(findings)
    assert of(findings, "reachable", where="source crm") != []
    assert site("doctor").code == 2
    policy.write_text("version: 1\n")
    assert errors(found(site)) != []


def test_the_clocks_are_compared(site: Site) -> None:
    prepared(site)

    def shifted(seconds: int) -> Callable[[], datetime]:
        return lambda: now() + timedelta(seconds=seconds)

    for ahead, severity in ((0, "ok"), (10, "warning"), (-10, "warning"), (120, "error"), (-120, "error")):
        findings = found(site, shifted(ahead))
        assert [one.severity for one in of(findings, "clock", where="source crm")] == [severity], ahead


def test_another_database_behind_the_url_is_told(site: Site, new_database: NewDatabase) -> None:
    prepared(site)
    assert site("run", "--yes").code == 0
    assert [one.severity for one in of(found(site), "identity")] == ["ok"]
    site.settings.write_text(site.settings.read_text().replace("127.0.0.1", "localhost"))
    assert "identity" in errors(found(site))


@pytest.fixture
def shop(new_database: NewDatabase, tmp_path: Path) -> Site:
    url = new_database("sqlite")
    return make_site(tmp_path, url, url, "")


def test_it_writes_nothing(shop: Site) -> None:
    before = sorted(shop.folder.rglob("*"))
    assert shop("doctor").code == 0
    assert sorted(shop.folder.rglob("*")) == before


def test_settings_that_cannot_be_read_are_the_only_finding(shop: Site) -> None:
    shop.settings.write_text("nonsense = [\n")
    done = shop("doctor", "--format", "json")
    assert done.code == 2
    assert [one["where"] for one in done.document["findings"]] == ["settings"]


def test_a_document_has_the_same_fields_for_each_finding(shop: Site) -> None:
    document = shop("doctor", "--format", "json").document
    assert document["grants"] == {}
    for one in document["findings"]:
        assert list(one) == ["severity", "code", "where", "message", "remedy"]
        assert one["severity"] in ("ok", "info", "warning", "error")
    assert "all is well" not in json.dumps(document)


def test_files_that_others_may_reach(shop: Site) -> None:
    policy = shop.folder / "policies" / "shop.yaml"
    policy.chmod(0o622)
    assert errors(found(shop)) == ["policy-file-mode"]
    policy.chmod(0o600)
    assert shop("run", "--yes").code == 0
    state = shop.folder / "state"
    (state / "keys" / "ledger.key").chmod(0o640)
    (state / "state.db").chmod(0o640)
    findings = found(shop)
    assert errors(findings) == ["key-readable"]
    assert [one.severity for one in of(findings, "state-readable")] == ["warning"]
    (state / "keys" / "ledger.key").unlink()
    assert errors(found(shop)) == ["missing-key"]


def test_secrets_in_the_wrong_places(site: Site) -> None:
    secret = "tiger-8842"
    url = sa.make_url(site.url).set(password=secret).render_as_string(hide_password=False)
    site.settings.write_text(site.settings.read_text().replace(site.url, url))
    site.settings.chmod(0o644)
    findings = found(site)
    assert [one.severity for one in of(findings, "secret-in-url")] == ["warning"]
    assert "secret-readable" in errors(findings)
    named = found(site, RETENTIOND_SOURCES__CRM__URL=url, PGPASSWORD=secret)
    assert len(of(named, "secret-in-environment")) == 2
    file = site.folder / "password"
    file.write_text(secret)
    file.chmod(0o640)
    more = '\n[sources.other]\nurl = "sqlite:///other.db"\n[sources.third]\nurl = "postgresql://me@127.0.0.1:9/x"\n'
    site.settings.write_text(site.settings.read_text() + f'{more}password_file = "{file}"\n')
    findings = found(site)
    assert "secret-readable" in errors(findings)
    done = site("doctor", "-vv", "--format", "json", RETENTIOND_SOURCES__CRM__URL=url)
    assert done.code != 0
    assert secret not in done.out + done.err + "".join(map(str, findings + named))


def writable(shop: Site) -> Store:
    settings = load_settings(shop.settings, {})
    return open_store(settings.state.connection_url(), create=True, keys=settings.ledger.keys)


def test_what_the_state_store_remembers(shop: Site) -> None:
    assert [one.severity for one in of(found(shop), "state", "approval")] == ["info", "info"]
    assert shop("run", "--yes").code == 0
    findings = found(shop)
    assert of(findings, "approval") == []
    assert [one.severity for one in of(findings, "keys", "ledger", "state")] == ["ok", "ok", "ok"]
    assert [one.severity for one in of(findings, "checkpoint-copy")] == ["warning"]  # beside the state store
    assert shop("stop").code == 0
    on = ("--policy", "shop", "--subject", "customer", "--id-file", ids(shop, "12"), "--kind", "proceedings")
    held = shop("hold", "add", *on, "--matter", "m", "--review", str(now().date() + timedelta(days=1)))
    assert held.code == 0, held.err
    assert [one.severity for one in of(found(shop), "stop")] == ["warning"]
    assert of(found(shop), "hold-review") == []
    (overdue,) = of(found(shop, lambda: now() + timedelta(days=3)), "hold-review")
    assert held.out.strip() in overdue.message


def test_a_state_store_that_is_none_is_told(shop: Site) -> None:
    (shop.folder / "state").mkdir(mode=0o700)
    (shop.folder / "state" / "state.db").write_text("no database " * 100)
    findings = found(shop)
    assert any(one.where == "state store" and one.severity == "error" for one in findings)
    assert of(findings, "reachable") != []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_takes_no_changes(shop: Site) -> None:
    Path(str(sa.make_url(shop.url).database)).chmod(0o400)
    assert "SQLITE_READONLY" in errors(found(shop))


@pytest.mark.mariadb
def test_what_a_rollback_cannot_bring_back_and_what_history_keeps(new_database: NewDatabase, tmp_path: Path) -> None:
    url = fast(new_database("mariadb"))
    site = make_site(tmp_path, url, url, "", 'accept = ["superuser"]\n')
    with administrator(url) as act:
        act("ALTER TABLE contracts DROP FOREIGN KEY contracts_ibfk_1")
        act("ALTER TABLE contracts ENGINE=MyISAM")
        act("ALTER TABLE customers ADD SYSTEM VERSIONING")
    findings = found(site)
    assert "engine" in errors(findings)
    assert [one.severity for one in of(findings, "history")] == ["warning"]


@pytest.mark.postgresql
def test_what_postgresql_alone_can_have(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("postgresql")
    with user(url) as (own, name), administrator(url) as act:
        site = prepared(make_site(tmp_path, url, own, name))
        quiet = found(site)
        assert [one.message.split()[0] for one in of(quiet, "durability")] == [
            "fsync",
            "full_page_writes",
            "synchronous_commit",
        ]
        assert of(quiet, "server-log", "publication", "row-security", "copies") == []
        act("CREATE TABLE log (id integer)")
        act("CREATE PUBLICATION copies FOR TABLE customers WITH (publish = 'insert, update')")
        act("ALTER TABLE contracts ENABLE ROW LEVEL SECURITY")
        act(f"ALTER ROLE {name} SET log_min_duration_statement = 0")
        act(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS"
            " $$ BEGIN INSERT INTO log VALUES (OLD.id); RETURN OLD; END $$"
        )
        act("CREATE TRIGGER keep AFTER UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION keep()")
        findings = found(site)
        assert "row-security" in errors(findings)
        assert [one.severity for one in of(findings, "publication")] == ["warning"]
        assert "deletions" in of(findings, "publication")[0].message
        assert [one.severity for one in of(findings, "server-log")] == ["warning"]
        assert "public.log" in of(findings, "copies")[0].message
        act(of(findings, "publication")[0].remedy)
        assert of(found(site), "publication") == []


@pytest.mark.parametrize("engine", SERVERS)
def test_a_server_that_is_far_away_must_prove_who_it_is(
    engine: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fast(new_database(engine))
    site = make_site(tmp_path, url, url, "", 'accept = ["superuser"]\n')
    assert of(found(site), "no-tls") == []
    monkeypatch.setattr("retentiond.engine.doctor_server.is_local", lambda url: False)
    (finding,) = of(found(site), "no-tls")
    assert (finding.severity, "not encrypted" in finding.message) == ("warning", True)
