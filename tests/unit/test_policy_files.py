"""Who else may write to a policy file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retentiond.engine.policy_files import exposures, refuse_exposed
from retentiond.errors import RefusedError


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
    refuse_exposed([file])


@pytest.mark.parametrize(("mode", "reason"), [(0o664, "its group"), (0o646, "everybody"), (0o666, "everybody")])
def test_a_file_that_others_may_write(file: Path, mode: int, reason: str) -> None:
    file.chmod(mode)
    (found,) = exposures([file])
    assert found.path == file
    assert found.reason.startswith(reason)
    with pytest.raises(RefusedError, match=r"shop\.yaml"):
        refuse_exposed([file])


@pytest.mark.parametrize(("mode", "dangerous"), [(0o775, True), (0o777, True), (0o1777, False), (0o755, False)])
def test_a_folder_that_others_may_write(file: Path, mode: int, dangerous: bool) -> None:
    file.parent.chmod(mode)
    assert bool(exposures([file])) is dangerous


def test_a_link_is_followed_to_what_is_read(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    file.chmod(0o666)
    assert [found.path for found in exposures([link])] == [file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user(file: Path) -> None:
    os.chown(file, 4711, 0)
    assert [found.reason for found in exposures([file])] == ["it belongs to user 4711"]


def test_what_cannot_be_looked_at_is_not_trusted(file: Path) -> None:
    file.unlink()
    assert exposures([file])
