"""Who else may write to a policy file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from retentiond.engine.policy_files import Inspection, exposures, refuse_exposed
from retentiond.errors import PolicyError, RefusedError
from retentiond.policy.loader import load_policies


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    path = folder / "shop.yaml"
    path.write_text("version: 1\n", encoding="utf-8")
    path.chmod(0o644)
    return path


def test_what_only_we_may_write_is_fine(file: Path) -> None:
    assert exposures([file]) == ()
    refuse_exposed(exposures([file]))


@pytest.mark.parametrize(("mode", "reason"), [(0o664, "its group"), (0o646, "everybody"), (0o666, "everybody")])
def test_a_file_that_others_may_write(file: Path, mode: int, reason: str) -> None:
    file.chmod(mode)
    (found,) = exposures([file])
    assert found.path == file
    assert found.reason.startswith(reason)
    with pytest.raises(RefusedError, match=r"shop\.yaml"):
        refuse_exposed([found])


@pytest.mark.parametrize(("mode", "dangerous"), [(0o775, True), (0o777, True), (0o1777, False), (0o755, False)])
def test_a_folder_that_others_may_write(file: Path, mode: int, dangerous: bool) -> None:
    file.parent.chmod(mode)
    assert bool(exposures([file])) is dangerous


def test_a_link_is_refused_and_what_it_leads_to_is_looked_at(file: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir(mode=0o755)
    link = tmp_path / "links" / "link.yaml"
    link.symlink_to(file)
    assert [(found.path, found.reason[:21]) for found in exposures([link])] == [(link, "it is a symbolic link")]
    file.parent.chmod(0o777)
    assert file.parent in [found.path for found in exposures([link])]
    file.parent.chmod(0o755)
    file.chmod(0o666)
    assert "everybody may change it" in [found.reason for found in exposures([link])]


def test_a_file_with_a_second_name_is_refused(file: Path, tmp_path: Path) -> None:
    os.link(file, tmp_path / "elsewhere.yaml")
    (found,) = exposures([file])
    assert "hard link" in found.reason


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir(mode=0o755)])
def test_what_is_no_regular_file_is_refused(file: Path, make: Callable[[Path], None]) -> None:
    file.unlink()
    make(file)
    assert "it is no regular file" in [found.reason for found in exposures([file])]


def test_what_is_judged_is_what_was_read(file: Path) -> None:
    """Somebody puts another file in its place between the opening and the judging."""
    inspection = Inspection()
    descriptor = os.open(file, os.O_RDONLY)
    other = file.with_name("other.yaml")
    other.write_text("version: 1\n", encoding="utf-8")
    other.rename(file)
    inspection.opened(file, descriptor)
    os.close(descriptor)
    assert [found.reason for found in inspection.exposures] == ["it was exchanged while it was read"]


def test_every_policy_is_judged_by_the_descriptor_it_is_read_through(file: Path) -> None:
    seen: list[tuple[Path, int]] = []

    def opened(path: Path, descriptor: int) -> None:
        seen.append((path, os.fstat(descriptor).st_ino))

    with pytest.raises(PolicyError):
        load_policies([file.parent], opened=opened)
    assert seen == [(file, file.stat().st_ino)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user(file: Path) -> None:
    os.chown(file, 4711, 0)
    assert [found.reason for found in exposures([file])] == ["it belongs to user 4711"]


def test_what_cannot_be_looked_at_is_not_trusted(file: Path) -> None:
    file.unlink()
    assert exposures([file])
