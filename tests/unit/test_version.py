"""The version is one value in one place."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata

import pytest

import retentiond


def test_version_looks_like_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", retentiond.__version__)


def test_installed_metadata_says_the_same() -> None:
    try:
        installed = metadata.version("retentiond")
    except metadata.PackageNotFoundError:
        pytest.skip("retentiond is not installed here, only importable")
    assert installed == retentiond.__version__


def test_the_command_says_the_same() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "retentiond", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert retentiond.__version__ in said.stdout
