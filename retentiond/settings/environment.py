"""Settings from the environment: every known variable becomes a value, every unknown one an error."""

import os
import re
from collections.abc import Iterable, Mapping

from pydantic import BaseModel

from retentiond.settings.layer import KeyPath, Layer
from retentiond.settings.model import Settings, Source
from retentiond.settings.nearest import did_you_mean

PREFIX = "RETENTIOND_"
OTHERS = ("RETENTIOND_CONFIG", "RETENTIOND_DEBUG")  # read elsewhere, and no settings

# Kubernetes sets these in every container once a service is called `retentiond`; nobody mistyped them.
_KUBERNETES = re.compile(r"RETENTIOND_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")

_SEPARATORS = {"policies": os.pathsep, "accept": ","}  # the lists, by the last part of their path


def variable(path: KeyPath) -> str:
    """The name of the variable that sets this path."""
    return PREFIX + "__".join(part.upper().replace("-", "_") for part in path)


def tables() -> dict[str, type[BaseModel]]:
    """The model of each table of fixed name: state, ledger, approval, metrics."""
    found = {}
    for name, info in Settings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found[name] = info.annotation
    return found


def paths(sources: Iterable[str]) -> list[KeyPath]:
    """Every path that may be set, with these sources."""
    of_tables = tables()
    plain: list[KeyPath] = [(name,) for name in Settings.model_fields if name not in of_tables and name != "sources"]
    fixed: list[KeyPath] = [(name, key) for name, model in of_tables.items() for key in model.model_fields]
    return [*plain, *fixed, *(("sources", name, key) for name in sources for key in Source.model_fields)]


def read_environment(environ: Mapping[str, str], below: Layer) -> tuple[Layer, list[str]]:
    """
    What the environment says, and a line for each variable that nobody knows.

    The layer below tells the sources by name. A value below that stands where a table should be is not hidden by a
    variable: the check then finds it.
    """
    names = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    sources = {name.upper().replace("-", "_"): name for name in below.table("sources")}
    for name in names:
        source = _source_part(name)
        if source is not None:
            sources.setdefault(source, source.lower().replace("_", "-"))
    known = {variable(path): path for path in paths(sources.values())}
    layer = Layer()
    problems = []
    for name, value in sorted(names.items()):
        if name in known:
            path = known[name]
            if not below.takes(path):
                continue
            separator = _SEPARATORS.get(path[-1])
            given = [part.strip() for part in value.split(separator) if part.strip()] if separator else value
            layer.put(path, given, name)
        elif name not in OTHERS and not _KUBERNETES.fullmatch(name):
            hint = did_you_mean(name, [*known, *OTHERS])
            tail = f" ({hint})" if hint else ""
            problems.append(f"{name}: unknown-variable: no setting has this name{tail}")
    return layer, problems


def _source_part(name: str) -> str | None:
    """The part of a variable that names a source, where its last part is a key of sources."""
    parts = name.removeprefix(PREFIX).split("__")
    if len(parts) < 3 or parts[0] != "SOURCES" or parts[-1].lower() not in Source.model_fields:
        return None
    return "__".join(parts[1:-1])
