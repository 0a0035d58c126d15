"""The search for data subjects in the ledger: their ids become the keys of their own rows, these become tokens."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from retentiond.catalog.model import Catalog
from retentiond.compiler.binding import Binding
from retentiond.compiler.findings import Findings
from retentiond.compiler.hold_values import bytewise, spelled, typed
from retentiond.compiler.plan import Relation
from retentiond.engine.custody import ledger_label, table_names
from retentiond.engine.recognition import COMMITTED, SETTLED, Batch
from retentiond.errors import RetentiondError, UsageError
from retentiond.policy.facts import rule_facts
from retentiond.policy.model import Policy
from retentiond.reports import certificate_words as words
from retentiond.reports.certificate import Backup, Gap, Restore
from retentiond.reports.certificate_facts import gaps_of
from retentiond.reports.subject import Match, Searched
from retentiond.state.keys import KeyRing
from retentiond.state.ledger.leaf import instant_of
from retentiond.state.ledger.ledger import Ledger
from retentiond.state.ledger.tokens import token_of

Leaf = Mapping[str, Any]

_CHILDREN = "rows of other tables that went along with a subject's"
_WHY_CHILDREN = "they are counted in the batch, and their tokens do not say whose they were"


class History:
    """Every batch that was committed, what its run said of the rule, and every restore. Give it each entry in order."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.restores: list[Leaf] = []
        self.rules: dict[str, Mapping[str, Any]] = {}
        self.gaps: list[tuple[str, Gap]] = []
        self._open: dict[str, Leaf] = {}

    def take(self, entry: Leaf) -> None:
        """One entry more."""
        match entry["kind"]:
            case "intent":
                self._open[entry["batch"]] = entry
                if "rule" in entry:
                    self.rules.setdefault(entry["run"], entry["rule"])
            case "outcome" if entry["status"] in SETTLED:
                intent = self._open.pop(entry["batch"])
                if entry["status"] in COMMITTED:
                    self.batches.append(Batch(intent, entry))
            case "restore" if "fence" in entry:
                self.restores.append(entry)
            case "restore":
                self.gaps += gaps_of(entry)

    def restores_of(self, batch: Batch, source: str) -> tuple[Restore, ...]:
        """The restores of the source that went back to before the batch."""
        reached = max((fence["seq"] for fence in batch.outcome["fences"] if fence["source"] == source), default=0)
        return tuple(
            Restore(source, instant_of(entry["time"]), entry["seq"])
            for entry in self.restores
            if entry["seq"] > batch.outcome["seq"]
            and (entry["job"], entry["source"]) == (batch.outcome["job"], source)
            and entry["fence"] < reached
        )


@dataclass(frozen=True, slots=True)
class _Table:
    record: str
    relation: Relation
    values: Sequence[tuple[int, object]]  # the line of the subject, and a key that its row may have had


@dataclass(slots=True)
class Search:
    """
    One search: the subjects of a type in a policy. `ids` are the lines of a file, each with its number; `unreachable`
    says by source why its schema is not among the catalogs.
    """

    policies: tuple[Policy, ...]
    policy: Policy
    subject_type: str
    ids: Mapping[str, int]
    catalogs: Mapping[str, Catalog]
    unreachable: Mapping[str, RetentiondError]
    kept: Mapping[str, timedelta | None]
    not_searched: list[tuple[str, str]] = field(default_factory=list)

    def tables(self) -> list[_Table]:
        """
        The tables in which a row is a subject and its key the subject's id.

        Raises:
            UsageError: where an id can be the key of none of them.
        """
        binding = Binding(self.policies, self.catalogs, tuple(self.unreachable), Findings())
        found = [table for record in self.policy.records for table in self._tables_of(binding, record.name)]
        self.not_searched.append((_CHILDREN, _WHY_CHILDREN))
        fitting = {line for table in found for line, _ in table.values}
        for line in self.ids.values():
            if found and line not in fitting:
                where = ", ".join(table.relation.label for table in found)
                raise UsageError(f"line {line} can be no key of {where}", code="bad-id")
        return found

    def _tables_of(self, binding: Binding, name: str) -> Iterator[_Table]:
        record = self.policy.record(name)
        if record.subject_type != self.subject_type:
            return
        for source in binding.sources(record):
            what = f"{name} ({source}.{record.table})"
            if source not in binding.catalogs:
                self.not_searched.append((what, self.unreachable[source].message))
                continue
            relation = binding.relation(self.policy, record, source)
            if relation is None:
                self.not_searched.append((what, "the table is not there any more"))
            elif relation.key != (record.subject_column,):
                why = f"its rows are not keyed by {record.subject_column}, which says whose they are"
                self.not_searched.append((what, why))
            else:
                yield _Table(name, relation, list(self._values(relation)))

    def _values(self, relation: Relation) -> Iterator[tuple[int, object]]:
        """Every value that the key of a subject's row may have had, as a driver gives it."""
        column = relation.column(relation.key[0])
        for text, line in self.ids.items():
            value = typed(text, column, relation.dialect)
            for one in () if value is None else spelled(value, column, relation.dialect):
                yield line, one
                if isinstance(one, str) and column.length and column.type.startswith(("character(", "bpchar")):
                    yield line, one.ljust(column.length)

    def note_gaps(self, relation: Relation, history: History) -> None:
        """Notes what the ledger no longer knows of the relation's source."""
        for job, gap in history.gaps:
            lost = (
                f"{words.batches(gap.steps)} of {job}",
                f"the ledger lost them with its state store (entry {gap.seq})",
            )
            if gap.source == relation.source and lost not in self.not_searched:
                self.not_searched.append(lost)

    def look(self, table: _Table, history: History, ledger: Ledger, keys: KeyRing) -> tuple[Searched, list[Match]]:
        """What the ledger has of the subjects in one table."""
        label, names = ledger_label(table.relation), table_names(table.relation)
        self.note_gaps(table.relation, history)
        column = table.relation.column(table.relation.key[0])
        made: dict[tuple[str, str], dict[bytes, int]] = {}
        matches: list[Match] = []
        batches = rows = lost = 0
        for batch in history.batches:
            if label not in batch.outcome["tables"]:
                continue
            batches += 1
            lists = [one for one in ledger.tokens_of(batch.intent["batch"]) if one.table == label]
            if not lists:
                lost += batch.outcome["tables"][label]
            for one in lists:
                secret = keys.token_key_of(one.key)
                if secret is None:
                    lost += one.count
                    continue
                rows += one.count
                if (one.key, one.scheme) not in made:
                    tokens = (
                        (token_of(secret, one.scheme, table.relation.source, *names, (value,)), line)
                        for line, value in table.values
                    )
                    made[one.key, one.scheme] = {token: line for token, line in tokens if token is not None}
                lines = {line for token, line in made[one.key, one.scheme].items() if token in one}
                matches += [self._match(line, table.relation, batch, history) for line in sorted(lines)]
        exact = bytewise(column, table.relation.dialect)
        return Searched(table.record, label, batches, rows, lost, exact), matches

    def _match(self, line: int, relation: Relation, batch: Batch, history: History) -> Match:
        outcome = batch.outcome
        at = instant_of(outcome["time"])
        rule = history.rules.get(outcome["run"]) or self._rule_of_today(outcome["job"])
        backup = Backup(relation.source, at, self.kept.get(relation.source), ZoneInfo(self.policy.timezone))
        return Match(
            line=line,
            table=ledger_label(relation),
            job=outcome["job"],
            run=outcome["run"],
            batch=outcome["batch"],
            action=outcome["action"],
            at=at,
            evidence=outcome["evidence"],
            seq=outcome["seq"],
            rule=rule,
            backups_until=backup.until,
            restores=history.restores_of(batch, relation.source),
        )

    def _rule_of_today(self, job: str) -> Mapping[str, Any] | None:
        name = job.rpartition("@")[0]
        for policy in self.policies:
            for rule in policy.rules:
                if f"{policy.name}/{rule.name}" == name:
                    return rule_facts(policy, rule)
        return None


def entries_of(matches: Iterable[Match], history: History) -> list[Leaf]:
    """The entries that the matches rest on."""
    wanted = {match.batch for match in matches}
    found = [
        leaf for batch in history.batches if batch.outcome["batch"] in wanted for leaf in (batch.intent, batch.outcome)
    ]
    restores = {one.seq for match in matches for one in match.restores}
    return found + [entry for entry in history.restores if entry["seq"] in restores]
