"""The rights that a plan asks for are what a run needs: with them it does its work, and without any one it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from retentiond.catalog.connections import open_engine
from retentiond.catalog.fingerprint import fingerprint
from retentiond.catalog.model import Catalog, Dialect
from retentiond.catalog.reflection import reflect
from retentiond.catalog.rights import Right, grant_statements
from retentiond.engine.report import JobReport
from retentiond.engine.rights import inspection_rights, rights_of
from retentiond.errors import RetentiondError
from tests.database.rights_worlds import ROWS, TABLES, WORLDS, World
from tests.database.stage import Stage
from tests.database.test_roles import SERVERS, administrator, fast, session, user

NewDatabase = Callable[[str], str]
NAMES = ("customers", "contracts", "documents", "letters", "readings", "folders", "notes")
DIALECTS: dict[str, Dialect] = {"postgresql": "postgresql", "mariadb": "mariadb"}


@contextmanager
def set_up(engine: str, world: World, new_database: NewDatabase, folder: Path) -> Iterator[Stage]:
    with Stage(folder, {name: new_database(engine) for name in world.sources}, world.policy, chunk_rows=100) as stage:
        for source in world.sources:
            stage.administer(*TABLES, *ROWS, source=source)
        yield stage


def content(stage: Stage) -> list[object]:
    return [stage.rows(f"SELECT * FROM {table} ORDER BY 1, 2", source) for source in stage.urls for table in NAMES]


def one_by_one(rights: Mapping[str, tuple[Right, ...]]) -> Iterator[tuple[str, Right]]:
    """Every single right, of rights on columns one column at a time."""
    for source, found in rights.items():
        for right in found:
            for column in right.columns or ("",):
                yield source, Right(right.kind, right.name, right.privilege, (column,) if column else ())


def attempt(working: Stage, *, apply: bool) -> list[JobReport] | str:
    """A run; the error where it did not come to one."""
    try:
        return working.run(apply=apply)
    except RetentiondError as error:
        return str(error)


def is_refused(found: list[JobReport] | str) -> bool:
    return isinstance(found, str) or all(report.failed is not None and report.done == 0 for report in found)


@pytest.mark.parametrize("engine", SERVERS)
@pytest.mark.parametrize("name", WORLDS)
def test_these_rights_are_enough_and_none_is_too_much(
    engine: str, name: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    world, dialect = WORLDS[name], DIALECTS[engine]
    with set_up(engine, world, new_database, tmp_path) as stage, ExitStack() as open_roles:
        (job,) = stage.jobs
        rights = rights_of(job)
        (wanted,) = stage.run(apply=False)
        assert wanted.due == world.due
        urls, names, acts = {}, {}, {}
        for source, found in rights.items():
            acts[source] = open_roles.enter_context(administrator(stage.urls[source]))
            urls[source], bare = open_roles.enter_context(user(stage.urls[source]))
            names[source] = bare if engine == "postgresql" else f"'{bare}'@'%'"
            if engine == "postgresql":
                acts[source]("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            seen = inspection_rights(dialect, NAMES, recorded=False)
            for statement in grant_statements(dialect, [*found, *seen], names[source]):
                acts[source](statement)
        before = content(stage)
        working = open_roles.enter_context(
            Stage(tmp_path, dict(stage.urls), stage.policy, chunk_rows=100, working_urls=urls)
        )
        assert working.jobs  # the schema as it is seen with all rights
        for source, right in one_by_one(rights):
            (grant,) = grant_statements(dialect, [right], names[source])
            acts[source](grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
            assert is_refused(attempt(working, apply=True)), right
            assert content(stage) == before, right
            acts[source](grant)
        for apply in (False, True):
            found_reports = attempt(working, apply=apply)
            assert not isinstance(found_reports, str), found_reports
            (report,) = found_reports
            assert (report.failed, report.due) == (None, world.due)
            assert report.cascade == wanted.cascade
        assert report.done == world.due
        assert content(stage) != before


@pytest.mark.mariadb
def test_who_may_inspect_sees_what_the_administrator_sees(new_database: NewDatabase, tmp_path: Path) -> None:
    base, other = new_database("mariadb"), new_database("mariadb")
    database = sa.make_url(base).database
    with administrator(base) as act, administrator(other) as act_elsewhere:
        act("CREATE TABLE log (id INTEGER PRIMARY KEY, email VARCHAR(80))")
        act(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, email VARCHAR(80) UNIQUE, kind VARCHAR(9) CHECK (kind <> 'z'),"
            " at TIMESTAMP NULL, KEY (kind), CHECK (id > 0))"
        )
        act("CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER, FOREIGN KEY (t_id) REFERENCES t (id))")
        act("CREATE TRIGGER gone AFTER DELETE ON t FOR EACH ROW INSERT INTO log VALUES (OLD.id, OLD.email)")
        act_elsewhere(
            "CREATE TABLE far (id INTEGER PRIMARY KEY, t_id INTEGER,"
            f" FOREIGN KEY (t_id) REFERENCES {database}.t (id) ON DELETE CASCADE)"
        )
        seen = inspection_rights("mariadb", ["t"], recorded=False)
        with user(base) as (url, name):
            for statement in grant_statements("mariadb", [*seen, Right("table", "t", "DELETE")], f"'{name}'@'%'"):
                act(statement)
            whole, least = catalog(fast(base)), catalog(url)
            assert least.complete
            mine, theirs = (replace(one.tables["t"], estimated_rows=0, checks=()) for one in (least, whole))
            assert mine == theirs
            texts = [sorted(check.text for check in one.tables["t"].checks) for one in (least, whole)]
            assert texts[0] == texts[1] != []  # their names the server tells differently
            assert {key.table for key in least.incoming["t"]} == {"child", f"{sa.make_url(other).database}.far"}
            assert fingerprint(least, ["t"]) == fingerprint(whole, ["t"])
            with session(url) as (connection, _), pytest.raises(sa.exc.DBAPIError):
                connection.exec_driver_sql("SELECT count(*) FROM t")
            for missing in seen:
                (grant,) = grant_statements("mariadb", [missing], f"'{name}'@'%'")
                act(grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
                blind = catalog(url)
                hidden = not blind.complete or not blind.tables["t"].triggers_known or not blind.tables["t"].columns
                assert hidden, missing
                act(grant)
        act_elsewhere("DROP TABLE far")


def catalog(url: str) -> Catalog:
    return reflect(open_engine(url, read_only=True, statement_seconds=None, lock_seconds=5), "crm")
