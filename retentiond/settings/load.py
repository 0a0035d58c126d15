"""From file, environment and credentials to `Settings`; every mistake is found before the first is reported."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from retentiond.errors import UsageError
from retentiond.settings.environment import tables
from retentiond.settings.file import find_file, nothing_found, read_file
from retentiond.settings.layer import KeyPath, Layer, first_origins
from retentiond.settings.model import Settings, Source
from retentiond.settings.nearest import did_you_mean
from retentiond.settings.sources import CredentialsSource, DefaultsSource, EnvironmentSource, FileSource

_PLAINLY = {
    "model_type": "must be a table",
    "mapping_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
}


def load_settings(config: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Secrets are not read yet: that happens when a database is connected to."""
    file = find_file(config, environ)
    if file is None:
        return settings_from(Layer(), environ, Path.cwd(), None)
    return settings_from(read_file(file), environ, file.absolute().parent, file)


def settings_from(below: Layer, environ: Mapping[str, str], folder: Path, file: Path | None) -> Settings:
    """The settings that this layer and the environment above it make; relative paths start at the folder."""
    environment = EnvironmentSource(environ, below, folder)
    said = environment.layer
    if file is None and not environment.problems and not (said.table("sources") or said.table("state")):
        raise nothing_found()
    sources = (environment, FileSource(below, folder), CredentialsSource(environ, folder), DefaultsSource(folder))
    mistakes: list[ErrorDetails] = []
    try:
        settings = Settings(*sources, folder=folder)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False)
    origins = first_origins([source.layer for source in sources])
    lines = [problem for source in sources for problem in source.problems]
    lines += sorted((_line(origins, details, str(file or "environment")) for details in mistakes), key=_line_number)
    if lines:
        raise UsageError("\n".join(lines), code="settings")
    settings._file = file  # noqa: SLF001 - private attributes are how a frozen model is told what is no setting
    settings._origins = {".".join(path): origin for path, origin in origins.items()}  # noqa: SLF001
    return settings


def _line(origins: Mapping[KeyPath, str], details: ErrorDetails, name: str) -> str:
    """One mistake as `place: code: message`."""
    path = tuple(str(part) for part in details["loc"] if not isinstance(part, int) and part != "[key]")
    around = (path[:length] for length in range(len(path), 0, -1))
    place = next((origins[part] for part in around if part in origins), f"{name}:1")
    if details["type"] == "extra_forbidden":
        hint = did_you_mean(path[-1], _model(path[:-1]).model_fields)
        return f"{place}: unknown-key: unknown key `{path[-1]}`{f' ({hint})' if hint else ''}"
    code = details["type"] if "-" in details["type"] else "wrong-value"
    return f"{place}: {code}: `{'.'.join(path)}`: {_PLAINLY.get(details['type'], details['msg'])}"


def _line_number(line: str) -> int:
    match = re.search(r":(\d+): ", line)
    return int(match[1]) if match else 0


def _model(path: tuple[str, ...]) -> type[BaseModel]:
    """The model of the table at that path."""
    if not path:
        return Settings
    return Source if path[0] == "sources" else tables()[path[0]]
