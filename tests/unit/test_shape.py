"""Promises of the architecture that a linter cannot check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "retentiond"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

MAX_LINES = 400

# Who may build or issue a statement that changes rows. The compiler only builds them; state and demo change their own
# databases. That just one function of the engine commits them is what the engine's own tests show.
MAY_CHANGE_ROWS = ("engine", "compiler", "state", "demo")
CHANGING_NAMES = {"delete", "update", "insert", "DropTable", "DropConstraint", "DropIndex"}
CHANGING_SQL = re.compile(
    r"\b(DELETE\s+FROM|UPDATE\s+[\w.\"`{}]+\s+SET|TRUNCATE\s+(TABLE\s+)?[\w\"`{}]|DROP\s+(TABLE|INDEX|SCHEMA|DATABASE)\b"
    r"|INSERT\s+INTO|REPLACE\s+INTO|MERGE\s+INTO)"
)

# Who is told what time it is, instead of asking. Waiting and measuring (monotonic, sleep) are no matter of dates.
TOLD_THE_TIME = ("state", "compiler", "catalog", "policy")
CLOCKS = {"now", "utcnow", "today", "time_ns", "localtime", "gmtime"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


def changing(tree: ast.Module) -> Iterator[str]:
    """Places in a module that build a statement which changes rows, or spell one out."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            for alias in node.names:
                if alias.name in CHANGING_NAMES:
                    yield f"line {node.lineno}: imports {alias.name} from {node.module}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            on_sqlalchemy = owner in ("sa", "sqlalchemy") and node.func.attr in CHANGING_NAMES
            on_schema = node.func.attr in ("drop_all", "create_all")
            on_table = node.func.attr in ("delete", "update", "insert", "drop") and owner.endswith("table")
            if on_sqlalchemy or on_schema or on_table:
                yield f"line {node.lineno}: {owner}.{node.func.attr}()"
        elif isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docstrings:
            found = CHANGING_SQL.search(spelled(node))
            if found:
                yield f"line {node.lineno}: {found.group(0)!r}"


def spelled(node: ast.Constant | ast.JoinedStr) -> str:
    """The text of a literal; what an f-string fills in is an x."""
    if isinstance(node, ast.JoinedStr):
        return "".join(spelled(part) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return node.value if isinstance(node.value, str) else ""


def clocks(tree: ast.Module) -> Iterator[str]:
    """Calls in a module that read the clock of the machine."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value).rsplit(".", 1)[-1]
        reads = node.func.attr in CLOCKS and owner in ("datetime", "date", "time")
        if reads or (owner, node.func.attr) == ("time", "time"):
            yield f"line {node.lineno}: {owner}.{node.func.attr}()"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_stays_readable(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name(path)} has {lines} lines; find the second thing it does"


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) not in MAY_CHANGE_ROWS], ids=name)
def test_only_the_engine_changes_a_source(path: Path) -> None:
    assert not list(changing(parse(path)))


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) in TOLD_THE_TIME], ids=name)
def test_now_is_an_argument(path: Path) -> None:
    assert not list(clocks(parse(path)))


@pytest.mark.parametrize(
    "code",
    [
        "from sqlalchemy import delete",
        "from sqlalchemy.dialects.mysql import insert",
        "import sqlalchemy as sa\nsa.update(t)",
        "metadata.drop_all(engine)",
        "customers_table.delete()",
        'connection.execute(text("DELETE FROM customers"))',
        'sql = f"UPDATE {table} SET name = NULL"',
        'sql = "TRUNCATE TABLE customers"',
        'sql = ["DROP TABLE customers"]',
    ],
)
def test_the_scan_sees_what_changes_rows(code: str) -> None:
    assert list(changing(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "known.update(more)",
        "del rows[0]",
        'def f():\n    """DELETE FROM customers, explained."""',
        'said = "this deletes rows from the table"',
        "from sqlalchemy import select",
    ],
)
def test_the_scan_leaves_the_rest_alone(code: str) -> None:
    assert not list(changing(ast.parse(code)))


@pytest.mark.parametrize("code", ["datetime.now(UTC)", "datetime.datetime.utcnow()", "date.today()", "time.time()"])
def test_the_scan_sees_a_clock(code: str) -> None:
    assert list(clocks(ast.parse(code)))


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not [name(path) for path in MODULES if drawers & {path.stem, *path.relative_to(PACKAGE).parts}]
