"""The codes of the three engines and what each means for a run."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["transient", "failed", "usage"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """A kind, a sentence, what to do, and whether the connection is gone."""

    kind: Kind
    message: str
    hint: str = ""
    lost: bool = False


_GRANTS = "docs/running.md lists the rights that each kind of rule needs"

UNKNOWN = Meaning("failed", "the database refused the statement", "look the code up in the database's manual")
BUSY = Meaning("transient", "another session holds the lock")
DEADLOCK = Meaning("transient", "a deadlock with another session")
SERIALIZATION = Meaning("transient", "another session changed the same rows")
STATEMENT_TIMEOUT = Meaning("transient", "the statement took longer than it may")
CANNOT_CONNECT = Meaning("transient", "the database cannot be reached now", lost=True)
LOST = Meaning("transient", "the connection was lost", lost=True)
FULL_HOUSE = Meaning("transient", "the server takes no more connections")
NO_MEMORY = Meaning("transient", "the server is short of memory")

LOGIN = Meaning("usage", "the database refused the login", "check user, password and what the server lets in")
NO_DATABASE = Meaning("usage", "there is no such database", "check the source's URL")

PERMISSION = Meaning("failed", "a right is missing", _GRANTS)
TABLE_GONE = Meaning("failed", "a table or column is not there", "the schema changed, or the role may not see it")
PATH_OF_FUNCTION = Meaning(
    "failed",
    "a trigger function did not find what it names",
    "name schemas in it, or ALTER FUNCTION … SET search_path: retentiond's sessions search pg_catalog only",
)
UNIQUE = Meaning("failed", "a value would stand twice where it must be unique")
FOREIGN_KEY = Meaning("failed", "other rows refer to these rows", "declare their table in the record's `cascade`")
NOT_NULL = Meaning("failed", "an empty value is not allowed")
CHECK = Meaning("failed", "a CHECK constraint refused the value")
CONSTRAINT = Meaning("failed", "a constraint refused the change")
TRIGGER_RAISED = Meaning("failed", "a trigger or function refused the change", "it raised an error of its own")
BAD_DATA = Meaning("failed", "a value does not fit its column")
READ_ONLY = Meaning("failed", "the database or the session takes no changes", "is this a replica?")
DISK_FULL = Meaning("failed", "the server's disk is full")
SYNTAX = Meaning("failed", "the database does not understand the statement", "please report this")
NOT_SUPPORTED = Meaning("failed", "the database cannot do this")
BROKEN = Meaning("failed", "the database is damaged", "restore or repair it before anything else")
BINLOG = Meaning("failed", "the binary log does not allow READ COMMITTED", "set binlog_format to MIXED or ROW")

POSTGRESQL = {
    "40001": SERIALIZATION,
    "40P01": DEADLOCK,
    "40003": LOST,
    "55P03": BUSY,
    "55006": BUSY,
    "57014": STATEMENT_TIMEOUT,
    "57P01": LOST,
    "57P02": LOST,
    "57P03": CANNOT_CONNECT,
    "57P05": LOST,
    "25P03": LOST,
    "25P04": LOST,
    "53100": DISK_FULL,
    "53200": NO_MEMORY,
    "53300": FULL_HOUSE,
    "42501": PERMISSION,
    "42P01": TABLE_GONE,
    "42703": TABLE_GONE,
    "3F000": TABLE_GONE,
    "3D000": NO_DATABASE,
    "25006": READ_ONLY,
    "23502": NOT_NULL,
    "23503": FOREIGN_KEY,
    "23505": UNIQUE,
    "23514": CHECK,
    "P0001": TRIGGER_RAISED,
}
POSTGRESQL_CLASSES = {
    "08": LOST,
    "09": TRIGGER_RAISED,
    "0A": NOT_SUPPORTED,
    "22": BAD_DATA,
    "23": CONSTRAINT,
    "28": LOGIN,
    "40": SERIALIZATION,
    "42": SYNTAX,
    "53": NO_MEMORY,
    "58": BROKEN,
    "P0": TRIGGER_RAISED,
    "XX": BROKEN,
}
# Relation, function, operator or type not found: in a function's own statement that is the search path.
NAMELESS_IN_FUNCTION = frozenset({"42P01", "42883", "42704"})

MYSQL = {
    0: LOST,  # PyMySQL: the connection is closed already
    1020: SERIALIZATION,
    1205: BUSY,
    1213: DEADLOCK,
    3572: BUSY,
    1317: STATEMENT_TIMEOUT,
    1969: STATEMENT_TIMEOUT,
    3024: STATEMENT_TIMEOUT,
    1040: FULL_HOUSE,
    1203: FULL_HOUSE,
    1226: FULL_HOUSE,
    1037: NO_MEMORY,
    1041: NO_MEMORY,
    2002: CANNOT_CONNECT,
    2003: CANNOT_CONNECT,
    2005: CANNOT_CONNECT,
    1053: LOST,
    1077: LOST,
    1079: LOST,
    1152: LOST,
    1158: LOST,
    1159: LOST,
    1160: LOST,
    1161: LOST,
    1184: LOST,
    1927: LOST,
    2006: LOST,
    2013: LOST,
    2014: LOST,
    2055: LOST,
    4031: LOST,
    1045: LOGIN,
    1130: LOGIN,
    1251: LOGIN,
    1698: LOGIN,
    1862: LOGIN,
    3118: LOGIN,
    4151: LOGIN,
    1049: NO_DATABASE,
    1044: PERMISSION,
    1142: PERMISSION,
    1143: PERMISSION,
    1227: PERMISSION,
    1356: PERMISSION,
    1370: PERMISSION,
    1054: TABLE_GONE,
    1146: TABLE_GONE,
    1062: UNIQUE,
    1169: UNIQUE,
    1586: UNIQUE,
    1048: NOT_NULL,
    1364: NOT_NULL,
    1216: FOREIGN_KEY,
    1217: FOREIGN_KEY,
    1451: FOREIGN_KEY,
    1452: FOREIGN_KEY,
    3819: CHECK,
    4025: CHECK,
    1264: BAD_DATA,
    1265: BAD_DATA,
    1292: BAD_DATA,
    1366: BAD_DATA,
    1367: BAD_DATA,
    1406: BAD_DATA,
    1411: BAD_DATA,
    1525: BAD_DATA,
    1690: BAD_DATA,
    1644: TRIGGER_RAISED,
    1290: READ_ONLY,
    1792: READ_ONLY,
    1836: READ_ONLY,
    1021: DISK_FULL,
    1114: DISK_FULL,
    1064: SYNTAX,
    1235: NOT_SUPPORTED,
    1665: BINLOG,
    1034: BROKEN,
    1194: BROKEN,
    1712: BROKEN,
}

SQLITE = {
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_PROTOCOL": BUSY,
    "SQLITE_INTERRUPT": STATEMENT_TIMEOUT,
    "SQLITE_NOMEM": NO_MEMORY,
    "SQLITE_CANTOPEN": Meaning(
        "usage", "the file, or one that SQLite needs beside it, cannot be opened", "check the path and its rights"
    ),
    "SQLITE_PERM": Meaning("usage", "the file may not be opened", "check its rights"),
    "SQLITE_AUTH": PERMISSION,
    "SQLITE_NOTADB": Meaning("usage", "the file is not a SQLite database, or it is encrypted", "check the path"),
    "SQLITE_CORRUPT": BROKEN,
    "SQLITE_FULL": DISK_FULL,
    "SQLITE_IOERR": Meaning("failed", "reading or writing the file failed", "check the disk"),
    "SQLITE_READONLY": Meaning("failed", "the file takes no changes", "check the rights of the file and its folder"),
    "SQLITE_READONLY_ROLLBACK": Meaning(
        "failed",
        "a program died in the middle of a change and left a hot journal beside the file",
        "the next program that may write puts the file right: its own application, or `retentiond run`",
    ),
    "SQLITE_READONLY_RECOVERY": Meaning(
        "failed",
        "a program died and left a write-ahead log that has to be recovered",
        "the next program that may write puts the file right: its own application, or `retentiond run`",
    ),
    "SQLITE_CONSTRAINT": CONSTRAINT,
    "SQLITE_CONSTRAINT_UNIQUE": UNIQUE,
    "SQLITE_CONSTRAINT_PRIMARYKEY": UNIQUE,
    "SQLITE_CONSTRAINT_ROWID": UNIQUE,
    "SQLITE_CONSTRAINT_NOTNULL": NOT_NULL,
    "SQLITE_CONSTRAINT_CHECK": CHECK,
    "SQLITE_CONSTRAINT_FOREIGNKEY": FOREIGN_KEY,
    "SQLITE_CONSTRAINT_TRIGGER": TRIGGER_RAISED,
    "SQLITE_TOOBIG": BAD_DATA,
    "SQLITE_MISMATCH": BAD_DATA,
    "SQLITE_SCHEMA": SERIALIZATION,
}

_LOGIN_WORDS = ("authentication failed", "no pg_hba.conf entry", "no password supplied", 'role "')
_DATABASE_WORDS = ('database "',)
_FULL_WORDS = ("too many clients", "remaining connection slots", "too many connections")


def postgresql_without_code(text: str) -> tuple[str, Meaning]:
    """
    What an error of libpq itself means. A refused connection carries no SQLSTATE, only words, and no row either; where
    the server speaks another language than English the answer is that it cannot be reached.
    """
    if "connection failed" in text or "connection to server" in text or "connection timeout" in text:
        if any(word in text for word in _LOGIN_WORDS):
            return "login", LOGIN
        if any(word in text for word in _DATABASE_WORDS) and "does not exist" in text:
            return "no-database", NO_DATABASE
        return "cannot-connect", FULL_HOUSE if any(word in text for word in _FULL_WORDS) else CANNOT_CONNECT
    return "connection-lost", LOST
