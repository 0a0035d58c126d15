"""Makes the demo's folder: five companies' databases, their policies with test cases, and settings for them all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from retentiond.demo import blooom, blue_messaggio, bluspark, bsoft, sparkcentral
from retentiond.demo.database import Database
from retentiond.errors import RefusedError

MARK = ".retentiond-demo"
SETTINGS = "retentiond.toml"
STATE = "state.db"
SIDE_FILES = ("", "-wal", "-shm", "-journal")  # SQLite's own, beside a database

COMPANIES: Mapping[str, Callable[[int, datetime], dict[str, Database]]] = {
    "sparkcentral": sparkcentral.make,
    "bsoft": bsoft.make,
    "blooom": blooom.make,
    "bluspark": bluspark.make,
    "blue-messaggio": blue_messaggio.make,
}


class Source(NamedTuple):
    """One database that was made: where it is, and how many rows it holds."""

    path: Path
    rows: int


@dataclass(frozen=True, slots=True)
class DemoLayout:
    """What `build_demo` made: the folder, the settings, the policies, and the databases by the name of their source."""

    directory: Path
    settings: Path
    policies: Path
    sources: Mapping[str, Source]


def build_demo(directory: Path, rows: int, now: datetime) -> DemoLayout:
    """
    Make the demo below `directory`, about `rows` rows per company, as things would stand at `now` (with its zone).

    A demo that was made there before is replaced. What lies there now lies nowhere within ten minutes of `now`.

    Raises:
        RefusedError: the folder holds something that no demo made; nothing was touched.
    """
    directory = directory.resolve()
    _clear(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    _write(directory / MARK, "Made by `retentiond demo`, which replaces what it made here.\n")
    policies = _copy_policies(directory)
    sources: dict[str, Source] = {}
    for company, make in COMPANIES.items():
        (directory / company).mkdir(mode=0o700)
        for name, database in make(rows, now).items():
            path = directory / company / f"{name}.db"
            database.write(path)
            sources[f"{company}-{name}"] = Source(path, database.size)
    settings = directory / SETTINGS
    _write(settings, _settings(directory, policies, sources))
    return DemoLayout(directory, settings, policies, sources)


def published_policies() -> Path:
    """The folder of the five policies: inside an installed package, beside it in a clone."""
    here = Path(__file__).parent
    installed = here / "policies"
    return installed if installed.is_dir() else here.parents[1] / "policies"


def _settings(directory: Path, policies: Path, sources: Mapping[str, Source]) -> str:
    lines = [
        "# The demo's settings; every path is absolute, so that commands work from any folder.",
        f"policies = {_quoted(str(policies))}",
        'timezone = "Europe/Paris"',
        "",
        "[state]",
        f"url = {_quoted(_url(directory / STATE))}",
    ]
    for name, source in sources.items():
        lines += ["", f"[sources.{name}]", f"url = {_quoted(_url(source.path))}"]
    return "\n".join(lines) + "\n"


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


def _quoted(text: str) -> str:
    """The text as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner reads and writes."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")


def _copy_policies(directory: Path) -> Path:
    """Copy the five policies and their test cases; returns the folder they are in now."""
    origin, target = published_policies(), directory / "policies"
    for folder in ("", "tests"):
        (target / folder).mkdir(mode=0o700)
        for file in sorted((origin / folder).glob("*.yaml")):
            if file.stem in COMPANIES:
                _write(target / folder / file.name, file.read_text(encoding="utf-8"))
    return target


def _clear(directory: Path) -> None:
    """Remove an earlier demo; refuse before the first removal where anything else is found."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise RefusedError(f"{directory} is no folder", hint="name a new or an empty folder")
    present = sorted(directory.iterdir())
    if not present:
        return
    if not (directory / MARK).is_file():
        raise RefusedError(f"{directory} holds files that no demo made", hint="name a new or an empty folder")
    foreign = [path for path in present if not _is_ours(path)]
    if foreign:
        names = ", ".join(str(path.relative_to(directory)) for path in foreign[:3])
        raise RefusedError(f"{directory} also holds what no demo made: {names}", hint="move it elsewhere first")
    for path in present:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_ours(path: Path) -> bool:
    """True where the demo, or a command run on it, makes a file or folder of that name and with such contents."""
    if path.is_symlink():
        return False
    if path.is_file():
        return path.name in (MARK, SETTINGS) or path.name.startswith(STATE)
    if path.name in COMPANIES:
        return all(entry.is_file() and entry.name.endswith(tuple(".db" + end for end in SIDE_FILES))
                   for entry in path.iterdir())  # fmt: skip
    if path.name == "policies":
        ours = {f"{company}.yaml" for company in COMPANIES}
        return all(entry.name in ours or (entry.name == "tests" and {file.name for file in entry.iterdir()} <= ours)
                   for entry in path.iterdir())  # fmt: skip
    return path.name in ("keys", "checkpoints", f"{STATE}.locks")
