"""Which database this is: what stays when it is renamed, restarted or upgraded, and changes when it is another one."""

import hashlib
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import text

from retentiond.catalog.model import Dialect

_POSTGRESQL = text("""
    SELECT (SELECT system_identifier::text FROM pg_control_system()) || '/'
           || (SELECT oid::text FROM pg_database WHERE datname = current_database())
""")
_MYSQL_DATABASE = text("SELECT DATABASE()")
_MYSQL_SERVER = text("""
    SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uid', 'server_uuid', 'hostname', 'port', 'datadir')
""")
_SQLITE_TABLE = text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'retentiond_fence'")
_SQLITE = text("SELECT batch FROM retentiond_fence WHERE job = 'identity'")


def identity_of(connection: sa.Connection, dialect: Dialect) -> str | None:
    """
    The database's identity; None where it has none yet, which only a SQLite file may be.

    A copy of the data folder or file keeps it: the address tells the two apart.
    """
    if dialect == "postgresql":
        return str(connection.execute(_POSTGRESQL).scalar_one())
    if dialect == "sqlite":
        if connection.execute(_SQLITE_TABLE).first() is None:
            return None
        found = connection.execute(_SQLITE).scalar_one_or_none()
        return None if found is None else str(found)
    return f"{_mysql_server(connection)}/{connection.execute(_MYSQL_DATABASE).scalar_one()}"


def address_of(url: sa.URL) -> str:
    """Where the database is reached: host:port/database, the socket's or the file's path. Nobody's name or password."""
    if url.get_backend_name() == "sqlite":
        return str(Path(url.database or "").absolute())
    query = {name: value if isinstance(value, str) else ",".join(value) for name, value in url.query.items()}
    postgresql = url.get_backend_name() == "postgresql"
    host = url.host or query.get("host", "")
    socket = query.get("unix_socket", "") if not postgresql else host if host.startswith(("/", "@")) else ""
    if socket and not (postgresql and url.host):
        port = url.port or query.get("port", "")
        return f"{socket}{f':{port}' if port else ''}/{url.database or ''}"
    port = url.port or query.get("port", "") or (5432 if postgresql else 3306)
    return f"{_bracketed(host or 'localhost')}:{port}/{url.database or ''}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _mysql_server(connection: sa.Connection) -> str:
    """The server's own id; where it is too old to have one, a digest of what it cannot well change."""
    found = {str(name): str(value) for name, value in connection.execute(_MYSQL_SERVER)}
    for name in ("server_uid", "server_uuid"):
        if found.get(name):
            return found[name]
    place = "\0".join(found.get(name, "") for name in ("hostname", "port", "datadir"))
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:32]
