"""The gate and the jobs' locks between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retentiond.errors import RefusedError, TransientError
from retentiond.state.locks import Gate, job_lock

HOLD = """
import sys, time
from pathlib import Path
from retentiond.state.locks import Gate, job_lock
gate = Gate(Path(sys.argv[1]))
lock = {"shared": lambda: gate.shared(5), "exclusive": lambda: gate.exclusive(5),
        "job": lambda: job_lock(Path(sys.argv[1]), "p/r@s")}[sys.argv[2]]
with lock():
    print("in", flush=True)
    sys.stdin.readline()
"""
# Takes the gate shared again and again, and never leaves it for longer than the blink of an eye.
SHARE = """
import sys, time
from pathlib import Path
from retentiond.state.locks import Gate
gate, end = Gate(Path(sys.argv[1])), time.monotonic() + 20
print("in", flush=True)
while time.monotonic() < end:
    with gate.shared(5):
        time.sleep(0.02)
"""

Start = Callable[[str, str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start another process that does something with the gate; it is at it when this returns."""
    running: list[subprocess.Popen[str]] = []

    def begin(program: str, what: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def let_go(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=10)


def test_many_may_commit_at_once(tmp_path: Path, start: Start) -> None:
    start(HOLD, "shared")
    with Gate(tmp_path).shared(0.5):
        pass


@pytest.mark.parametrize(("there", "wanted"), [("shared", "exclusive"), ("exclusive", "shared"), ("exclusive",) * 2])
def test_who_takes_a_permission_back_is_alone(tmp_path: Path, start: Start, there: str, wanted: str) -> None:
    process = start(HOLD, there)
    gate = Gate(tmp_path)
    before = time.monotonic()
    with pytest.raises(TransientError) as caught, getattr(gate, wanted)(0.2):
        pytest.fail("the gate let two through")
    assert caught.value.code == "gate-busy"
    assert 0.15 < time.monotonic() - before < 2
    let_go(process)
    with getattr(gate, wanted)(0.5):
        pass


def test_who_waits_to_be_alone_is_not_starved(tmp_path: Path, start: Start) -> None:
    for _ in range(4):
        start(SHARE, "")
    waits = []
    for _ in range(5):
        before = time.monotonic()
        with Gate(tmp_path).exclusive(10):
            waits.append(time.monotonic() - before)
    assert max(waits) < 2, waits


@pytest.mark.parametrize("what", ["shared", "exclusive"])
def test_a_killed_process_leaves_the_gate_open(tmp_path: Path, start: Start, what: str) -> None:
    process = start(HOLD, what)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(5)
    with Gate(tmp_path).exclusive(1):
        pass


def test_a_stopped_process_keeps_the_gate(tmp_path: Path, start: Start) -> None:
    process = start(HOLD, "shared")
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(TransientError), Gate(tmp_path).exclusive(0.2):
        pytest.fail("the gate let two through")
    os.kill(process.pid, signal.SIGCONT)


def test_one_process_works_on_a_job(tmp_path: Path, start: Start) -> None:
    process = start(HOLD, "job")
    with pytest.raises(RefusedError) as caught, job_lock(tmp_path, "p/r@s"):
        pytest.fail("two at one job")
    assert caught.value.code == "busy"
    with job_lock(tmp_path, "p/other@s"):
        pass
    process.kill()
    process.wait(5)
    with job_lock(tmp_path, "p/r@s"):
        pass
