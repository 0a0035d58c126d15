from __future__ import annotations

import ast
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from pymysql.err import IntegrityError as MySQLError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from retentiond import logs
from retentiond.errors import FailedError
from retentiond.logs import FIELDS, UnsafeEventError, configure_logs, describe_error, get_logger

CANARY = "canary-7f3a@example.org"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_each_line_is_json(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=stream, strict=True)
    when = datetime(2026, 11, 22, 1, tzinfo=UTC)
    get_logger("retentiond.engine").info("chunk committed", table="crm.customers", rows=500, as_of=when, dry_run=False)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "chunk committed",
        "level": "info",
        "logger": "retentiond.engine",
        "table": "crm.customers",
        "rows": 500,
        "as_of": "2026-11-22T01:00:00+00:00",
        "dry_run": False,
    }


def test_on_a_terminal_it_is_for_people(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "isatty", lambda: True)
    configure_logs("INFO", stream=stream)
    get_logger("x").info("chunk committed", rows=500)
    assert "chunk committed" in stream.getvalue()
    assert "500" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_level_holds(stream: io.StringIO) -> None:
    configure_logs("warning", stream=stream)
    get_logger("x").info("chunk committed")
    get_logger("x").warning("chunk committed")
    logging.getLogger("apscheduler").info("nothing")
    assert [line["level"] for line in lines(stream)] == ["warning"]


def test_an_unknown_field_is_an_error_in_tests(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=stream, strict=True)
    with pytest.raises(UnsafeEventError, match="email") as caught:
        get_logger("x").info("chunk committed", email=CANARY)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"email": CANARY},
        {"table": [CANARY]},
        {"rows": {"x": CANARY}},
        {"code": CANARY.encode()},
        {"rule": ValueError(CANARY)},
    ],
)
def test_an_unknown_field_is_dropped_by_name_in_service(stream: io.StringIO, fields: dict[str, object]) -> None:
    configure_logs("INFO", stream=stream)
    get_logger("x").info("chunk committed", **fields)
    assert CANARY not in stream.getvalue()
    assert lines(stream)[-1]["dropped"] == next(iter(fields))


@pytest.mark.parametrize("event", [f"deleted {CANARY}", "Row 42", "%s gone"])
def test_an_event_is_a_name_and_no_sentence_with_values(stream: io.StringIO, event: str) -> None:
    configure_logs("INFO", stream=stream)
    get_logger("x").info(event, CANARY)
    (line,) = lines(stream)
    assert line["event"] == "an event without a proper name"
    assert CANARY not in stream.getvalue()


def test_context_goes_through_the_same_list(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=stream)
    structlog.contextvars.bind_contextvars(run="r1", name=CANARY)
    get_logger("x").bind(policy="p", address=CANARY).info("chunk committed")
    (line,) = lines(stream)
    assert (line["run"], line["policy"], line["dropped"]) == ("r1", "p", "address, name")
    assert CANARY not in stream.getvalue()


def fail() -> None:
    local = CANARY
    try:
        raise IntegrityError(f"INSERT {local}", {"x": local}, MySQLError(1062, f"Duplicate entry '{local}'"))
    except IntegrityError as error:
        raise FailedError(f"it failed: {local}", code="constraint") from error


@pytest.mark.parametrize("for_people", [False, True])
@pytest.mark.parametrize("debug", [False, True])
def test_an_exception_leaves_its_type_and_code_only(stream: io.StringIO, debug: bool, for_people: bool) -> None:
    configure_logs("DEBUG", stream=stream, json=not for_people, debug=debug, strict=True)
    try:
        fail()
    except FailedError:
        get_logger("x").exception("run failed", run="r1")
        logging.getLogger("apscheduler").exception('Job "%s" raised an exception', "p/r@s")
    written = stream.getvalue()
    assert CANARY not in written
    assert written.count("retentiond.errors.FailedError") >= 2
    assert "sqlalchemy.exc.IntegrityError 1062" in written
    assert ("test_logs.py" in written) is debug
    assert ("raised at" in written) is debug
    if not for_people:
        ours, theirs = lines(stream)
        assert (ours["error"], ours["code"]) == ("retentiond.errors.FailedError", "constraint")
        assert theirs["event"] == 'Job "p/r@s" raised an exception'


def test_debug_is_asked_for_in_the_environment(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    for value, places in (("", False), ("1", True)):
        monkeypatch.setenv("RETENTIOND_DEBUG", value)
        configure_logs("INFO", stream=stream)
        try:
            fail()
        except FailedError:
            get_logger("x").exception("run failed")
        assert ("exception" in lines(stream)[-1]) is places


def test_codes_come_from_the_driver_and_never_from_a_key() -> None:
    assert describe_error(KeyError(CANARY)) == ("KeyError", "")
    assert describe_error(KeyError(4711)) == ("KeyError", "")
    assert describe_error(SystemExit(CANARY)) == ("SystemExit", "")
    assert describe_error(MySQLError(1062, CANARY)) == ("pymysql.err.IntegrityError", "1062")
    engine = create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(text("SELECT canary"))
    engine.dispose()
    assert describe_error(caught.value) == ("sqlalchemy.exc.OperationalError", "SQLITE_ERROR")


def test_echo_writes_nothing_anywhere(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("DEBUG", stream=stream)
    engine = create_engine("sqlite://", echo="debug")
    with engine.connect() as connection:
        connection.execute(text("SELECT :x"), {"x": CANARY}).all()
    engine.dispose()
    assert stream.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_a_library_may_say_what_but_not_about_whom(stream: io.StringIO) -> None:
    configure_logs("DEBUG", stream=stream)
    logging.getLogger("psycopg.pool").warning("gone: %s after %d tries (%s)", CANARY, 3, ValueError(CANARY))
    logging.getLogger("somebody").error("%(who)s is gone", {"who": CANARY})
    logging.getLogger("somebody").error("%d is gone", Decimal(5))
    logging.getLogger("psycopg").debug(CANARY)
    logging.getLogger("alembic.runtime.migration").info("Running upgrade %s -> %s", "0001", "0002")
    assert [line["event"] for line in lines(stream)] == [
        "gone: <str> after 3 tries (ValueError)",
        "<str> is gone",
        "%d is gone",
        "Running upgrade 0001 -> 0002",
    ]
    assert CANARY not in stream.getvalue()


def test_a_line_that_cannot_be_written_is_not_spelled_out(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logs("DEBUG", stream=stream)

    def broken(record: logging.LogRecord) -> str:
        raise RuntimeError(CANARY)

    (handler,) = (handler for handler in logging.getLogger().handlers if isinstance(handler, logs._Handler))
    monkeypatch.setattr(handler, "format", broken)
    logging.getLogger("somebody").error("x")
    assert stream.getvalue() == "a log line of somebody was lost: RuntimeError\n"
    stream.close()
    logging.getLogger("somebody").error("x")
    assert CANARY not in "".join(capsys.readouterr())


def test_configuring_twice_writes_each_line_once(stream: io.StringIO) -> None:
    configure_logs("INFO", stream=io.StringIO())
    configure_logs("INFO", stream=stream)
    get_logger("x").info("chunk committed")
    assert len(lines(stream)) == 1


IN_A_PROCESS_OF_ITS_OWN = """
import logging, sys
from retentiond.cli import main
from retentiond.logs import configure_logs, get_logger
try:
    main(["validate", "--offline", sys.argv[1]])
except SystemExit as end:
    assert end.code == 0, end.code
print(*sorted({"structlog", "rich", "asyncio", "sqlalchemy"} & set(sys.modules)))
logging.getLogger("somebody").warning("no more than %s", "canary")
get_logger("us").warning("chunk committed", rows=7)
"""


def test_structlog_is_there_when_somebody_logs_and_not_before() -> None:
    policy = PACKAGE.parent / "tests/unit/policy/sample.yaml"
    command = [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN, str(policy)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [""]
    library, ours = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert library["event"] == "no more than <str>"
    assert (ours["event"], ours["rows"], ours["level"]) == ("chunk committed", 7, "warning")


def test_nobody_else_asks_structlog() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "logs.py"]
    assert not [str(path) for path in modules if "import structlog" in path.read_text(encoding="utf-8")]


PACKAGE = Path(logs.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "bind"}


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_log_call_names_known_fields_and_a_constant_event(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in LEVELS:
            continue
        if ast.unparse(call.func.value) not in ("log", "_log", "LOG", "logger", "self._log"):
            continue
        where = f"{module.name}:{call.lineno}"
        assert {keyword.arg for keyword in call.keywords} <= {*FIELDS, "exc_info"}, where
        if call.func.attr != "bind":
            (event,) = call.args
            assert isinstance(event, ast.Constant), where
            assert re.fullmatch(r"[a-z][a-z ._-]{2,60}", str(event.value)), where
