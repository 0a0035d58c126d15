"""Reading what an engine tells only as the text of a CREATE statement: checks, collations, deferred keys, triggers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<string>[xX]?'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\.?\d[\w.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


_WORTH_READING = re.compile("check|collate|deferred", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind, its text as written, and where it stands."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """True for one of these keywords, unquoted."""
        return self.kind == "word" and self.text.upper() in words

    @property
    def name(self) -> str:
        """The name it means, without quotes."""
        if self.kind not in ("quoted", "string"):
            return self.text
        quote = self.text[0]
        return self.text[1:-1] if quote == "[" else self.text[1:-1].replace(quote * 2, quote)


def tokens(sql: str) -> list[Token]:
    """The tokens of a statement, without spaces and comments."""
    found = (Token(m.lastgroup or "other", m.group(), m.start(), m.end()) for m in _TOKEN.finditer(sql))
    return [token for token in found if token.kind != "space"]


@dataclass(frozen=True)
class TableText:
    """What the text of a CREATE TABLE adds: checks as (name, text), collations by column in lower case."""

    checks: tuple[tuple[str, str], ...]
    collations: dict[str, str]
    deferred: bool


def read_table(sql: str) -> TableText:
    """What the statement says beyond what the pragmas tell."""
    if not _WORTH_READING.search(sql):
        return TableText((), {}, deferred=False)
    found = tokens(sql)
    checks: list[tuple[str, str]] = []
    collations: dict[str, str] = {}
    for definition in _definitions(found):
        checks += _checks(sql, definition)
        for word, collation in pairwise(definition):
            if word.is_word("COLLATE"):
                collations.setdefault(definition[0].name.lower(), collation.name.upper())
    words = " ".join(token.text.upper() for token in found if token.kind == "word")
    return TableText(tuple(checks), collations, "INITIALLY DEFERRED" in words)


def _definitions(found: Sequence[Token]) -> Iterator[list[Token]]:
    """The column and constraint definitions between the outermost parentheses."""
    depth = 0
    current: list[Token] = []
    for token in found:
        if token.text == ")":
            depth -= 1
        if depth == 1 and token.text == ",":
            yield current
            current = []
        elif depth >= 1:
            current.append(token)
        if token.text == "(":
            depth += 1
        if depth == 0 and current:
            break
    if current:
        yield current


def _checks(sql: str, definition: Sequence[Token]) -> Iterator[tuple[str, str]]:
    depth = 0
    for place, token in enumerate(definition):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.is_word("CHECK"):
            named = place >= 2 and definition[place - 2].is_word("CONSTRAINT")
            name = definition[place - 1].name if named else ""
            yield name, sql[token.start : _closing(definition, place + 1).end]


def _closing(found: Sequence[Token], opening: int) -> Token:
    """The parenthesis that closes the one at `opening`."""
    depth = 0
    for token in found[opening:]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            return token
    return found[-1]


def read_trigger(sql: str) -> tuple[str, str]:
    """When the trigger acts (BEFORE, AFTER, INSTEAD OF) and upon what (INSERT, UPDATE, DELETE)."""
    timing = "BEFORE"  # SQLite's own default
    for token in tokens(sql)[2:]:
        if token.is_word("BEFORE", "AFTER"):
            timing = token.text.upper()
        elif token.is_word("INSTEAD"):
            timing = "INSTEAD OF"
        elif token.is_word("INSERT", "UPDATE", "DELETE"):
            return timing, token.text.upper()
    return timing, ""


def read_condition(sql: str) -> str | None:
    """What follows WHERE in a CREATE INDEX."""
    depth = 0
    for token in tokens(sql):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.is_word("WHERE"):
            return sql[token.end :].strip()
    return None
