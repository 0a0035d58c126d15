"""The questions put to the `information_schema` of MariaDB and MySQL, and how its texts are read."""

import re

from sqlalchemy import text

KINDS = ("BASE TABLE", "SYSTEM VERSIONED", "VIEW")  # not SEQUENCE, not TEMPORARY

SERVER = text("""
    SELECT VERSION() AS version, DATABASE() AS `database`, @@lower_case_table_names AS case_folding
""")

TABLES = text(r"""
    SELECT TABLE_NAME AS name, TABLE_TYPE AS type, ENGINE AS engine, TABLE_ROWS AS estimate
      FROM information_schema.TABLES
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT LIKE 'retentiond\\_%'
     ORDER BY TABLE_NAME
""")

COLUMNS = text("""
    SELECT TABLE_NAME AS table_name, COLUMN_NAME AS name, DATA_TYPE AS data_type, COLUMN_TYPE AS type,
           IS_NULLABLE AS nullable, CHARACTER_MAXIMUM_LENGTH AS length, COLUMN_DEFAULT AS default_text,
           EXTRA AS extra, COLLATION_NAME AS collation, GENERATION_EXPRESSION AS generation
      FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = DATABASE()
     ORDER BY TABLE_NAME, ORDINAL_POSITION
""")

STATISTICS = text("""
    SELECT TABLE_NAME AS table_name, INDEX_NAME AS name, NON_UNIQUE AS non_unique, COLUMN_NAME AS `column`,
           SUB_PART AS prefix, INDEX_TYPE AS method
      FROM information_schema.STATISTICS
     WHERE TABLE_SCHEMA = DATABASE()
     ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX
""")

CHECKS_MARIADB = text("""
    SELECT TABLE_NAME AS table_name, CONSTRAINT_NAME AS name, CHECK_CLAUSE AS text
      FROM information_schema.CHECK_CONSTRAINTS
     WHERE CONSTRAINT_SCHEMA = DATABASE()
     ORDER BY TABLE_NAME, CONSTRAINT_NAME
""")
CHECKS_MYSQL = text("""
    SELECT t.TABLE_NAME AS table_name, c.CONSTRAINT_NAME AS name, c.CHECK_CLAUSE AS text
      FROM information_schema.CHECK_CONSTRAINTS AS c
           JOIN information_schema.TABLE_CONSTRAINTS AS t
             ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME
     WHERE c.CONSTRAINT_SCHEMA = DATABASE() AND t.CONSTRAINT_TYPE = 'CHECK' AND t.ENFORCED = 'YES'
     ORDER BY t.TABLE_NAME, c.CONSTRAINT_NAME
""")

_TRIGGERS = """
    SELECT EVENT_OBJECT_SCHEMA AS `database`, EVENT_OBJECT_TABLE AS table_name, TRIGGER_NAME AS name,
           ACTION_TIMING AS timing, EVENT_MANIPULATION AS event,
           ACTION_STATEMENT AS body, DEFINER AS definer, SQL_MODE AS sql_mode, ACTION_ORDER AS place
      FROM information_schema.TRIGGERS
     WHERE EVENT_OBJECT_SCHEMA = DATABASE()
"""
TRIGGERS = text(f"{_TRIGGERS} ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER")
TRIGGERS_OF_TABLE = text(
    f"{_TRIGGERS} AND EVENT_OBJECT_TABLE = :table ORDER BY ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER"
)

PARTITIONS = text("""
    SELECT TABLE_NAME AS table_name, PARTITION_NAME AS name, PARTITION_METHOD AS strategy,
           PARTITION_EXPRESSION AS expression, PARTITION_DESCRIPTION AS bound
      FROM information_schema.PARTITIONS
     WHERE TABLE_SCHEMA = DATABASE() AND PARTITION_NAME IS NOT NULL
     ORDER BY TABLE_NAME, PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION
""")

# Keys that leave this database and keys that come from another one. Joined in Python: the server joins these views row
# by row (3,000 keys: 2 s instead of 0.05).
KEY_COLUMNS = text("""
    SELECT CONSTRAINT_NAME AS name, TABLE_SCHEMA AS child_schema, TABLE_NAME AS child, COLUMN_NAME AS `column`,
           REFERENCED_TABLE_SCHEMA AS parent_schema, REFERENCED_TABLE_NAME AS parent,
           REFERENCED_COLUMN_NAME AS referenced_column
      FROM information_schema.KEY_COLUMN_USAGE
     WHERE REFERENCED_TABLE_NAME IS NOT NULL
       AND (TABLE_SCHEMA = DATABASE() OR REFERENCED_TABLE_SCHEMA = DATABASE())
     ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION
""")
KEY_RULES = text("""
    SELECT CONSTRAINT_NAME AS name, CONSTRAINT_SCHEMA AS child_schema, TABLE_NAME AS child,
           DELETE_RULE AS on_delete, UPDATE_RULE AS on_update
      FROM information_schema.REFERENTIAL_CONSTRAINTS
     WHERE CONSTRAINT_SCHEMA = DATABASE() OR UNIQUE_CONSTRAINT_SCHEMA = DATABASE()
""")

_INNODB_KEYS = """
    SELECT ID AS id, FOR_NAME AS child, REF_NAME AS parent, TYPE AS flags
      FROM information_schema.{0}
     ORDER BY FOR_NAME, ID
"""
_INNODB_KEY_COLUMNS = """
    SELECT ID AS id, FOR_COL_NAME AS `column`, REF_COL_NAME AS referenced_column
      FROM information_schema.{0}
     ORDER BY ID, POS
"""
INNODB_KEYS = {
    "mariadb": text(_INNODB_KEYS.format("INNODB_SYS_FOREIGN")),
    "mysql": text(_INNODB_KEYS.format("INNODB_FOREIGN")),
}
INNODB_KEY_COLUMNS = {
    "mariadb": text(_INNODB_KEY_COLUMNS.format("INNODB_SYS_FOREIGN_COLS")),
    "mysql": text(_INNODB_KEY_COLUMNS.format("INNODB_FOREIGN_COLS")),
}

GRANTS = text("SHOW GRANTS")
CURRENT_ROLE = text("SELECT CURRENT_ROLE()")
CURRENT_USER = text("SELECT CURRENT_USER()")

_LABEL = re.compile(r"'((?:[^']|'')*)'")
_NAME = re.compile(r"`((?:[^`]|``)+)`")
_ONLY_NAMES = re.compile(r"^\s*`(?:[^`]|``)+`(?:\s*,\s*`(?:[^`]|``)+`)*\s*$")


def choices(column_type: str) -> tuple[str, ...]:
    """The labels of an `enum('a','b')`."""
    return tuple(label.replace("''", "'") for label in _LABEL.findall(column_type))


def partition_columns(expression: str | None) -> tuple[str | None, ...]:
    """The columns a table is cut by; an expression such as year(`at`) stands as None."""
    if expression and _ONLY_NAMES.match(expression):
        return tuple(name.replace("``", "`") for name in _NAME.findall(expression))
    return (None,)


def version_numbers(version: str) -> tuple[int, ...]:
    """The numbers of `10.11.6-MariaDB-0+deb12u1`."""
    found = re.match(r"[\d.]+", version)
    return tuple(int(part) for part in found.group().split(".") if part) if found else ()
