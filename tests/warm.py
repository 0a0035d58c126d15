"""
The command in a process of its own, without the second that its imports take: a process that has imported all of
retentiond forks one for each call. The installed script itself is tried where what is tested is how it starts.

Run as a program it reads one call per line from stdin (JSON: arguments, folder, environment, what is on stdin) and
answers each with a line: exit code, stdout, stderr.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

DRIVERS = ("psycopg", "pymysql", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.mysql.pymysql")

_lock = threading.Lock()
_servants: dict[int, subprocess.Popen[str]] = {}


def call(
    arguments: Sequence[str], *, stdin: str, folder: Path | None, environment: Mapping[str, str]
) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of `retentiond ARGUMENTS`, called in that folder and environment."""
    order = {"arguments": list(arguments), "folder": str(folder or Path.cwd()), "stdin": stdin}
    with _lock:
        servant = _servant()
        assert servant.stdin is not None
        assert servant.stdout is not None
        servant.stdin.write(json.dumps({**order, "environment": dict(environment)}) + "\n")
        servant.stdin.flush()
        answer = json.loads(servant.stdout.readline())
    return answer["code"], answer["out"], answer["err"]


def _servant() -> subprocess.Popen[str]:
    """This process's own; started at its first call."""
    if os.getpid() not in _servants:
        servant = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        _servants[os.getpid()] = servant
        atexit.register(_dismiss, servant)
    return _servants[os.getpid()]


def _dismiss(servant: subprocess.Popen[str]) -> None:
    servant.kill()
    servant.communicate()


def serve() -> None:
    """Answer calls until stdin ends."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    _warm()
    for line in sys.stdin:
        order = json.loads(line)
        with tempfile.TemporaryDirectory() as scratch:
            files = [Path(scratch) / name for name in ("in", "out", "err")]
            files[0].write_text(order["stdin"], encoding="utf-8")
            child = os.fork()
            if child == 0:
                _become(order, files)
            _, status = os.waitpid(child, 0)
            said = [file.read_bytes().decode("utf-8", "surrogateescape") for file in files[1:]]
        answer = {"code": os.waitstatus_to_exitcode(status), "out": said[0], "err": said[1]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _warm() -> None:
    import retentiond

    for module in pkgutil.walk_packages(retentiond.__path__, "retentiond."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    for name in (*DRIVERS, "alembic.command", "alembic.runtime.migration", "sqlalchemy.dialects.sqlite"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _become(order: dict[str, object], files: Sequence[Path]) -> None:
    """In the forked process: the command, to its end."""
    code: object = 70
    try:
        for number, file in enumerate(files):
            handle = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(handle, number)
            os.close(handle)
        environment, arguments = order["environment"], order["arguments"]
        assert isinstance(environment, dict)
        assert isinstance(arguments, list)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(str(order["folder"]))
        from retentiond.cli import main

        main(arguments)
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException as error:  # noqa: BLE001 - it must never come back into the loop
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    serve()
