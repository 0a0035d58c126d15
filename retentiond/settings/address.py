"""Database URLs: checked for what is supported and installed, completed with secrets, shown without them."""

import os
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from retentiond.errors import UsageError
from retentiond.settings.nearest import did_you_mean
from retentiond.settings.secret_files import exposure

# What may stand before `://`, the module that must be there, and the extra that brings it.
DRIVERS: dict[str, tuple[str, str]] = {
    "postgresql": ("psycopg", "postgresql"),
    "postgresql+psycopg": ("psycopg", "postgresql"),
    "mysql": ("pymysql", "mysql"),
    "mysql+pymysql": ("pymysql", "mysql"),
    "mariadb": ("pymysql", "mysql"),
    "mariadb+pymysql": ("pymysql", "mysql"),
    "sqlite": ("sqlite3", ""),
}
# SQLAlchemy would take mysqlclient for these; PyMySQL is what we install and test.
_DEFAULT_DRIVERS = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql", "postgresql": "postgresql+psycopg"}
_SECRET_PARAMETERS = ("password", "passwd", "passphrase", "sslpassword")


def parse_url(text: str, folder: Path) -> URL:
    """The URL, its driver spelled out and a SQLite file made absolute; a UsageError repeats no secret of it."""
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        # `from None`: the library's message may repeat the text, and the text may hold a password.
        raise UsageError("this is not a database URL", hint="dialect://user@host/database", code="bad-url") from None
    if url.drivername not in DRIVERS:
        raise UsageError(
            f"databases of the kind `{url.drivername}` are not supported",
            hint=did_you_mean(url.drivername, DRIVERS) or f"supported: {', '.join(DRIVERS)}",
            code="unknown-dialect",
        )
    _check_driver(url.drivername)
    url = url.set(drivername=_DEFAULT_DRIVERS.get(url.drivername, url.drivername))
    return _absolute(url, folder) if url.drivername == "sqlite" else url


def _check_driver(name: str) -> None:
    module, extra = DRIVERS[name]
    if find_spec(module) is None:
        raise UsageError(
            f"the driver `{module}` for `{name}` is not installed",
            hint=f"pip install 'retentiond[{extra}]'",
            code="driver-missing",
        )


def _absolute(url: URL, folder: Path) -> URL:
    name = url.database
    if not name or name == ":memory:":
        raise UsageError("a SQLite database in memory is gone with the process", hint="name a file", code="bad-url")
    if name.startswith("file:"):
        return url
    return url.set(database=str(folder / name))


def has_password(url: URL) -> bool:
    """True where the URL itself carries a secret."""
    return bool(url.password) or any(name in url.query for name in _SECRET_PARAMETERS)


def without_secrets(url: URL) -> str:
    """The URL as people may see it: every secret is ***."""
    hidden = {name: "***" for name in _SECRET_PARAMETERS if name in url.query}
    return url.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A%2A%2A", "***")


def read_secret(path: Path) -> str:
    """
    What the file holds, without the newline at its end.

    Raises:
        UsageError: where it cannot be read, or others may read it too.
    """
    try:
        with path.open(encoding="utf-8") as file:
            why = exposure(path, os.fstat(file.fileno()))
            text = file.read().rstrip("\r\n")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", code="secret-missing") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", code="secret-unreadable") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text", code="secret-unreadable") from None
    if why:
        raise UsageError(f"{path} holds a secret, and {why}", hint="chmod 600, or chown", code="secret-readable")
    if not text:
        raise UsageError(f"{path}: is empty", code="secret-empty")
    return text
