"""
Which tables a trigger's text names for a change.

Only a text that can be read with certainty gets an answer. Dynamic SQL, procedures, functions we do not know, and
anything that might hide a statement from a simple reader make it None: cannot be told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from retentiond.catalog.create_text import Token, tokens
from retentiond.catalog.model import Dialect

Name = tuple[str, ...]  # (table,) or (schema, table)

# What could make a string or a comment end elsewhere than we think, or be carried out though it looks like a comment.
_HIDING = {
    "postgresql": ("\\", "$"),
    "mariadb": ("\\", "#", "/*!", "/*M!"),
    "mysql": ("\\", "#", "/*!", "/*M!"),
    "sqlite": (),
}
_CANNOT_BE_TOLD = ("CALL", "EXECUTE", "CREATE", "DROP", "ALTER", "COPY", "MERGE", "REFRESH", "PREPARE", "LOAD")
_MODIFIERS = ("OR", "IGNORE", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "ONLY", "TABLE", "INTO", "FROM")
_CONFLICTS = ("ABORT", "FAIL", "IGNORE", "REPLACE", "ROLLBACK")
# Words that may stand before a parenthesis and change nothing.
_HARMLESS_WORDS = """
    ALL AND ANY ARRAY AS BY CASE CAST CHAR CONFLICT DECIMAL ELSE ELSEIF ELSIF EXISTS FILTER FROM IF IN KEY NOT NUMERIC
    ON OR OVER RETURN ROW SELECT SET SOME THEN UNION UNTIL USING VALUE VALUES VARCHAR WHEN WHERE WHILE
    ABS AVG CEIL CEILING CHAR_LENGTH COALESCE CONCAT CONCAT_WS CONNECTION_ID COUNT CURDATE CURRENT_DATE CURRENT_SETTING
    CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURTIME DATE DATETIME DATE_ADD DATE_FORMAT DATE_SUB DATE_TRUNC DEFAULT
    EXTRACT FLOOR FORMAT GEN_RANDOM_UUID GREATEST IFNULL INITCAP JSONB_BUILD_OBJECT JSON_ARRAY JSON_BUILD_OBJECT
    JSON_OBJECT LAST_INSERT_ID LEAST LEFT LENGTH LOWER LPAD LTRIM MAX MD5 MIN MOD NOW NULLIF OCTET_LENGTH REPLACE RIGHT
    ROUND ROW_COUNT ROW_TO_JSON RPAD RTRIM SESSION_USER SHA1 SHA2 STRFTIME SUBSTR SUBSTRING SUM SYSDATE TIMESTAMP
    TO_CHAR TO_JSON TO_JSONB TRIM TXID_CURRENT UNIX_TIMESTAMP UPPER USER UTC_TIMESTAMP UUID
"""
_HARMLESS = frozenset(_HARMLESS_WORDS.split())


@dataclass(frozen=True, slots=True)
class Deeds:
    """The tables that a text inserts into, updates or deletes from; of them those it deletes from or replaces in."""

    touches: tuple[Name, ...]
    removes: tuple[Name, ...]


def touched(text: str, dialect: Dialect) -> tuple[Name, ...] | None:
    """The names of the tables that the text inserts into, updates or deletes from; None where it cannot be told."""
    found = deeds(text, dialect)
    return found.touches if found else None


def deeds(text: str, dialect: Dialect) -> Deeds | None:
    """What the text does to which tables; None where it cannot be told."""
    if any(sign in text for sign in _HIDING[dialect]) or (dialect != "postgresql" and _has_bare_dashes(text)):
        return None
    found = read_tokens(text, dialect)
    names: dict[Name, None] = {}
    removed: dict[Name, None] = {}
    skip = -1
    for place, token in enumerate(found):
        if place < skip:
            continue
        if token.is_word(*_CANNOT_BE_TOLD):
            return None
        if _begins_change(found, place):
            target = _target(found, place)
            if target is None:
                return None
            name, skip = target
            names[name] = None
            if any(word.is_word("DELETE", "TRUNCATE", "REPLACE") for word in found[place:skip]):
                removed[name] = None
        elif dialect != "sqlite" and _calls_unknown(found, place):  # SQLite's functions change no tables
            return None
    return Deeds(tuple(names), tuple(removed))


def read_tokens(text: str, dialect: Dialect) -> list[Token]:
    """The tokens of a text, unquoted names as the engine folds them."""
    return [_folded(token) if dialect == "postgresql" else token for token in tokens(text)]


def sqlite_body(sql: str) -> str:
    """The statements of a CREATE TRIGGER, after its BEGIN."""
    return next((sql[token.end :] for token in tokens(sql) if token.is_word("BEGIN")), "")


def _folded(token: Token) -> Token:
    """PostgreSQL reads an unquoted name in lower case."""
    return replace(token, text=token.text.lower()) if token.kind == "word" else token


def _has_bare_dashes(text: str) -> bool:
    """`--x` is a comment on SQLite and PostgreSQL, and two minus signs on MySQL."""
    return any(not part[:1].isspace() for part in text.split("--")[1:] if part)


def _begins_change(found: Sequence[Token], place: int) -> bool:
    token, before, after = found[place], _at(found, place - 1), _at(found, place + 1)
    if token.is_word("INSERT", "DELETE", "TRUNCATE"):
        return after.text != "(" and not before.is_word("ON")
    if token.is_word("UPDATE"):  # not ON CONFLICT DO UPDATE, ON DUPLICATE KEY UPDATE, FOR UPDATE
        return not before.is_word("DO", "KEY", "FOR", "ON")
    return token.is_word("REPLACE") and after.is_word("INTO")


def _target(found: Sequence[Token], place: int) -> tuple[Name, int] | None:
    """The table's name and where to read on; None for forms that change several tables or are not understood."""
    verb, place = found[place], place + 1
    while found[place:] and found[place].is_word(*_MODIFIERS):
        place += 2 if found[place].is_word("OR") and _at(found, place + 1).is_word(*_CONFLICTS) else 1
    name = tuple(_name(found, place))
    place += 2 * len(name) - 1
    if not name or len(name) > 2:
        return None
    if verb.is_word("DELETE") and not _said_from(found, place):
        return None
    if verb.is_word("UPDATE") and not any(token.is_word("SET") for token in found[place : place + 3]):
        return None
    if verb.is_word("DELETE", "TRUNCATE") and (_at(found, place).text == "," or _at(found, place).is_word("USING")):
        return None
    # The list of columns after the name is no call of a function.
    return name, place + 1 if _at(found, place).text == "(" else place


def _said_from(found: Sequence[Token], end: int) -> bool:
    """True for DELETE FROM t; DELETE t FROM … may name several tables."""
    return any(token.is_word("FROM") for token in found[max(0, end - 6) : end])


def _name(found: Sequence[Token], place: int) -> Iterator[str]:
    while _at(found, place).kind in ("word", "quoted"):
        yield found[place].name
        if _at(found, place + 1).text != ".":
            return
        place += 2


def _calls_unknown(found: Sequence[Token], place: int) -> bool:
    token = found[place]
    if _at(found, place + 1).text != "(" or token.kind not in ("word", "quoted"):
        return False
    return token.kind == "quoted" or _at(found, place - 1).text == "." or token.text.upper() not in _HARMLESS


def _at(found: Sequence[Token], place: int) -> Token:
    return found[place] if 0 <= place < len(found) else Token("other", "", 0, 0)
