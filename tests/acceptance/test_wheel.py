"""What an installation without a checkout gets."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel that was built just now."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_policies_of_the_demo_are_in_it(shipped: set[str]) -> None:
    policies = PROJECT / "policies"
    expected = {f"retentiond/demo/policies/{path.relative_to(policies)}" for path in policies.rglob("*.yaml")}
    assert expected <= shipped
    assert expected


def test_every_file_of_the_package_is_in_it(shipped: set[str]) -> None:
    package = PROJECT / "retentiond"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {str(path.relative_to(PROJECT)) for path in files} <= shipped


def test_nothing_else_is_in_it(shipped: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in shipped} == {"retentiond"}
    assert not [name for name in shipped if name.endswith((".db", ".pyc"))]
