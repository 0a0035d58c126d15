"""The settings file: which one it is, what it says, and on which line it says it."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from retentiond.errors import UsageError
from retentiond.settings.layer import Layer, leaves

PLACES = (Path("retentiond.toml"), Path("/etc/retentiond/retentiond.toml"))

_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def find_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The first settings file there is. One that was named and is missing is an error, not a reason to look further."""
    named = environ.get("RETENTIOND_CONFIG")
    for path, who in ((config, "--config"), (Path(named) if named else None, "RETENTIOND_CONFIG")):
        if path is not None:
            if not path.exists():
                raise UsageError(f"{path}: no such settings file, named by {who}", code="settings-missing")
            return path
    return next((place for place in PLACES if place.exists()), None)


def nothing_found() -> UsageError:
    """The error where no settings are found: it names every place that was looked at."""
    return UsageError(
        "no settings found; looked at --config, RETENTIOND_CONFIG, ./retentiond.toml and "
        "/etc/retentiond/retentiond.toml, and the environment names no source and no state store",
        hint="`retentiond demo` makes settings to try",
        code="settings-missing",
    )


def read_file(path: Path) -> Layer:
    """What the file says, each key with `file:line`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", code="settings-unreadable") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not-utf-8: settings are UTF-8 text", code="settings-unreadable") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Layer:
    """What a text says, each key with `name:line`."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _POSITION.fullmatch(str(error))
        what, line, column = match.groups() if match else (str(error), None, None)
        if line is None:
            line, column = str(len(text.splitlines()) or 1), "1"
        raise UsageError(f"{name}:{line}:{column}: syntax: {what}", code="settings-syntax") from None
    return Layer(values, {path: f"{name}:{line}" for path, line in _lines(text).items()})


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """
    The line on which each key of a good TOML text starts.

    Lines are gathered until they make a whole statement, which the parser itself then takes apart: so quoted and
    dotted keys, texts and lists over several lines and inline tables need no rules of our own.
    """
    found: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    gathered = ""
    start = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        start = start if gathered else number
        gathered += line
        try:
            statement = tomllib.loads(gathered)
        except tomllib.TOMLDecodeError:
            continue
        is_header = gathered.lstrip().startswith("[")
        gathered = ""
        paths = leaves(statement)
        if is_header:
            header = paths[-1]
        for path in paths:
            found.setdefault(path if is_header else (*header, *path), start)
    return found
