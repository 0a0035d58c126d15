"""The tables whose own rows a hold names: where its ids are compared, and what they have to look like there."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from retentiond.catalog.model import Catalog
from retentiond.compiler.binding import Binding
from retentiond.compiler.findings import Findings
from retentiond.compiler.hold_values import spelled_keys, typed_key
from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Relation
from retentiond.engine.sources import Sources
from retentiond.errors import RetentiondError, UsageError
from retentiond.policy.model import Policy, Record
from retentiond.policy.wording import listed, nearest
from retentiond.state.holds import NewHold


@dataclass(frozen=True, slots=True)
class Target:
    """A table, and the columns that an id or a key is compared with."""

    relation: Relation
    columns: tuple[str, ...]

    @property
    def by_key(self) -> bool:
        """True where an id names one row, and is all of its key."""
        return self.columns == self.relation.key

    @property
    def kind(self) -> str:
        """The columns with their types, for people."""
        named = [self.relation.column(name) for name in self.columns]
        return f"{self.relation.label} ({', '.join(f'{column.name} {column.type}' for column in named)})"

    def keys_of(self, text: str) -> tuple[Key, ...]:
        """The id as the columns may hold it; nothing where it does not fit them."""
        key = typed_key(text, self.relation, self.columns)
        return () if key is None else spelled_keys([key], self.relation, self.columns)


def policy_of_subject(policies: Sequence[Policy], subject_type: str, name: str | None) -> Policy:
    """
    The policy that has this type of subject; the one of that name where one is given.

    Raises:
        UsageError: where there is none, or more than one.
    """
    if name is not None:
        policy = next((policy for policy in policies if policy.name == name), None)
        if policy is None:
            hint = nearest(name, [policy.name for policy in policies], "policies")
            raise UsageError(f"no policy {name}", hint=hint, code="unknown-policy")
        if subject_type not in _types(policy):
            hint = nearest(subject_type, _types(policy), "subjects")
            raise UsageError(f"{name} has no subject {subject_type}", hint=hint, code="unknown-subject")
        return policy
    having = [policy for policy in policies if subject_type in _types(policy)]
    if len(having) > 1:
        names = listed([policy.name for policy in having], "and")
        raise UsageError(f"{names} have a subject {subject_type} each", hint="say which: --policy", code="which-policy")
    if not having:
        known = sorted({kind for policy in policies for kind in _types(policy)})
        hint = nearest(subject_type, known, "subjects")
        raise UsageError(f"no policy has a subject {subject_type}", hint=hint, code="unknown-subject")
    return having[0]


def targets_of(
    hold: NewHold, policies: tuple[Policy, ...], sources: Sources
) -> tuple[list[Target], dict[str, RetentiondError]]:
    """The tables whose rows the hold names itself, as far as their sources are reached; and why others were not."""
    policy = next((policy for policy in policies if policy.name == hold.policy), None)
    if policy is None:
        return [], {}
    records = [record for record in policy.records if _names(hold, record)]
    named = {name for name in sources.names for record in records for one in record.sources if fnmatchcase(name, one)}
    catalogs, unreachable = _catalogs(sources, sorted(named))
    binding = Binding(policies, catalogs, tuple(unreachable), Findings())
    found = []
    for record in records:
        for source in binding.reached(record):
            if relation := binding.relation(policy, record, source):
                subject = (record.subject_column,) if record.subject_column else ()
                columns = subject if hold.scope == "subject" else relation.key
                if all(any(column.name == name for column in relation.columns) for name in columns):
                    found.append(Target(relation, columns))
    return found, unreachable


def _catalogs(sources: Sources, names: Sequence[str]) -> tuple[dict[str, Catalog], dict[str, RetentiondError]]:
    """The schemas of these sources; a hold is placed whatever state they are in."""
    try:
        return sources.catalogs(names)
    except RetentiondError as error:
        return {}, dict.fromkeys(names, error)


def _names(hold: NewHold, record: Record) -> bool:
    """True where the hold's ids name rows of the record."""
    if hold.scope == "subject":
        return record.subject_type == hold.subject_type
    return record.name == hold.record


def _types(policy: Policy) -> list[str]:
    return sorted({record.subject_type for record in policy.records if record.subject_type})
