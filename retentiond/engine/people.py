"""Who runs this: the user, and the person who logged in."""

import os
import pwd
from pathlib import Path

from retentiond.state.values import Person

_LOGIN_UID = Path("/proc/self/loginuid")
_UNSET = 4294967295


def login_name() -> str:
    """The name of the user who runs this, or the number where there is no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def login_uid() -> int | None:
    """The audit login uid, which stays the same through sudo and su; None where none was ever set."""
    try:
        found = int(_LOGIN_UID.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if found == _UNSET else found


def this_person() -> Person:
    """The person at work: who logged in, where that is known, else the user."""
    uid = login_uid()
    if uid is None:
        return Person(login_name(), None)
    try:
        return Person(pwd.getpwuid(uid).pw_name, uid)
    except KeyError:
        return Person(str(uid), uid)
