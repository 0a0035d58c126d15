"""Policy files from disk: found, opened once, read to the end, and refused together where one of them is wrong."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from retentiond.errors import PolicyError, Position, Problem
from retentiond.policy.model import Policy
from retentiond.policy.nodes import LARGEST_FILE
from retentiond.policy.reader import Reading, read
from retentiond.policy.resolve import resolve
from retentiond.policy.wording import quoted

SUFFIXES = (".yaml", ".yml")


def load_policies(
    paths: Sequence[Path], *, default_timezone: str = "UTC", opened: Callable[[Path, int], None] | None = None
) -> tuple[Policy, ...]:
    """
    The policies of these files and folders; raises one `PolicyError` with every problem of every file.

    `opened` is told of each file and of the descriptor that it is read through.
    """
    problems: list[Problem] = []
    policies: list[Policy] = []
    names: dict[str, str] = {}
    for file in _files(paths, problems):
        try:
            content = _content(file, opened)
        except OSError as error:
            reason = error.strerror or "cannot be read"
            problems.append(Problem(Position(str(file), 1, 1), "unreadable-file", f"the file cannot be read: {reason}"))
            continue
        except _NotAFileError:
            problems.append(Problem(Position(str(file), 1, 1), "unreadable-file", "a policy is a regular file"))
            continue
        reading = read(content, str(file))
        policy = resolve(reading, default_timezone)
        problems.extend(reading.problems)
        name = reading.document.name if reading.document else None
        if name and name in names:
            message = f"another policy is named {quoted(name)}: {names[name]}"
            problems.append(Problem(reading.place("name"), "duplicate-name", message))
        if name:
            names.setdefault(name, str(file))
        if policy:
            policies.append(replace(policy, sha256=sha256(content).hexdigest()))
    if problems:
        raise PolicyError(problems)
    return tuple(policies)


def load_policy_text(text: str | bytes, file: str = "policy.yaml", *, default_timezone: str = "UTC") -> Policy:
    """The policy a text states; raises `PolicyError` with all its problems."""
    reading: Reading = read(text, file)
    policy = resolve(reading, default_timezone)
    if policy is None:
        raise PolicyError(reading.problems)
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return replace(policy, sha256=sha256(content).hexdigest())


class _NotAFileError(Exception):
    """A folder, a pipe or a device stands where a file should."""


def _content(file: Path, opened: Callable[[Path, int], None] | None) -> bytes:
    """The bytes of a regular file, one more than a policy may have at most; never waits for a pipe."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor, so that what was checked is what is read
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise _NotAFileError
        if opened is not None:
            opened(file, stream.fileno())
        return stream.read(LARGEST_FILE + 1)


def _files(paths: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    """Each file once; a folder stands for its policy files, without hidden ones and sub-folders."""
    seen: set[Path] = set()
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(
                file
                for file in path.iterdir()
                if file.suffix in SUFFIXES and not file.name.startswith(".") and not file.is_dir()
            )
            if not found:
                place = Position(str(path), 1, 1)
                problems.append(
                    Problem(place, "no-policy", "the folder holds no policy file", "expected *.yaml or *.yml")
                )
        for file in found:
            real = Path(os.path.realpath(file))
            if real not in seen:
                seen.add(real)
                yield file
