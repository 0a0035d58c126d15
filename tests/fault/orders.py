"""What a victim is told to do, as values that travel to another process as one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Action = Literal["kill", "stop", "raise", "sleep", "wait", "disk", "system", "limit"]
"""
At a point of the protocol the victim: ends itself as `kill -9` does; freezes itself (SIGSTOP); raises an OSError;
sleeps; waits until it is told to go on; has its disk fail from here on (`disk`: calls of SQLite, `system`: calls of
Python, `limit`: no file grows).
"""

BEGIN = "begin"
"""The point at which a victim is before it does anything."""

Build = Literal["", "predicate", "record", "holds", "no-lock"]
"""A build broken on purpose: what it leaves out. `no-lock` has two daemons where no lock keeps them apart."""


@dataclass(frozen=True)
class Fault:
    """Something that happens when the victim reaches a point for the nth time."""

    action: Action
    point: str
    nth: int = 1
    seconds: float = 0.0  # of `sleep`; of `limit` the bytes
    what: str = ""  # of `disk` and `system`: which call, see `tests.fault.disk`; of `raise`: the name of an errno


@dataclass(frozen=True)
class Order:
    """Commands of retentiond, one after another in one process, and what befalls them. Its files lie in `folder`."""

    folder: Path
    commands: Sequence[Sequence[str]]
    faults: Sequence[Fault] = ()
    build: Build = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""

    @property
    def out(self) -> Path:
        """What it wrote to stdout."""
        return self.folder / "stdout"

    @property
    def err(self) -> Path:
        """What it wrote to stderr."""
        return self.folder / "stderr"

    @property
    def steps(self) -> Path:
        """A line for each point it reached, with the time."""
        return self.folder / "steps"

    @property
    def codes(self) -> Path:
        """A line for each command that came to its end: number, exit code, time."""
        return self.folder / "codes"

    @property
    def go(self) -> Path:
        """Exists when a victim that waits may go on."""
        return self.folder / "go"

    def fired(self, number: int) -> Path:
        """Exists when the fault of that number has fired."""
        return self.folder / f"fired-{number}"

    def as_line(self) -> str:
        """The order as one line."""
        return json.dumps(asdict(self), default=str) + "\n"


def parse_order(line: str) -> Order:
    """The order of such a line."""
    document: dict[str, Any] = json.loads(line)
    document["folder"] = Path(document["folder"])
    document["faults"] = tuple(Fault(**fault) for fault in document["faults"])
    return Order(**document)
