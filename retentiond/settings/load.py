"""From file, environment and credentials to `Settings`; every mistake is found before the first is reported."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from retentiond.errors import UsageError
from retentiond.settings.address import has_password, parse_url
from retentiond.settings.environment import read_environment, tables
from retentiond.settings.file import find_file, nothing_found, read_file
from retentiond.settings.layer import Layer, merge
from retentiond.settings.model import DEFAULT_STATE, Settings, Source
from retentiond.settings.nearest import did_you_mean

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
    above, problems = read_environment(environ, below.table("sources"))
    if file is None and not problems and not (above.table("sources") or above.table("state")):
        raise nothing_found()
    layer = merge(below, above)
    problems += _one_password_each(layer, folder)
    _add_credentials(layer, folder, environ)
    _add_defaults(layer, folder)
    settings = _check(layer, folder, str(file or "environment"), problems)
    settings._file = file  # noqa: SLF001 - private attributes are how a frozen model is told what is no setting
    settings._origins = {".".join(path): origin for path, origin in layer.origins.items()}  # noqa: SLF001
    return settings


def _password_in_url(table: Mapping[str, Any], folder: Path) -> bool:
    try:
        return has_password(parse_url(str(table["url"]), folder)) if "url" in table else False
    except UsageError:
        return False  # the check of the values says what is wrong with it


def _one_password_each(layer: Layer, folder: Path) -> list[str]:
    """A line for each database with two passwords; where one comes from the environment, that one counts."""
    problems = []
    for database in layer.databases:
        table = layer.table(*database)
        if "password_file" not in table or not _password_in_url(table, folder):
            continue
        url, file = (layer.origins.get((*database, key), "") for key in ("url", "password_file"))
        from_variable = [origin.startswith("RETENTIOND_") for origin in (url, file)]
        if from_variable == [True, False]:
            layer.drop((*database, "password_file"))
        elif from_variable[0] == from_variable[1]:
            problems.append(f"{file}: two-passwords: `url` holds a password already; keep one of the two")
    return problems


def _add_credentials(layer: Layer, folder: Path, environ: Mapping[str, str]) -> None:
    """Point databases without a secret of their own at the systemd credential of their name: a password, or a URL."""
    where = environ.get("CREDENTIALS_DIRECTORY")
    if not where:
        return
    for database in layer.databases:
        table = layer.table(*database)
        file = Path(where) / database[-1]
        if "password_file" in table or "url_file" in table or _password_in_url(table, folder) or not file.is_file():
            continue
        key = "password_file" if "url" in table else "url_file"
        layer.put((*database, key), str(file), f"credential {database[-1]}")


def _add_defaults(layer: Layer, folder: Path) -> None:
    """Fill in what depends on the folder of the settings and on the state store."""
    layer.values.setdefault("policies", "policies")
    state = layer.values.setdefault("state", {})
    if isinstance(state, dict) and not {"url", "url_file"} & state.keys():
        state["url"] = DEFAULT_STATE
    ledger = layer.values.setdefault("ledger", {})
    if not isinstance(ledger, dict):
        return
    ledger.setdefault("checkpoint_copy", "checkpoints")
    if "keys" not in ledger and "url" in layer.table("state"):
        try:
            url = parse_url(str(layer.table("state")["url"]), folder)
        except UsageError:
            return
        if url.get_backend_name() == "sqlite":
            ledger["keys"] = str(Path(url.database or "").parent / "keys")


def _check(layer: Layer, folder: Path, name: str, problems: Sequence[str]) -> Settings:
    """The values as settings, or one UsageError with a line for every problem."""
    lines = list(problems)
    try:
        settings = Settings.model_validate(layer.values, context={"folder": folder})
    except ValidationError as error:
        found = [_line(layer, details, name) for details in error.errors(include_url=False, include_input=False)]
        lines += sorted(found, key=_line_number)
    if lines:
        raise UsageError("\n".join(lines), code="settings")
    return settings


def _line(layer: Layer, details: ErrorDetails, name: str) -> str:
    """One mistake as `place: code: message`."""
    path = tuple(str(part) for part in details["loc"] if not isinstance(part, int) and part != "[key]")
    place = layer.near(path) or f"{name}:1"
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
