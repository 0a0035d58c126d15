"""
One process that carries out an order: retentiond's own commands, and what befalls them on the way.

`python -m tests.fault.victim 'ORDER'` is a victim of its own; the nursery forks one from a process that has imported
everything already, which is the same process but for the second that a start takes.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from pathlib import Path

from tests.fault.orders import BEGIN, Fault, Order, parse_order


class Listener:
    """Told of each point that retentiond reaches; has the faults happen, and writes down that they did."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._times: dict[str, int] = {}
        self._steps = os.open(order.steps, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __call__(self, point: str) -> None:
        self._times[point] = self._times.get(point, 0) + 1
        os.write(self._steps, f"{point} {time.time():.6f}\n".encode())
        for number, fault in enumerate(self._order.faults):
            if (fault.point, fault.nth) == (point, self._times[point]):
                self._happen(fault, self._order.fired(number))

    def _happen(self, fault: Fault, fired: Path) -> None:
        if fault.action not in ("disk", "system"):  # which have happened when a call has failed
            fired.touch()
        if fault.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif fault.action == "raise":
            number = getattr(errno, fault.what or "ENOSPC")
            raise OSError(number, os.strerror(number))
        elif fault.action == "sleep":
            time.sleep(fault.seconds)
        elif fault.action == "wait":
            _wait_for(self._order.go)
        elif fault.action == "disk":
            from tests.fault import disk

            disk.fail(fault.what, fired)
        elif fault.action == "system":
            from tests.fault import disk

            disk.fail_system(fault.what, fired)
        elif fault.action == "limit":
            # Python ignores SIGXFSZ, so that a write beyond the limit is an error like that of a full disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(fault.seconds), resource.RLIM_INFINITY))


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.002)


def act(order: Order) -> int:
    """Carries the order out in this process; the exit code of its last command."""
    from retentiond.engine.steps import listen

    os.chdir(order.folder)
    os.environ.update(order.environment)
    if any(fault.action == "disk" for fault in order.faults):
        from tests.fault import disk

        disk.install()
    if order.build:
        from tests.fault import broken

        broken.install(order.build)
    listener = Listener(order)
    listen(listener)
    listener(BEGIN)
    code = 0
    codes = os.open(order.codes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, command in enumerate(order.commands):
        code = _call(list(command))
        os.write(codes, f"{number} {code} {time.time():.6f}\n".encode())
    return code


def _call(command: list[str]) -> int:
    from retentiond.cli import main

    try:
        main(command)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    sys.exit(act(parse_order(sys.argv[1])))
