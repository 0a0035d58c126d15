"""
A process that has imported all of retentiond and forks a victim for each order, in milliseconds instead of a second.

It listens on a socket; each connection is one order and one victim: the victim's process number comes back as a line,
and how it ended as another. When its stdin ends, because the tests are over, it ends with all its victims.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fault import victim
from tests.fault.arena import POLICY
from tests.fault.orders import Order, parse_order

DRIVERS = ("psycopg", "pymysql", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.mysql.pymysql")


def warm() -> None:
    """Import what a command might, and have pydantic build its models; nothing is opened."""
    import retentiond
    from retentiond.policy.loader import load_policy_text

    for module in pkgutil.walk_packages(retentiond.__path__, "retentiond."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    for name in (*DRIVERS, "alembic.command", "alembic.runtime.migration", "sqlalchemy.dialects.sqlite"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    load_policy_text(POLICY.format(far="crm"))


def serve(path: str) -> None:
    """Fork victims until stdin ends."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    waking, woken = os.pipe()
    for end in (waking, woken):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, _noticed)
    signal.set_wakeup_fd(woken)
    victims: dict[int, socket.socket] = {}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        watched: list[Any] = [listening, waking, 0]
        ready, _, _ = select.select(watched, [], [])
        if waking in ready:
            os.read(waking, 1000)
            _bury(victims)
        if listening in ready:
            channel, _ = listening.accept()
            order = parse_order(channel.makefile().readline())
            child = os.fork()
            if child == 0:
                _become(order, [listening, channel, *victims.values()], [waking, woken])
            victims[child] = channel
            channel.sendall(f"{child}\n".encode())
        if 0 in ready and not os.read(0, 1):
            for number in victims:
                os.kill(number, signal.SIGKILL)
            return


def _noticed(_number: int, _frame: FrameType | None) -> None:
    """A handler must be there, or the signal wakes nobody."""


def _bury(victims: dict[int, socket.socket]) -> None:
    """Tell of each victim that has ended how it did: its exit code, or minus the signal."""
    while victims:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        channel = victims.pop(child)
        with contextlib.suppress(OSError):  # nobody waits for it any more
            channel.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        channel.close()


def _become(order: Order, sockets: list[socket.socket], ends: list[int]) -> None:
    """In the forked process: let go of all that is the nursery's, and be a victim to the end."""
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in sockets:
            one.close()
        for end in ends:
            os.close(end)
        (order.folder / "stdin").write_text(order.stdin, encoding="utf-8")
        for number, path, flags in (
            (0, order.folder / "stdin", os.O_RDONLY),
            (1, order.out, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            (2, order.err, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        ):
            handle = os.open(path, flags, 0o600)
            os.dup2(handle, number)
            os.close(handle)
        code = victim.act(order)
    except BaseException as error:  # noqa: BLE001 - it must never come back into the nursery's loop
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    warm()
    serve(sys.argv[1])
