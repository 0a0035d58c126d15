"""
Which rows of a table the ledger's tokens stand for: asked after a restore, and when a certificate is made.

The table's keys are streamed and made tokens again under the keys of the years concerned; nothing but the keys that are
found again is held.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Relation
from retentiond.compiler.tables import table_of
from retentiond.engine.custody import table_names
from retentiond.engine.session import Session
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.token_list import TOKEN_BYTES, TokenList
from retentiond.state.ledger.tokens import tokens_in_order

_PAGE = 5000
_MOST_TOKENS = 1_000_000  # held at once, about 100 MB; the table is read once for each that many

_Known = dict[tuple[str, str], set[bytes]]
"""Tokens by the id of their key and their scheme."""


@dataclass(slots=True)
class Recognised:
    """Keys of rows that are there; `asked` tokens were looked for, `lost` could not: their key was destroyed."""

    keys: list[Key] = field(default_factory=list)
    asked: int = 0
    lost: int = 0


def recognise(
    relation: Relation,
    lists: Iterable[TokenList],
    keys: KeyRing,
    session: Session,
    where: sa.ColumnElement[bool] | None = None,
) -> Recognised:
    """
    The keys of the rows that are in the table, and for which `where` is true, among those the tokens stand for.

    Raises:
        RefusedError: where a key that made the tokens is missing, damaged or another.
    """
    found = Recognised()
    seen: set[Key] = set()
    secrets: dict[str, bytes] = {}
    for known in _portions(lists, keys, secrets, found):
        for page in _pages(relation, session, where):
            for key in _matching(relation, page, known, secrets):
                if key not in seen:
                    seen.add(key)
                    found.keys.append(key)
    return found


def _portions(
    lists: Iterable[TokenList], keys: KeyRing, secrets: dict[str, bytes], found: Recognised
) -> Iterator[_Known]:
    """The tokens whose key lives, in portions that fit into memory; the others are counted."""
    known: _Known = {}
    held = 0
    for one in lists:
        if one.key not in secrets:
            secret = keys.token_key_of(one.key)
            if secret is None:
                found.lost += one.count
                continue
            secrets[one.key] = secret
        found.asked += one.count
        for start in range(0, one.count, _MOST_TOKENS):
            tokens = one.tokens[start * TOKEN_BYTES : (start + _MOST_TOKENS) * TOKEN_BYTES]
            pieces = [tokens[place : place + TOKEN_BYTES] for place in range(0, len(tokens), TOKEN_BYTES)]
            if held and held + len(pieces) > _MOST_TOKENS:
                yield known
                known, held = {}, 0
            known.setdefault((one.key, one.scheme), set()).update(pieces)
            held += len(pieces)
    if known:
        yield known


def _pages(relation: Relation, session: Session, where: sa.ColumnElement[bool] | None) -> Iterator[Sequence[Key]]:
    """All keys of the table, a page at a time."""
    table = table_of(relation)
    query = sa.select(*(table.c[name] for name in relation.key))
    page: list[Key] = []
    for row in session.stream(relation.source, query if where is None else query.where(where), _PAGE):
        page.append(tuple(row))
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _matching(relation: Relation, page: Sequence[Key], known: _Known, secrets: dict[str, bytes]) -> Iterator[Key]:
    """Those of the keys whose token, under one of the keys and schemes, is known."""
    for (name, scheme), tokens in known.items():
        made = tokens_in_order(secrets[name], scheme, relation.source, *table_names(relation), page)
        yield from (key for key, token in zip(page, made, strict=True) if token in tokens)
