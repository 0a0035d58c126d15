"""The demo's folder as a person finds it, and the rules counted by an oracle that knows nothing of retentiond."""

import sqlite3
import stat
import tomllib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from retentiond.catalog.reflection import reflect
from retentiond.compiler.compile import compile_plan
from retentiond.demo.build import COMPANIES, DemoLayout, build_demo
from retentiond.errors import RefusedError
from retentiond.policy.loader import load_policies
from tests import demo_oracle

NOW = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
# The last minutes of a year, a quarter, a leap day and a summer, as clocks in Paris show them.
EDGES = [
    datetime(2026, 12, 31, 22, 58, tzinfo=UTC),
    datetime(2027, 1, 1, 0, 3, tzinfo=UTC),
    datetime(2028, 2, 29, 22, 57, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2027, 3, 31, 18, 31, tzinfo=UTC),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoLayout:
    return build_demo(tmp_path_factory.mktemp("demo") / "made", 2000, NOW)


def paths(layout: DemoLayout) -> dict[str, Path]:
    return {name: source.path for name, source in layout.sources.items()}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("rows", [300, 3000])
def test_foreign_keys_hold_and_the_size_is_about_right(tmp_path: Path, rows: int) -> None:
    layout = build_demo(tmp_path / "demo", rows, NOW)
    per_company = dict.fromkeys(COMPANIES, 0)
    for path in paths(layout).values():
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            for table in tables:
                count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                assert count > 0, f"{path.name}: {table} is empty"
                per_company[path.parent.name] += count
    assert all(rows * 0.8 <= count <= rows * 1.25 for count in per_company.values()), per_company


def test_each_database_is_where_its_source_says_and_there_is_no_other(demo: DemoLayout) -> None:
    for name, path in paths(demo).items():
        assert path == demo.directory / path.parent.name / path.name
        assert name == f"{path.parent.name}-{path.stem}"
    assert set(demo.directory.rglob("*.db")) == set(paths(demo).values())
    with closing(sqlite3.connect(demo.directory / "sparkcentral" / "crm.db")) as connection:
        assert connection.execute("SELECT count(id) FROM customers").fetchone()[0] > 30


def test_the_settings_name_every_source_by_an_absolute_path(demo: DemoLayout) -> None:
    settings = tomllib.loads(demo.settings.read_text())
    assert set(settings["sources"]) == set(demo.sources)
    for name, source in demo.sources.items():
        assert settings["sources"][name]["url"] == f"sqlite:///{source.path}"
    assert settings["state"]["url"] == f"sqlite:///{demo.directory / 'state.db'}"
    assert {path.name for path in Path(settings["policies"]).glob("*.yaml")} == {f"{name}.yaml" for name in COMPANIES}
    assert {path.name for path in (demo.policies / "tests").glob("*.yaml")} == {f"{name}.yaml" for name in COMPANIES}


def test_only_the_owner_can_read_it(demo: DemoLayout) -> None:
    for path in [demo.directory, *demo.directory.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_building_again_replaces_it_row_for_row(tmp_path: Path) -> None:
    first = build_demo(tmp_path / "demo", 300, NOW)
    before = {name: dump(path) for name, path in paths(first).items()}
    for name in ("state.db", "state.db-wal"):
        (first.directory / name).touch()
    (first.directory / "keys").mkdir()
    (first.directory / "state.db.locks").mkdir()
    second = build_demo(tmp_path / "demo", 300, NOW)
    assert {name: dump(path) for name, path in paths(second).items()} == before
    assert not (second.directory / "state.db").exists()


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    with pytest.raises(RefusedError, match="no demo made"):
        build_demo(tmp_path, 300, NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("name", ["letter.txt", "policies/mine.yaml", "blooom/letter.txt", "policies/tests/mine.yaml"])
def test_a_demo_in_which_somebody_put_a_file_is_left_alone(tmp_path: Path, name: str) -> None:
    layout = build_demo(tmp_path / "demo", 300, NOW)
    (layout.directory / name).write_text("keep me")
    with pytest.raises(RefusedError, match="no demo made"):
        build_demo(tmp_path / "demo", 300, NOW)
    assert (layout.directory / name).read_text() == "keep me"
    assert layout.settings.is_file()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("keep me")
    with pytest.raises(RefusedError, match="no folder"):
        build_demo(tmp_path / "demo", 300, NOW)


def test_every_rule_finds_rows_that_are_due(demo: DemoLayout) -> None:
    counts = demo_oracle.expected(paths(demo), NOW)
    assert [name for name, found in counts.items() if not found["due"]] == []


def test_every_reason_to_stay_occurs(demo: DemoLayout) -> None:
    counts = demo_oracle.expected(paths(demo), NOW)
    contract = counts["sparkcentral/contract-data"]
    assert all(contract[state] for state in ("due", "floored", "suspect", "not_started", "not_yet"))
    assert counts["sparkcentral/complaint-data"]["held"]
    assert counts["blooom/relationship"]["held"]
    assert counts["blue-messaggio/tickets"]["held"]


@pytest.mark.parametrize("now", [NOW, *EDGES], ids=str)
def test_nothing_falls_due_within_ten_minutes(tmp_path: Path, now: datetime) -> None:
    sources = paths(build_demo(tmp_path / "demo", 1500, now))
    for name, rule in demo_oracle.rules().items():
        near = [end for end in demo_oracle.instants(rule, sources, now) if abs(end - now) < timedelta(hours=12)]
        assert near == [], name


@pytest.mark.parametrize("now", [NOW, *EDGES], ids=str)
def test_no_value_looks_like_now_in_any_time_zone(tmp_path: Path, now: datetime) -> None:
    day = timedelta(hours=15)
    for path in paths(build_demo(tmp_path / "demo", 1500, now)).values():
        with closing(sqlite3.connect(path)) as connection:
            columns = connection.execute(
                "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c "
                "WHERE t.type = 'table' AND c.type IN ('DATETIME', 'DATE')"
            ).fetchall()
            for table, column in columns:
                kept = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"
                for (value,) in connection.execute(kept):
                    assert abs(datetime.fromisoformat(value).replace(tzinfo=UTC) - now) > day, (table, column)


def test_the_policies_compile_on_the_databases_that_go_with_them(demo: DemoLayout) -> None:
    policies = load_policies([demo.policies])
    engines = {name: sa.create_engine(f"sqlite:///{path}") for name, path in paths(demo).items()}
    plan = compile_plan(policies, {name: reflect(engine, name) for name, engine in engines.items()}).plan
    for engine in engines.values():
        engine.dispose()
    jobs = {f"{job.policy}/{job.rule}" for job in plan.ready}
    assert jobs == {name.split("@")[0] for name in demo_oracle.rules()}
    contract = next(job for job in plan.ready if job.policy == "sparkcentral" and job.step.relation.name == "customers")
    assert contract.step.verb == "delete"
