"""
Who else may write to the policy files: whoever can, decides what is destroyed.

A file is judged by the descriptor that it is read through, so that what was judged is what counts.
"""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from retentiond.errors import RefusedError

MEND = "one regular file, in a folder that only root or the user who runs retentiond may write to: chmod go-w, chown"


@dataclass(frozen=True, slots=True, order=True)
class Exposure:
    """A file or folder that others may change, and why they may."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(slots=True)
class Inspection:
    """Looks at each file as it is opened; `exposures` are what it found, by path."""

    _found: set[Exposure] = field(default_factory=set)

    def opened(self, file: Path, descriptor: int) -> None:
        """Notes what others may change about a file that was opened, and about the folders that hold it."""
        self._note(file, _reasons_of_file(file, os.fstat(descriptor)))
        for folder in {file.parent, Path(os.path.realpath(file)).parent}:
            self._note(folder, _reasons_of_folder(folder))

    def missed(self, file: Path, why: OSError) -> None:
        """Notes a file that could not be opened."""
        self._note(file, [f"nobody knows who may change it: {why.strerror}"])

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """What others than root and we ourselves may change."""
        return tuple(sorted(self._found))

    def _note(self, place: Path, reasons: Iterable[str]) -> None:
        self._found |= {Exposure(place, reason) for reason in reasons}


def exposures(files: Iterable[Path]) -> tuple[Exposure, ...]:
    """What others may change among these files and the folders that hold them, by path."""
    inspection = Inspection()
    for file in files:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            inspection.missed(file, error)
            continue
        try:
            inspection.opened(file, descriptor)
        finally:
            os.close(descriptor)
    return inspection.exposures


def refuse_exposed(found: Iterable[Exposure]) -> None:
    """Raises RefusedError where others may change something."""
    if texts := [str(exposure) for exposure in found]:
        raise RefusedError("; ".join(texts), hint=MEND, code="policy-file-mode")


def _reasons_of_file(file: Path, found: os.stat_result) -> list[str]:
    reasons = _reasons(found)
    try:
        named = file.lstat()
    except OSError as error:
        return [*reasons, f"it went away while it was read: {error.strerror}"]
    if stat.S_ISLNK(named.st_mode):
        reasons.append("it is a symbolic link, which leads where somebody else decides")
    elif (named.st_dev, named.st_ino) != (found.st_dev, found.st_ino):
        reasons.append("it was exchanged while it was read")
    if not stat.S_ISREG(found.st_mode):
        reasons.append("it is no regular file")
    elif found.st_nlink > 1:
        reasons.append("it has a second name elsewhere (a hard link), under which others may reach it")
    return reasons


def _reasons_of_folder(folder: Path) -> list[str]:
    """A sticky folder is no danger: nobody there can replace a file of ours, and one of their own is not ours."""
    try:
        found = folder.stat()
    except OSError as error:
        return [f"nobody knows who may change it: {error.strerror}"]
    return _reasons(found, shared=bool(found.st_mode & stat.S_ISVTX))


def _reasons(found: os.stat_result, *, shared: bool = False) -> list[str]:
    reasons = []
    if found.st_mode & stat.S_IWOTH and not shared:
        reasons.append("everybody may change it")
    elif found.st_mode & stat.S_IWGRP and not shared:
        reasons.append("its group may change it")
    if found.st_uid not in (0, os.geteuid()):
        reasons.append(f"it belongs to user {found.st_uid}")
    return reasons
