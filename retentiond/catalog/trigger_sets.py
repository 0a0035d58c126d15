"""
Which columns of its own table a trigger's text sets: through NEW, or by an UPDATE of the table.

Only for texts that `trigger_text` can read. Rather too many columns than one too few.
"""

from collections.abc import Callable, Iterator, Sequence

from retentiond.catalog.create_text import Token
from retentiond.catalog.model import Dialect
from retentiond.catalog.trigger_text import Name, read_tokens

_STARTS = ("BEGIN", "THEN", "ELSE", "LOOP", "DO", "SET", "INTO", "DIAGNOSTICS")
_ENDS = ("WHERE", "FROM", "RETURNING", "ORDER", "LIMIT")
_NOTHING = Token("other", "", 0, 0)


def assigned(text: str, dialect: Dialect, is_own: Callable[[Name], bool]) -> tuple[str, ...] | None:
    """The columns that the text sets in rows of the trigger's own table (`is_own`); None where any may be meant."""
    found = read_tokens(text, dialect)
    columns: dict[str, None] = {}
    into = False
    for place, token in enumerate(found):
        before, after = _at(found, place - 1), _at(found, place + 1)
        into = before.is_word("INTO") or (into and (token.text in (",", ".") or before.text in (",", ".")))
        if token.is_word("NEW"):
            if after.text == ".":
                if into or _is_assignment(found, place):
                    columns[_at(found, place + 2).name] = None
            elif into or after.text in (":", "="):
                return None
        elif token.is_word("RETURN") and not _returns_plainly(after):
            return None
        elif token.is_word("UPDATE", "INSERT", "REPLACE", "DELETE", "TRUNCATE") and _names_own(found, place, is_own):
            if not token.is_word("UPDATE"):
                return None
            columns |= dict.fromkeys(_set_list(found, place))
    return tuple(columns)


def _is_assignment(found: Sequence[Token], place: int) -> bool:
    before, sign = _at(found, place - 1), _at(found, place + 3)
    if sign.text == ":" and _at(found, place + 4).text == "=":
        return True
    if before.text == ",":
        return sign.text == "="
    return place == 0 or before.text == ";" or before.is_word(*_STARTS)


def _returns_plainly(after: Token) -> bool:
    return after.text == ";" or after.is_word("NEW", "OLD", "NULL") or after == _NOTHING


def _names_own(found: Sequence[Token], place: int, is_own: Callable[[Name], bool]) -> bool:
    """True where the statement that begins here names the own table before its first clause."""
    for at in range(place + 1, min(place + 8, len(found))):
        token = found[at]
        if token.text in (";", "(") or token.is_word("SET", "WHERE", "VALUES", "SELECT"):
            return False
        if token.kind in ("word", "quoted"):
            full = (token.name, found[at + 2].name) if _at(found, at + 1).text == "." else (token.name,)
            if is_own(full):
                return True
    return False


def _set_list(found: Sequence[Token], place: int) -> Iterator[str]:
    """The columns in `SET a = …, (b, c) = …` of the UPDATE that begins here."""
    at = next((n for n in range(place, len(found)) if found[n].is_word("SET")), len(found))
    depth, target = 0, True
    for token in found[at + 1 :]:
        if token.text == ";" or (depth == 0 and token.is_word(*_ENDS)):
            return
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "=" and depth == 0:
            target = False
        elif token.text == "," and depth == 0:
            target = True
        elif target and token.kind in ("word", "quoted", "string"):
            yield token.name


def _at(found: Sequence[Token], place: int) -> Token:
    return found[place] if 0 <= place < len(found) else _NOTHING
