"""What the triggers of a job's tables change there by themselves: the run measures its effect against that."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retentiond.catalog.model import Catalog
from retentiond.compiler.plan import Step, Stir
from retentiond.compiler.triggers import acting, with_partitions


def with_stirs(steps: Sequence[Step], catalogs: Mapping[str, Catalog]) -> tuple[Step, ...]:
    """The steps with the triggers that change rows of these steps' tables, and of no others."""
    owners: dict[tuple[str, str], str] = {}
    for step in steps:
        catalog = catalogs[step.relation.source]
        for part in with_partitions(catalog, catalog.tables[step.relation.name]):
            owners[step.relation.source, part.name] = step.relation.name
    return tuple(replace(step, stirs=_stirs(step, catalogs[step.relation.source], owners)) for step in steps)


def _stirs(step: Step, catalog: Catalog, owners: Mapping[tuple[str, str], str]) -> tuple[Stir, ...]:
    parts = list(with_partitions(catalog, catalog.tables[step.relation.name]))
    found: dict[Stir, None] = {}
    for trigger in (*acting(parts, "UPDATE"), *acting(parts, "DELETE")):
        tables = [owners.get((step.relation.source, name)) for name in trigger.touches or ()]
        if tables and None not in tables:
            named = tuple(dict.fromkeys(name for name in tables if name is not None))
            found[Stir(trigger.name, trigger.digest, named)] = None
    return tuple(found)
