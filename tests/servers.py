"""Private database servers for the tests: one PostgreSQL and one MariaDB for a whole run, whatever the worker count.

A run owns a folder (`Run`). The first process that needs a server starts its *keeper*: this file, run as a program of
its own, which starts the server, writes down where it listens, and then waits for a lock that the run holds as long as
it lives. The kernel drops that lock however the run ends – normally, Ctrl-C, `kill -9` – so no server outlives it.

Nothing but the standard library here, because the keeper is started with this file alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

Kind = Literal["postgresql", "mariadb"]

START_SECONDS = 60
STOP_SECONDS = 20
ATTEMPTS = 3  # a port that was free when we looked may be taken when the server looks

MARIADB_USER = "tests"


class ServerMissingError(Exception):
    """The server's binaries are not on this machine."""


class ServerBrokenError(Exception):
    """The binaries are there, but no server came up."""


@dataclass(frozen=True)
class Address:
    """Where a running server listens."""

    kind: Kind
    host: str
    port: int
    user: str


class Run:
    """One test run: the folder its servers live in, and the lock that says it is alive."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="rtd-", dir=_reachable_folder()))
        self.root.chmod(0o755)  # the servers run as another user where we are root
        self._alive = _lock(self.root / "alive")

    def stop(self) -> None:
        """Stop what was started; the folder and every server are gone when this returns."""
        self._alive.close()
        for kind in ("postgresql", "mariadb"):
            if (self.root / f"{kind}.keeper").exists():
                _lock(self.root / f"{kind}.keeper").close()  # held by the keeper until its server has ended
        shutil.rmtree(self.root, ignore_errors=True)


def address(root: Path, kind: Kind) -> Address:
    """The one server of that kind in this run, started now if nobody needed it before."""
    binaries(kind)
    answer = root / f"{kind}.json"
    with _lock(root / f"{kind}.start"):
        if not answer.exists():
            _start_keeper(root, kind, answer)
    found = json.loads(answer.read_text())
    if "error" in found:
        raise ServerBrokenError(found["error"])
    return Address(**found)


def binaries(kind: Kind) -> dict[str, str]:
    """Paths of the programs a server needs, by name; ServerMissingError names those that were not found."""
    if kind == "postgresql":
        wanted, folders = ["initdb", "postgres"], _versioned_folders()
    else:
        wanted, folders = ["mariadb-install-db", "mariadbd"], [Path("/usr/sbin"), Path("/usr/local/sbin")]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
    found = {name: shutil.which(name, path=path) for name in wanted}
    missing = [name for name, where in found.items() if where is None]
    if missing:
        raise ServerMissingError(f"{kind}: {' and '.join(missing)} not found; .ci/servers installs what the tests need")
    return {name: where for name, where in found.items() if where is not None}


def _versioned_folders() -> list[Path]:
    """Where Debian keeps PostgreSQL's own programs, newest version first."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(folders, key=lambda folder: float(folder.parent.name), reverse=True)


def _reachable_folder() -> str:
    """A temporary folder that other users may enter and whose path leaves room for a socket's name (107 bytes)."""
    chosen = Path(tempfile.gettempdir())
    open_to_all = all(folder.stat().st_mode & 0o001 for folder in [chosen, *chosen.parents])
    return str(chosen) if open_to_all and len(str(chosen)) < 60 else "/tmp"


def _lock(path: Path) -> IO[str]:
    """The file, locked; closing it unlocks. Never inherited by a program that is started meanwhile."""
    file = path.open("a")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _start_keeper(root: Path, kind: Kind, answer: Path) -> None:
    with (root / f"{kind}.log").open("a") as log:
        keeper = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), kind, str(root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C reaches the tests, not the server
            cwd="/",
        )
    deadline = time.monotonic() + START_SECONDS * ATTEMPTS
    while not answer.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise ServerBrokenError(f"{kind}: its keeper ended; {_tail(root / f'{kind}.log')}")
        time.sleep(0.02)
    keeper.returncode = 0  # it is meant to outlive this object; without this, Popen warns when collected


# What follows runs in the keeper's own process.


def keep(kind: Kind, root: Path) -> None:
    """Start a server, say where it is, and stop it when the run is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    held = _lock(root / f"{kind}.keeper")
    server = None
    try:
        try:
            server, where = _start(kind, root / kind)
        except (OSError, subprocess.SubprocessError, ServerMissingError, ServerBrokenError) as problem:
            _publish(root / f"{kind}.json", {"error": f"{kind} did not start: {problem}"})
        else:
            _publish(root / f"{kind}.json", asdict(where))
        _lock(root / "alive")
    except FileNotFoundError:
        pass  # the folder went first: the run is over
    finally:
        if server is not None:
            _stop(kind, server)
        shutil.rmtree(root, ignore_errors=True)
        held.close()


def _start(kind: Kind, home: Path) -> tuple[subprocess.Popen[bytes], Address]:
    programs = binaries(kind)
    owner = _owner(kind)
    home.mkdir(mode=0o700)
    if owner is not None:
        os.chown(home, owner.pw_uid, owner.pw_gid)
    _as(owner, home, _install_command(kind, programs, home))
    for attempt in range(ATTEMPTS):
        where = Address(kind, "127.0.0.1", _free_port(), "postgres" if kind == "postgresql" else MARIADB_USER)
        with (home / f"server-{attempt}.log").open("wb") as log:
            server = subprocess.Popen(
                _server_command(kind, programs, home, where.port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                env=_environment(home),
                **_identity(owner),
            )
        if _answers(server, where.port):
            return server, where
        _stop(kind, server)
    raise ServerBrokenError(_tail(home / f"server-{ATTEMPTS - 1}.log"))


def _install_command(kind: Kind, programs: dict[str, str], home: Path) -> list[str]:
    if kind == "postgresql":
        encoding = ["--encoding=UTF8", "--locale=C.UTF-8"]
        return [programs["initdb"], "-D", str(home / "data"), "-U", "postgres", "-A", "trust", "-N", *encoding]
    # Before the server listens it makes a user that may come over TCP: root may not, and names are not resolved.
    (home / "users.sql").write_text(
        f"CREATE USER IF NOT EXISTS '{MARIADB_USER}'@'%';\n"
        f"GRANT ALL PRIVILEGES ON *.* TO '{MARIADB_USER}'@'%' WITH GRANT OPTION;\n"
    )
    (home / "users.sql").chmod(0o644)
    return [
        programs["mariadb-install-db"],
        "--no-defaults",
        f"--datadir={home / 'data'}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        "--innodb-flush-log-at-trx-commit=0",
    ]


def _server_command(kind: Kind, programs: dict[str, str], home: Path, port: int) -> list[str]:
    if kind == "postgresql":
        chosen = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": home,
            "timezone": "UTC",
            "max_connections": 200,
            # Fast, and safe to lose: nothing here outlives the run.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
        return [programs["postgres"], "-D", str(home / "data"), *options]
    return [
        programs["mariadbd"],
        "--no-defaults",
        f"--datadir={home / 'data'}",
        f"--tmpdir={home}",
        f"--socket={home / 'mariadb.sock'}",
        f"--pid-file={home / 'mariadb.pid'}",
        f"--init-file={home / 'users.sql'}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--max-connections=200",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_general_ci",
        "--default-time-zone=+00:00",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=64M",
        "--innodb-use-native-aio=0",
    ]


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server took a connection before it ended or the time ran out."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                if _greets(server, connection):
                    return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def _greets(server: subprocess.Popen[bytes], connection: socket.socket) -> bool:
    """Ask as PostgreSQL's clients do whether TLS is offered; either server sends something once it is ready."""
    connection.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
    return bool(connection.recv(1)) and server.poll() is None


def _stop(kind: Kind, server: subprocess.Popen[bytes]) -> None:
    # PostgreSQL: SIGINT ends sessions and stops; SIGTERM would wait for them to leave.
    server.send_signal(signal.SIGINT if kind == "postgresql" else signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _owner(kind: Kind) -> pwd.struct_passwd | None:
    """Whom to be, since neither server runs as root: its own user if the package made one. None: who we are."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    return users.get("postgres" if kind == "postgresql" else "mysql") or users["nobody"]


def _identity(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _as(owner: pwd.struct_passwd | None, home: Path, command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=home,
        env=_environment(home),
        timeout=START_SECONDS,
        check=False,
        **_identity(owner),
    )
    if done.returncode:
        raise ServerBrokenError(done.stdout.decode(errors="replace")[-2000:])


def _environment(home: Path) -> dict[str, str]:
    """A clean one: PGDATA, MYSQL_HOME and the like of whoever runs the tests must not reach the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "TMPDIR": str(home), "LC_ALL": "C.UTF-8"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _publish(path: Path, document: dict[str, object]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(document))
    draft.rename(path)  # whoever sees the name sees the whole document


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-2000:] if path.exists() else "it left no log"


if __name__ == "__main__":
    keep("postgresql" if sys.argv[1] == "postgresql" else "mariadb", Path(sys.argv[2]))
