"""What the ledger says of a hold's own rows: which of them went before it was placed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Relation
from retentiond.engine.custody import ledger_label, table_names
from retentiond.engine.hold_targets import Target
from retentiond.engine.recognition import committed
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.ledger.token_list import TokenList
from retentiond.state.ledger.tokens import tokens_in_order


@dataclass(frozen=True, slots=True)
class Went:
    """Rows of one table that a job destroyed or masked before, and when it did so first and last."""

    table: str
    job: str
    action: str
    rows: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Before:
    """What went, by table and job; `unknown` are tables of which nobody can tell, since an id is no key there."""

    went: tuple[Went, ...]
    unknown: tuple[str, ...]


def went_before(ids: Iterable[str], targets: Sequence[Target], ledger: Ledger, keys: KeyRing) -> Before:
    """
    What the tokens of the ledger tell about the rows with these ids.

    Raises:
        RefusedError: where a key that made tokens is missing. EvidenceError: where the ledger is damaged.
    """
    texts = list(ids)
    known = [target for target in targets if target.by_key]
    asked = {
        ledger_label(target.relation): _Asked(target.relation, [key for text in texts for key in target.keys_of(text)])
        for target in known
    }
    found: dict[tuple[str, str, str], Went] = {}
    for batch in committed(ledger.entries(), lambda outcome: not asked.keys().isdisjoint(outcome["tables"])):
        for one in ledger.tokens_of(batch.intent["batch"]):
            if one.table in asked and one.table in batch.outcome["tables"]:
                rows = asked[one.table].among(one, keys)
                if rows:
                    _note(found, batch.outcome, one.table, rows)
    unknown = sorted({target.relation.label for target in targets} - {target.relation.label for target in known})
    return Before(tuple(found[place] for place in sorted(found)), tuple(unknown))


class _Asked:
    """The keys of one table that are looked for, as tokens under each key and scheme that is met."""

    def __init__(self, relation: Relation, keys: Sequence[Key]) -> None:
        self._relation = relation
        self._keys = keys
        self._tokens: dict[tuple[str, str], set[bytes]] = {}

    def among(self, known: TokenList, keys: KeyRing) -> int:
        """How many of the rows stand in the list; none where the key that made it was destroyed."""
        place = (known.key, known.scheme)
        if place not in self._tokens:
            secret = keys.token_key_of(known.key)
            self._tokens[place] = set() if secret is None else set(self._made(secret, known.scheme))
        return sum(token in known for token in self._tokens[place])

    def _made(self, secret: bytes, scheme: str) -> Iterator[bytes]:
        made = tokens_in_order(secret, scheme, self._relation.source, *table_names(self._relation), self._keys)
        return (token for token in made if token is not None)


def _note(found: dict[tuple[str, str, str], Went], outcome: Mapping[str, Any], table: str, rows: int) -> None:
    place = (table, outcome["job"], outcome["action"])
    when = datetime.fromisoformat(outcome["time"])
    before = found.get(place)
    if before is None:
        found[place] = Went(*place, rows, when, when)
    else:
        found[place] = Went(*place, before.rows + rows, min(before.first, when), max(before.last, when))
