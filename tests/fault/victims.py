"""Victims as the tests see them: started in the nursery, watched from outside, ended, frozen, woken."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.fault.orders import BEGIN, Build, Fault, Order

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0  # seconds; whatever takes longer hangs, and that is a finding

_numbers = itertools.count(1)


class HangsError(AssertionError):
    """A victim did not come to an end, or to a point, in time."""


@dataclass
class Victim:
    """One process at work for retentiond."""

    order: Order
    pid: int
    _channel: socket.socket
    _ended: int | None = None
    started: float = field(default_factory=time.monotonic)

    def wait(self, seconds: float = PATIENCE) -> int:
        """How it ended: its exit code, or minus the number of the signal that ended it."""
        if not self._ends(seconds):
            raise HangsError(f"no end within {seconds} s\n{self.story()}")
        assert self._ended is not None
        return self._ended

    @property
    def over(self) -> bool:
        """True where it has ended."""
        return self._ends(0)

    def _ends(self, seconds: float) -> bool:
        """True where it ends in time."""
        if self._ended is None and select.select([self._channel], [], [], seconds)[0]:
            self._ended = int(_line(self._channel))
            self._channel.close()
        return self._ended is not None

    def signal(self, number: int) -> None:
        """Sends it a signal; it has not been waited for."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it as nobody can prevent; it has ended when this returns."""
        if self._ended is None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self.wait()

    def wait_frozen(self, seconds: float = PATIENCE) -> bool:
        """True when it has frozen, False where it ended before it came that far."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.over:
                return False
            if _state(self.pid) == "T":
                return True
            time.sleep(0.002)
        raise HangsError(f"not frozen within {seconds} s\n{self.story()}")

    def wait_fired(self, number: int = 0, seconds: float = PATIENCE) -> bool:
        """True when that fault has fired, False where the victim ended before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.order.fired(number).exists():
                return True
            if self.over:
                return self.order.fired(number).exists()
            time.sleep(0.002)
        raise HangsError(f"fault {number} did not fire within {seconds} s\n{self.story()}")

    def wait_step(self, seconds: float = PATIENCE) -> bool:
        """True when it has come to its first chunk, False where it ended before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.steps():
                return True
            if self.over:
                return bool(self.steps())
            time.sleep(0.002)
        raise HangsError(f"no chunk within {seconds} s\n{self.story()}")

    def go(self) -> None:
        """Lets it go on where it waits."""
        self.order.go.touch()

    def fired(self, number: int = 0) -> bool:
        """True where that fault has fired."""
        return self.order.fired(number).exists()

    @property
    def out(self) -> str:
        """What it wrote to stdout."""
        return _text(self.order.out)

    @property
    def err(self) -> str:
        """What it wrote to stderr."""
        return _text(self.order.err)

    def steps(self) -> list[tuple[str, float]]:
        """The points of the protocol that it reached, each with the time."""
        found = [(name, float(when)) for name, when in map(str.split, _lines(self.order.steps))]
        return [(name, when) for name, when in found if name != BEGIN]

    def codes(self) -> list[tuple[int, int, float]]:
        """For each command that came to its end: its number, its exit code and the time."""
        found = [line.split() for line in _lines(self.order.codes)]
        return [(int(number), int(code), float(when)) for number, code, when in found]

    def story(self) -> str:
        """What is known of it, for a message."""
        reached = " ".join(name for name, _ in self.steps()[-12:])
        return (
            f"commands {self.order.commands}\nfaults {self.order.faults}\nbuild {self.order.build!r}\n"
            f"ended {self._ended}\nlast points {reached}\nstdout {self.out[-2000:]}\nstderr {self.err[-3000:]}"
        )


class Nursery:
    """The process that forks victims; use as a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rtd-nursery-")
        self._path = f"{self._folder.name}/socket"
        self._victims: list[Victim] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.nursery", self._path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=_environment(),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        for victim in self._victims:
            victim._channel.close()
        self._folder.cleanup()

    def start(
        self,
        folder: Path,
        *commands: Sequence[str],
        faults: Sequence[Fault] = (),
        build: Build = "",
        stdin: str = "",
        environment: dict[str, str] | None = None,
    ) -> Victim:
        """A victim that carries the commands out one after another, in a new folder of its own below that one."""
        own = folder / f"victim-{next(_numbers)}"
        own.mkdir()
        order = Order(own, commands, faults, build, environment or {}, stdin)
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(self._path)
        channel.sendall(order.as_line().encode())
        victim = Victim(order, int(_line(channel)), channel)
        self._victims = [one for one in self._victims if one._ended is None]
        self._victims.append(victim)
        return victim


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RETENTIOND_")}


def _line(channel: socket.socket) -> str:
    """One line, byte by byte, since the next is another call's."""
    read = b""
    while not read.endswith(b"\n"):
        byte = channel.recv(1)
        if not byte:
            raise AssertionError("the nursery has ended")
        read += byte
    return read.decode()


def _text(path: Path) -> str:
    """What is in a file, nothing where a victim has not come so far as to make it."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _lines(path: Path) -> list[str]:
    """The lines of a file that are whole."""
    return _text(path).rpartition("\n")[0].splitlines()


def _state(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]
