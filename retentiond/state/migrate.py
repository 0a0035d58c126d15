"""The schema of the state store: which one is there, and the way to the one this program knows."""

from pathlib import Path

from sqlalchemy import MetaData, Table, inspect, select
from sqlalchemy.engine import Connection

from retentiond.errors import UsageError

# Not alembic's usual name: an application that uses alembic must not be taken for a state store of ours.
VERSION_TABLE = "retentiond_version"
HEAD = "0002"  # the newest revision; a test compares it with the files, so that alembic is loaded only to upgrade
SCRIPTS = Path(__file__).parent / "migrations"


def revision(connection: Connection) -> str | None:
    """The revision of the schema; None for an empty database. One with other tables only is refused."""
    names = inspect(connection).get_table_names()
    if VERSION_TABLE not in names:
        if names:
            raise UsageError(
                "[state] url names a database that holds other tables and is no state store",
                hint="give the state store a database of its own",
                code="state-foreign",
            )
        return None
    table = Table(VERSION_TABLE, MetaData(), autoload_with=connection)
    found = connection.execute(select(table.c.version_num)).scalar_one_or_none()
    return None if found is None else str(found)


def refuse_newer(found: str | None) -> None:
    """Raise a UsageError where a newer retentiond wrote the store: what it added, we would ignore."""
    if found is not None and found > HEAD:
        raise UsageError(
            f"the state store was written by a newer retentiond (schema {found}, this program knows {HEAD})",
            hint="install that version again, or a later one",
            code="state-newer",
        )


def upgrade(connection: Connection, target: str = HEAD) -> None:
    """Bring the schema to the target inside the caller's transaction, which holds the write lock."""
    # Loaded here: it takes 0.15 s, and is needed once per release.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
