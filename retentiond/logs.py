"""
Logs that cannot carry a row's value: one stream to stderr, for our events and for the libraries' lines.

Our events have a fixed name and fields from one list. Of an exception only its type and code are written. Of a
library's line the template is written, with numbers, but with texts only where the library never sees a row.

structlog is imported by the first who logs: it takes longer than many a command, and most commands write no line.
"""

import contextlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, TextIO

from retentiond.errors import RetentiondError

if TYPE_CHECKING:
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger

# Every field an event may have. None of them may ever hold what stood in a row.
FIELDS = frozenset(
    {
        *("policy", "rule", "source", "record", "table", "column", "constraint", "action", "job", "method"),
        *("run", "chunk", "batch", "number", "plan_digest", "as_of", "cutoff", "requested_by"),
        *(
            "rows",
            "done",
            "due",
            "held",
            "floored",
            "not_started",
            "suspect",
            "total",
            "failed",
            "retries",
            "remaining",
        ),
        *(
            "seconds",
            "wait_seconds",
            "chunk_seconds",
            "chunk_rows",
            "rows_per_second",
            "lag_seconds",
            "overdue_seconds",
        ),
        *("code", "outcome", "status", "reason", "guard", "approval", "phase", "fence", "dry_run"),
        *("file", "line", "dialect", "server_version", "schema_version", "state", "version", "policy_hash", "changed"),
        *("next_run", "last_run", "schedule", "listen", "signal", "host", "pid", "thread", "hold", "request", "kind"),
        *("remaining", "overdue_seconds", "seq", "entries", "deadline", "jobs", "rules", "sources", "problems"),
    }
)
_OURS = frozenset({"event", "level", "timestamp", "logger", "error", "causes", "exception", "dropped", "exc_info"})

_EVENT = re.compile(r"[a-z][a-z ._-]{2,60}")  # no digits, no quotes: a value pasted into a name would show

# What these write is about schedules and schema versions: they have never seen a row.
_BLIND = ("apscheduler", "alembic")
# What these write below a warning is statements, parameters and rows.
_TALKATIVE = ("sqlalchemy", "psycopg", "pymysql")


class UnsafeEventError(Exception):
    """A log call named an unknown field or event; raised in tests, while a daemon drops the field and goes on."""


class OnlyKnownFields:
    """A structlog processor: keeps what may be logged, drops the rest and says by name that it did."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict

    def __call__(self, _logger: "WrappedLogger", _method: str, event: "EventDict") -> "EventDict":
        """The event without unknown fields; UnsafeEventError where strict."""
        name = str(event.get("event", ""))
        dropped = []
        for key, value in sorted(event.items()):
            if key in _OURS:
                continue
            event[key] = _plain(value)
            if key not in FIELDS or (event[key] is None and value is not None):
                dropped.append(key)
        if not _EVENT.fullmatch(name):
            dropped.append("event")
            event["event"] = "an event without a proper name"
        if dropped and self.strict:
            raise UnsafeEventError(f"unknown field or no plain value: {', '.join(dropped)}")
        for key in dropped:
            if key != "event":
                del event[key]
        if dropped:
            event["dropped"] = ", ".join(dropped)
        return event


def _plain(value: object) -> str | int | float | None:
    """The value as a log may hold it; None for a collection, bytes or any object that could have a row in it."""
    match value:
        case date():
            return value.isoformat()
        case Enum():
            return str(value.value)
        case PurePath():
            return str(value)
        case str() | int() | float():
            return value
    return None


def describe_error(error: BaseException) -> tuple[str, str]:
    """The type of an exception and its code: ours, the SQLSTATE or the server's number; never its text."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name, _code(error)


def _code(error: BaseException) -> str:
    if isinstance(error, RetentiondError):
        return error.code
    driver = getattr(error, "orig", None) or error
    for attribute in ("sqlstate", "sqlite_errorname"):
        code = getattr(driver, attribute, None)
        if isinstance(code, str):
            return code
    arguments = getattr(driver, "args", ())
    # Only where it is known what the number means: that of a KeyError is a key, and the key may be a customer's.
    if type(driver).__module__.startswith("pymysql.") and arguments and isinstance(arguments[0], int):
        return str(arguments[0])
    return ""


class ErrorsWithoutValues:
    """A structlog processor: turns an exception into its type, code and causes; into places too where debugging."""

    def __init__(self, *, debug: bool) -> None:
        self.debug = debug

    def __call__(self, _logger: "WrappedLogger", _method: str, event: "EventDict") -> "EventDict":
        """The event with fields in place of the exception."""
        given = event.pop("exc_info", None)
        error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given is True else None
        if isinstance(given, tuple):
            error = given[1]
        event.pop("stack_info", None)
        if error is None:
            return event
        event["error"], code = describe_error(error)
        if code:
            event.setdefault("code", code)
        chain = _causes(error)
        if chain:
            event["causes"] = ", ".join(" ".join(describe_error(cause)).strip() for cause in chain)
        if self.debug:
            event["exception"] = "".join(_places(link) for link in reversed([error, *chain])).rstrip()
        return event


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and cause not in found and len(found) < 10:
        found.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return found


def _places(error: BaseException) -> str:
    """Where an exception passed, without what it says and without what any variable held."""
    places = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
    return f"{describe_error(error)[0]}, raised at\n{places}"


class _Handler(logging.StreamHandler[TextIO]):
    """Writes what may be written, and does not spell out a line that it could not write."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what libraries tell about statements and rows, whatever level they were asked for."""
        if record.levelno < logging.WARNING and record.name.partition(".")[0] in _TALKATIVE:
            return False
        return bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        ours = hasattr(record, "_logger")  # put there by structlog
        super().emit(record if ours else _without_values(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        kind = sys.exc_info()[0]
        with contextlib.suppress(OSError, ValueError):  # nobody reads us any more; that is no reason to stop
            self.stream.write(f"a log line of {record.name} was lost: {kind.__name__ if kind else 'unknown'}\n")


def _without_values(record: logging.LogRecord) -> logging.LogRecord:
    """A library's record whose arguments carry no text that may come from a row."""
    copy = logging.makeLogRecord(record.__dict__)
    blind = record.name.partition(".")[0] in _BLIND
    given = record.args or ()
    if isinstance(given, Mapping):
        copy.args = {key: _argument(value, keep=blind) for key, value in given.items()}
    else:
        copy.args = tuple(_argument(value, keep=blind) for value in given)
    try:
        copy.msg, copy.args = copy.getMessage(), ()
    except (TypeError, ValueError):  # a template that wants a number where we put the name of a type
        copy.msg, copy.args = str(record.msg), ()
    return copy


def _argument(value: object, *, keep: bool) -> object:
    if isinstance(value, BaseException):
        return " ".join(describe_error(value)).strip()
    return value if keep or isinstance(value, int | float) else f"<{type(value).__name__}>"


def configure_logs(
    level: str = "INFO",
    *,
    json: bool | None = None,
    stream: TextIO | None = None,
    strict: bool = False,
    debug: bool | None = None,
) -> None:
    """
    Send all logs to the stream (stderr): JSON unless it is a terminal or `json` says otherwise.

    `strict` makes an unknown field an exception, for tests. `debug` (RETENTIOND_DEBUG) adds where an error passed.
    """
    stream = stream if stream is not None else sys.stderr
    json = json if json is not None else not stream.isatty()
    debug = debug if debug is not None else bool(os.environ.get("RETENTIOND_DEBUG"))
    # Whoever has imported structlog may log without asking us again.
    _waiting[:] = [partial(_configure_structlog, strict=strict, debug=debug)]
    if "structlog" in sys.modules:
        _configure_now()
    handler = _Handler(stream)
    handler.setFormatter(_LateFormatter(partial(_formatter, stream, json=json, debug=debug)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _Handler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _BLIND:  # each start of a job, each look at the schema: for who looks for a fault
        logging.getLogger(name).setLevel(logging.NOTSET if root.level <= logging.DEBUG else logging.WARNING)
    _refuse_echo()


_waiting: list[Callable[[], None]] = []  # what is left to do once structlog is there


def _configure_now() -> None:
    while _waiting:
        _waiting.pop()()


def _shared(*, debug: bool) -> "list[Processor]":
    """What our events and the lines of libraries go through alike."""
    import structlog  # noqa: PLC0415 - see above

    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        ErrorsWithoutValues(debug=debug),
    ]


def _configure_structlog(*, strict: bool, debug: bool) -> None:
    import structlog  # noqa: PLC0415 - see above

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *_shared(debug=debug),
            OnlyKnownFields(strict=strict),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _formatter(stream: TextIO, *, json: bool, debug: bool) -> logging.Formatter:
    import structlog  # noqa: PLC0415 - see above

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(debug=debug),
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(stream, json=json)],
    )


class _LateFormatter(logging.Formatter):
    """A formatter that is made when the first line is written."""

    def __init__(self, make: Callable[[], logging.Formatter]) -> None:
        super().__init__()
        self._make = make
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._made is None:
            self._made = self._make()
        return self._made.format(record)


def _renderer(stream: TextIO, *, json: bool) -> "Processor":
    import structlog  # noqa: PLC0415 - see above

    if json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), pad_event_to=32, exception_formatter=structlog.dev.plain_traceback
    )


def _refuse_echo() -> None:
    """Keep SQLAlchemy's `echo=True` from writing statements and rows to stdout with a handler of its own."""
    logger = logging.getLogger("sqlalchemy.engine.Engine")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def get_logger(name: str) -> "structlog.stdlib.BoundLogger":
    """The logger of a module; call it with an event in plain words and fields from FIELDS."""
    import structlog  # noqa: PLC0415 - see above

    _configure_now()
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
