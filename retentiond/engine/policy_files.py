"""Who else may write to the policy files: whoever can, decides what is destroyed."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from retentiond.errors import RefusedError

MEND = "chmod go-w, or chown to the user who runs retentiond"


@dataclass(frozen=True, slots=True, order=True)
class Exposure:
    """A file or folder that others may change, and why they may."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def exposures(files: Iterable[Path]) -> tuple[Exposure, ...]:
    """
    What others than root and we ourselves may change among these files and the folders that hold them, by path.

    A sticky folder is no danger: nobody there can replace a file of ours, and one of their own is not ours.
    """
    real = {Path(os.path.realpath(file)) for file in files}
    places = real | {file.parent for file in real}
    return tuple(Exposure(place, reason) for place in sorted(places) for reason in _reasons(place))


def refuse_exposed(files: Iterable[Path]) -> None:
    """Raises RefusedError where others may change one of these files."""
    if found := exposures(files):
        raise RefusedError(
            "; ".join(str(exposure) for exposure in found),
            hint=MEND,
            code="policy-file-mode",
        )


def _reasons(place: Path) -> list[str]:
    try:
        found = place.stat()
    except OSError as error:
        return [f"nobody knows who may change it: {error.strerror}"]
    sticky = stat.S_ISDIR(found.st_mode) and bool(found.st_mode & stat.S_ISVTX)
    reasons = []
    if found.st_mode & stat.S_IWOTH and not sticky:
        reasons.append("everybody may change it")
    elif found.st_mode & stat.S_IWGRP and not sticky:
        reasons.append("its group may change it")
    if found.st_uid not in (0, os.geteuid()):
        reasons.append(f"it belongs to user {found.st_uid}")
    return reasons
