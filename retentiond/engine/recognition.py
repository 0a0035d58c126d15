"""
Which rows of a table the ledger's tokens stand for: asked after a restore, and when a certificate is made.

The table's keys are streamed and made tokens again under the keys of the years concerned; nothing but the keys that are
found again is held.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Relation, Step
from retentiond.compiler.predicates import mask_unfinished
from retentiond.compiler.tables import table_of
from retentiond.engine.custody import table_names
from retentiond.engine.session import Session
from retentiond.errors import EvidenceError
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.ledger.token_list import TOKEN_BYTES, TokenList
from retentiond.state.ledger.tokens import tokens_in_order

COMMITTED = ("destroyed", "changed")
"""The outcomes after which rows are gone or masked."""
SETTLED = (*COMMITTED, "aborted")
"""The outcomes that leave no doubt."""

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


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was committed: the leaf of its intent and that of its outcome."""

    intent: Mapping[str, Any]
    outcome: Mapping[str, Any]


def committed(entries: Iterable[Mapping[str, Any]], wanted: Callable[[Mapping[str, Any]], bool]) -> Iterator[Batch]:
    """The batches with a wanted outcome in which rows went or changed, oldest first."""
    open_now: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        if entry["kind"] == "intent":
            open_now[entry["batch"]] = entry
        elif entry["kind"] == "outcome" and entry["status"] in SETTLED:
            intent = open_now.pop(entry["batch"], None)
            if intent is not None and entry["status"] in COMMITTED and wanted(entry):
                yield Batch(intent, entry)


def token_lists(batches: Iterable[Batch], ledger: Ledger) -> tuple[dict[str, list[TokenList]], int]:
    """
    By the ledger's label of the table, the tokens of what went; and of how many batches they are there no more.

    Where a batch was committed in one of two sources, the tokens of the other's rows are left out: those did not go.

    Raises:
        EvidenceError: where a list is not the one that its intent names.
    """
    found: dict[str, list[TokenList]] = {}
    dropped = 0
    for batch in batches:
        said = {
            one["table"]: (one["scheme"], one["key"], one["sha256"], one["count"]) for one in batch.intent["tokens"]
        }
        lists = ledger.tokens_of(batch.intent["batch"])
        if said and not lists:
            dropped += 1
            continue
        if said != {one.table: (one.scheme, one.key, one.sha256, one.count) for one in lists}:
            raise EvidenceError(
                f"the tokens of batch {batch.intent['batch']} are not those that entry {batch.intent['seq']} names",
                code="tokens-changed",
            )
        for one in lists:
            if one.table in batch.outcome["tables"]:
                found.setdefault(one.table, []).append(one)
    return found, dropped


def recognise(step: Step, lists: Iterable[TokenList], keys: KeyRing, session: Session) -> Recognised:
    """
    Of the rows that the tokens stand for, those that are in the step's table; for a mask, those that lack it.

    Raises:
        RefusedError: where a key that made the tokens is missing, damaged or another.
    """
    found = Recognised()
    seen: set[Key] = set()
    secrets: dict[str, bytes] = {}
    for known in _portions(lists, keys, secrets, found):
        for page in _pages(step, session):
            for key in _matching(step.relation, page, known, secrets):
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


def _pages(step: Step, session: Session) -> Iterator[Sequence[Key]]:
    """The keys of all rows in question, a page at a time."""
    table = table_of(step.relation)
    query = sa.select(*(table.c[name] for name in step.relation.key))
    if step.masking:
        query = query.where(mask_unfinished(step.masking, step.relation, table))
    page: list[Key] = []
    for row in session.stream(step.relation.source, query, _PAGE):
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
