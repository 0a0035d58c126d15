"""Which process did something, and whether it still lives."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process. `born` differs between two processes that had the same number one after the other."""

    host: str
    pid: int
    born: str


def this_process() -> Owner:
    """The process that asks."""
    return Owner(socket.gethostname(), os.getpid(), _born(os.getpid()))


def is_alive(owner: Owner) -> bool | None:
    """True or False for a process of this host, None where nobody here can know."""
    if owner.host != socket.gethostname():
        return None
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, but there
    return _born(owner.pid) == owner.born


def _born(pid: int) -> str:
    """The boot and the tick at which the process started; empty where the system has no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name in parentheses may hold anything; behind it the state comes first and the start 20th.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        state, tick = fields[0], fields[19]
    except (OSError, IndexError):
        return ""
    return "dead" if state in "ZX" else f"{boot}/{tick}"  # a zombie keeps its number, and does nothing any more
