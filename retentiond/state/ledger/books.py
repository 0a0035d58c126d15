"""
What the entries of a ledger must say of each other: each outcome has its intent, each intent one outcome at most, and
the sums come out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from retentiond.state.ledger.leaf import KINDS, instant_of, parse

_SETTLED = frozenset(("destroyed", "changed", "aborted"))
_OPEN = frozenset(("unresolved",))  # nobody knows; a later outcome may
_RESTORED = "restored"


class BooksError(ValueError):
    """An entry that cannot be true beside those before it."""


@dataclass(frozen=True, slots=True)
class ListedTokens:
    """A list of tokens as an intent names it."""

    seq: int
    time: datetime
    batch: str
    table: str
    scheme: str
    key: str
    sha256: str
    count: int


@dataclass(slots=True)
class _Intent:
    seq: int
    job: str
    tables: Mapping[str, int]


@dataclass(slots=True)
class Books:
    """Takes the leaves in their order; each is checked by itself and against those before it."""

    size: int = 0
    last_time: datetime | None = None
    pruned_before: datetime | None = None
    _open: dict[str, _Intent] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)
    _gone: dict[str, int] = field(default_factory=dict)

    @property
    def open_batches(self) -> dict[str, int]:
        """The batches whose end is not known, with the index of their intent."""
        return {batch: intent.seq for batch, intent in self._open.items()}

    def take(self, leaf: bytes) -> dict[str, Any]:
        """
        What the next leaf says.

        Raises:
            ValueError: where it is no leaf, or cannot stand here.
        """
        entry = parse(leaf)
        seq, kind = entry.get("seq"), entry.get("kind")
        if type(seq) is not int or seq != self.size:
            raise BooksError("not the number that comes next")
        if kind not in KINDS:
            raise BooksError("of no known kind")
        time = instant_of(entry.get("time"))
        if self.last_time is not None and time < self.last_time:
            raise BooksError("before the time of the entry before it")
        if kind == "intent":
            self._intend(entry)
        elif kind == "outcome":
            self._settle(entry)
        elif kind == "prune":
            self._prune(entry, time)
        self.size, self.last_time = seq + 1, time
        return entry

    def _intend(self, entry: Mapping[str, Any]) -> None:
        batch = _text(entry, "batch")
        if batch in self._open or batch in self._settled:
            raise BooksError("a batch that was there before")
        tables = _counts(entry)
        for listed in listed_tokens(entry):
            if tables.get(listed.table) != listed.count:
                raise BooksError("another number of tokens than of rows")
        self._open[batch] = _Intent(entry["seq"], _text(entry, "job"), tables)

    def _settle(self, entry: Mapping[str, Any]) -> None:
        status, tables = _text(entry, "status"), _counts(entry)
        if status == _RESTORED:
            self._add(tables, -1)
            return
        batch = _text(entry, "batch")
        intent = self._open.get(batch)
        if intent is None:
            raise BooksError("a second outcome" if batch in self._settled else "an outcome without an intent")
        if entry.get("intent") != intent.seq or entry.get("job") != intent.job:
            raise BooksError("an outcome of another intent")
        if any(count > intent.tables.get(table, 0) for table, count in tables.items()):
            raise BooksError("more rows than were meant")
        if status in _SETTLED:
            self._settled.add(batch)
            del self._open[batch]
        elif status not in _OPEN:
            raise BooksError("an outcome of no known status")
        if status == "destroyed":
            self._add(tables, 1)

    def _add(self, tables: Mapping[str, int], sign: int) -> None:
        for table, count in tables.items():
            self._gone[table] = self._gone.get(table, 0) + sign * count
            if self._gone[table] < 0:
                raise BooksError("more rows came back than had gone")

    def _prune(self, entry: Mapping[str, Any], time: datetime) -> None:
        before = instant_of(entry.get("before"))
        if before > time:
            raise BooksError("dropped before their time")
        self.pruned_before = max(before, self.pruned_before or before)


def listed_tokens(entry: Mapping[str, Any]) -> Iterator[ListedTokens]:
    """The lists of tokens that an intent names."""
    lists = entry.get("tokens", [])
    if not isinstance(lists, list):
        raise BooksError("no lists of tokens")
    time = instant_of(entry.get("time"))
    for one in lists:
        if not isinstance(one, dict) or type(one.get("count")) is not int:
            raise BooksError("no list of tokens")
        named = {name: _text(one, name) for name in ("table", "scheme", "key", "sha256")}
        yield ListedTokens(seq=entry["seq"], time=time, batch=_text(entry, "batch"), count=one["count"], **named)


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise BooksError(f"without `{name}`")
    return value


def _counts(entry: Mapping[str, Any]) -> Mapping[str, int]:
    tables = entry.get("tables")
    if not isinstance(tables, dict) or not all(type(count) is int and count >= 0 for count in tables.values()):
        raise BooksError("without counts of rows")
    return tables
