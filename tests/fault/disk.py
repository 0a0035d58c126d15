"""
A disk that fails under SQLite, in the process that asks for it: full, read-only, or with an fsync that says no.

SQLite reaches the disk through a table of functions that a program may replace; its authors test it that way. Done here
through ctypes, it needs no compiler, no right to mount and no strace, and knows which file it is that fails. What comes
from below that – an error of the kernel itself – is tried beside it: no file may grow (RLIMIT_FSIZE), and, where we may
mount one, a file system that is full.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KILL = -1
CODES = {
    "KILL": KILL,
    "FULL": 13,
    "READONLY": 8,
    "IOERR_WRITE": 10 | 3 << 8,
    "IOERR_FSYNC": 10 | 4 << 8,
    "IOERR_TRUNCATE": 10 | 6 << 8,
}

_POINTER = ctypes.c_void_p
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER, ctypes.c_int, _POINTER)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int64)

# Where the functions stand in SQLite's tables, counted in pointers; both begin with integers.
_OPEN_AT = 5  # behind three integers (two pointers wide with the gap), pNext, zName and pAppData
_METHODS = 19
_WRITE_AT, _TRUNCATE_AT, _SYNC_AT = 3, 4, 5

_kept: list[Any] = []  # what C holds on to must not be collected


@dataclass(slots=True)
class _Broken:
    """Which call fails, with which code, on files whose path holds that text, for how many times."""

    call: str
    code: int
    where: str
    skip: int  # how many of these calls are let through first
    left: int  # how many then fail
    fired: Path


_broken: list[_Broken] = []
_paths: dict[int, str] = {}


def fail(what: str, fired: Path) -> None:
    """
    From now on `call:CODE:where:times` fails, or `call:CODE:where:times:skip` after so many calls that do not; `fired`
    is made when it has. The code KILL ends the process instead. `install` came first.
    """
    call, code, where, times, *skip = what.split(":")
    _broken.append(_Broken(call, CODES[code], where, int(skip[0]) if skip else 0, int(times), fired))


def fail_system(what: str, fired: Path) -> None:
    """From now on `function:ERRNO:skip` fails once: that function of Python's `os`, after so many calls."""
    name, number, skip = what.split(":")
    original: Callable[..., object] = getattr(os, name)
    left = [int(skip)]

    def called(*arguments: object, **named: object) -> object:
        left[0] -= 1
        if left[0] == -1:
            fired.touch()
            raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))
        return original(*arguments, **named)

    setattr(os, name, called)


def install() -> None:
    """Stand between SQLite and the disk in this process; every file that is opened from now on can be made to fail."""
    import _sqlite3

    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = _POINTER
    table = library.sqlite3_vfs_find(None)
    slots = ctypes.cast(table, ctypes.POINTER(_POINTER))
    original = _OPEN(_open_slot(slots))
    replaced: dict[int, int] = {}

    def opened(vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = int(original(vfs, name, file, flags, out))
        methods = ctypes.cast(file, ctypes.POINTER(_POINTER))
        if code == 0 and name and methods[0]:
            _paths[file] = ctypes.string_at(name).decode(errors="replace")
            known = methods[0]
            if known not in replaced:
                replaced[known] = _copy(known)
            methods[0] = replaced[known]
        return code

    callback = _OPEN(opened)
    _kept.append(callback)
    slots[_OPEN_AT] = ctypes.cast(callback, _POINTER).value


def _open_slot(slots: Any) -> int:
    found = slots[_OPEN_AT]
    assert found, "SQLite's table looks different here"
    return int(found)


def _copy(methods: int) -> int:
    """A copy of a file's functions in which those that may fail are ours."""
    table = (_POINTER * _METHODS).from_buffer_copy(ctypes.string_at(methods, ctypes.sizeof(_POINTER) * _METHODS))
    for at, kind, call in (
        (_WRITE_AT, _WRITE, "write"),
        (_TRUNCATE_AT, _TRUNCATE, "truncate"),
        (_SYNC_AT, _SYNC, "sync"),
    ):
        callback = kind(_failing(kind(table[at] or 0), call))
        _kept.append(callback)
        table[at] = ctypes.cast(callback, _POINTER).value
    _kept.append(table)
    return ctypes.addressof(table)


def _failing(original: Callable[..., int], call: str) -> Callable[..., int]:
    def called(file: int, *arguments: int) -> int:
        for broken in _broken:
            if broken.call == call and broken.left and broken.where in _paths.get(file, ""):
                if broken.skip:
                    broken.skip -= 1
                    continue
                broken.left -= 1
                broken.fired.touch()
                if broken.code == KILL:
                    os.kill(os.getpid(), signal.SIGKILL)
                return broken.code
        return int(original(file, *arguments))

    return called
