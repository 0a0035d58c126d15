"""What is to be said of files and of where secrets come from."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from retentiond.engine.finding import Finding, of_error
from retentiond.engine.policy_files import MEND, exposures
from retentiond.errors import RetentiondError, UsageError
from retentiond.settings import Settings
from retentiond.settings.address import has_password, parse_url, read_secret
from retentiond.settings.model import Database

WHERE = "settings"
_VARIABLES = ("PGPASSWORD", "MYSQL_PWD")  # the drivers' own


def settings_findings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What is to be said of the settings, once they could be read."""
    file = settings.file
    yield Finding("ok", "settings", WHERE, f"{file or 'the environment'} can be read")
    for exposure in exposures([file] if file else []):
        yield Finding("error", "policy-file-mode", WHERE, str(exposure), MEND)
    yield from _variables(environ)
    databases: dict[str, Database] = {"state": settings.state}
    databases |= {f"sources.{name}": source for name, source in settings.sources.items()}
    for path, database in databases.items():
        yield from _secrets(settings, path, database)


def policy_file_findings(settings: Settings) -> Iterator[Finding]:
    """What is to be said of the policy files themselves."""
    try:
        files = settings.policy_files()
    except UsageError as error:
        yield of_error(error, "policies")
        return
    found = exposures(files)
    yield from (Finding("error", "policy-file-mode", "policies", str(one), MEND) for one in found)
    if not files:
        yield Finding(
            "warning", "policies", "policies", "there is no policy: nothing will ever go", "`retentiond demo`"
        )
    elif not found:
        yield Finding("ok", "policy-files", "policies", f"nobody else may change the {len(files)} policy files")


def sqlite_findings(name: str, file: Path) -> Iterator[Finding]:
    """What is to be said of the file of a SQLite source, whose only guard is its mode."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return
    if mode & stat.S_IRWXO:
        yield Finding("warning", "file-mode", f"source {name}", f"everybody may open {file}", f"chmod o-rwx {file}")
    if not os.access(file, os.W_OK) or not os.access(file.parent, os.W_OK):
        message = f"{file} and its folder take no changes from this user"
        yield Finding("error", "SQLITE_READONLY", f"source {name}", message, "run this as the user of the daemon")


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in _VARIABLES:
        if environ.get(name):
            yield _in_environment(name)


def _in_environment(name: str) -> Finding:
    message = f"the variable {name} holds a password: every process of this user can read it, and children inherit it"
    remedy = "password_file, or a systemd credential"
    return Finding("warning", "secret-in-environment", WHERE, message, remedy)


def _secrets(settings: Settings, path: str, database: Database) -> Iterator[Finding]:
    if database.url is not None and has_password(parse_url(database.url.get_secret_value(), Path.cwd())):
        origin = settings.origin(f"{path}.url")
        if origin.startswith("RETENTIOND_"):
            yield _in_environment(origin)
        else:
            message = f"{origin}: a password stands inside the URL"
            yield Finding("warning", "secret-in-url", WHERE, message, "password_file, or a systemd credential")
            yield from _readable(settings.file)
    for file in (database.password_file, database.url_file):
        if file is not None:
            try:
                read_secret(file)
                yield Finding("ok", "secret", WHERE, f"only its owner may read {file}")
            except RetentiondError as error:
                yield of_error(error, WHERE)


def _readable(file: Path | None) -> Iterator[Finding]:
    """What is to be said of settings that hold a password."""
    if file is not None and stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"{file} holds a password, and others may read it"
        yield Finding("error", "secret-readable", WHERE, message, f"chmod 600 {file}", UsageError)
