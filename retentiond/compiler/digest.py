"""
The digest of a job: equal for what does the same, on every machine.

Of each table only the columns that the job reads, compares or changes count. What else happens to a schema is the
fingerprint's to notice.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from retentiond.compiler.plan import ClockRead, Job, Relation, Step
from retentiond.policy.conditions import columns_of

_Used = Mapping[str, set[str]]


def job_digest(job: Job) -> str:
    """The digest of one job."""
    return _sha256(_plain(job, used_columns(job)))


def plan_digest(jobs: Iterable[Job]) -> str:
    """The digest of jobs that have theirs. The order of the policies does not matter, that of a policy's rules does."""
    return _sha256([job.digest for job in sorted(jobs, key=lambda job: job.policy)])


def _sha256(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def used_columns(job: Job) -> Mapping[str, set[str]]:
    """By label the columns that the job's statements name."""
    used: dict[str, set[str]] = defaultdict(set)
    for step in (*job.cascade, job.step):
        own = used[step.relation.label]
        own.update(step.relation.key, step.keepers.held)
        for edge in step.edges:
            own.update(edge.child_columns)
            used[edge.parent].update(edge.parent_columns)
        for floor in step.keepers.floors:
            own.update(columns_of(floor.where) if floor.where else ())
            _follow(floor.clock, step, used)
        if step.expiry:
            own.update(columns_of(step.expiry.where) if step.expiry.where else ())
            for clock in step.expiry.clocks:
                _follow(clock, step, used)
        if step.masking:
            own.update(name for name, _ in step.masking.methods)
            own.update([step.masking.marker] if step.masking.marker else ())
    return used


def _follow(clock: ClockRead, step: Step, used: dict[str, set[str]]) -> None:
    near = [step.relation.label]
    for hop in clock.hops:
        for label in near:
            used[label].add(hop.near_column)
        near = [far.label for far in hop.far]
        for label in near:
            used[label].add(hop.far_column)
    for label in near:
        used[label].add(clock.column)


def _plain(value: object, used: _Used) -> object:
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(item, used) for item in value]
    if isinstance(value, Relation):
        columns = (column for column in value.columns if column.name in used.get(value.label, ()))
        return _named(value, used) | {"columns": {column.name: _plain(column, used) for column in columns}}
    if is_dataclass(value) and not isinstance(value, type):
        return _named(value, used)
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, (frozenset, set)):
        return sorted(str(item) for item in value)
    return f"{type(value).__name__}:{value}"


def _named(value: Any, used: _Used) -> dict[str, object]:
    names = [field.name for field in fields(value) if not (field.name == "columns" and isinstance(value, Relation))]
    return {"": type(value).__name__} | {name: _plain(getattr(value, name), used) for name in names}
