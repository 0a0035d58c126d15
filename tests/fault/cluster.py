"""
A server of one test's own, which may be killed and started again. Unlike the servers of the whole run it keeps what it
has confirmed when its processes are killed; only the machine itself must not fail.

Run as a program this file is the server's keeper: it ends the server with `kill -9` when its own stdin ends, so that
no server outlives the tests however they end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import databases, servers

SAFER = {
    "postgresql": ["-c", "synchronous_commit=on", "-c", "idle_in_transaction_session_timeout=0"],
    "mariadb": ["--innodb-flush-log-at-trx-commit=2"],
}


class Cluster:
    """One server with its data in a folder of its own; use as a context manager."""

    def __init__(self, kind: servers.Kind) -> None:
        self.kind = kind
        self._run = servers.Run()  # a folder that the server's user can reach, removed in the end
        self._home = self._run.root / "own"
        self._port = servers._free_port()
        self.kills = 0

    @property
    def address(self) -> servers.Address:
        """Where it listens; the same after each start."""
        user = "postgres" if self.kind == "postgresql" else servers.MARIADB_USER
        return servers.Address(self.kind, "127.0.0.1", self._port, user)

    def start(self) -> None:
        """It answers when this returns."""
        command = [sys.executable, str(Path(__file__).resolve()), self.kind, str(self._home), str(self._port)]
        self._keeper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd="/"
        )
        assert self._keeper.stdout is not None
        answer = self._keeper.stdout.readline().split()
        if not answer or answer[0] != "up":
            raise servers.ServerBrokenError(f"{self.kind}: {servers._tail(self._home / 'server.log')}")
        self._wait_for_recovery()

    def kill(self) -> None:
        """Ends all of its processes as nobody can prevent; they have ended when this returns."""
        self.kills += 1
        self._let_go()

    def __enter__(self) -> Self:
        programs, owner = servers.binaries(self.kind), servers._owner(self.kind)
        self._home.mkdir(mode=0o700)
        if owner is not None:
            os.chown(self._home, owner.pw_uid, owner.pw_gid)
        servers._as(owner, self._home, servers._install_command(self.kind, programs, self._home))
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._let_go()
        self._run.stop()

    def _wait_for_recovery(self) -> None:
        """PostgreSQL greets, and refuses, while it still reads what it had not written when it was killed."""
        connect = databases._postgresql if self.kind == "postgresql" else databases._mariadb
        deadline = time.monotonic() + servers.START_SECONDS
        while True:
            try:
                connect(self.address).close()
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _let_go(self) -> None:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.wait(60)
        self._keeper.stdout.close()


def keep(kind: servers.Kind, home: Path, port: int) -> None:
    """Start the server, say its number, and end it when stdin ends."""
    deadline = time.monotonic() + 30
    server = _launch(kind, home, port)
    # The processes of a killed PostgreSQL hold its memory a moment longer, and a new one refuses to start beside them.
    while not servers._answers(server, port) and time.monotonic() < deadline:
        server.wait()
        server = _launch(kind, home, port)
    try:
        sys.stdout.write("up\n" if server.poll() is None else "down\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _launch(kind: servers.Kind, home: Path, port: int) -> subprocess.Popen[bytes]:
    owner = servers._owner(kind)
    command = [*servers._server_command(kind, servers.binaries(kind), home, port), *SAFER[kind]]
    with (home / "server.log").open("ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            env=servers._environment(home),
            start_new_session=True,  # a group of its own, so that all of its processes can be ended at once
            **servers._identity(owner),
        )


if __name__ == "__main__":
    keep("postgresql" if sys.argv[1] == "postgresql" else "mariadb", Path(sys.argv[2]), int(sys.argv[3]))
