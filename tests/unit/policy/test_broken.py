"""Policies that must not load. The first line of each says where its mistakes are and what they are called."""

import re
from pathlib import Path

import pytest

from retentiond.errors import PolicyError
from retentiond.policy.loader import load_policies

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.yaml"))


def expected(file: Path) -> list[str]:
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# expect "), file
    return [" ".join(part.split()) for part in first.removeprefix("# expect ").split(",")]


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_mistake_is_found_at_its_place_and_nothing_else(file: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policies([file])
    found = [f"{p.position.line}:{p.position.column} {p.code}" for p in caught.value.problems]
    assert found == expected(file), str(caught.value)
    assert all(str(problem).startswith(f"{file}:") for problem in caught.value.problems)
    assert all(problem.message and "\n" not in str(problem) for problem in caught.value.problems)


def test_there_are_many_and_they_are_reported_together() -> None:
    assert len(FILES) >= 60
    with pytest.raises(PolicyError) as caught:
        load_policies([FOLDER])
    files = {problem.position.file for problem in caught.value.problems}
    assert files == {str(file) for file in FILES}


def test_codes_are_kebab_case() -> None:
    codes = {part.split()[1] for file in FILES for part in expected(file)}
    assert all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", code) for code in codes)
