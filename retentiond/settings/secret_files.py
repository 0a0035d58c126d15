"""Who else may read a file that holds a secret."""

import os
import stat
from pathlib import Path

_CREDENTIALS = "CREDENTIALS_DIRECTORY"


def exposure(file: Path, found: os.stat_result) -> str:
    """Why what the file holds is no secret, as half a sentence; "" where only root and we ourselves may read it."""
    if found.st_uid not in (0, os.geteuid()):
        return f"it belongs to user {found.st_uid}"
    if stat.S_IMODE(found.st_mode) & stat.S_IRWXO:
        return "everybody may read it"
    # systemd gives a credential to its service by an access list, whose mask shows as the group's right to read.
    given = str(file.parent) == os.environ.get(_CREDENTIALS)
    return "its group may read it" if stat.S_IMODE(found.st_mode) & stat.S_IRWXG and not given else ""
