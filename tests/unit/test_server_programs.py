"""What the tests say where a database server is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import servers


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_missing_server_is_named_with_what_helps(kind: servers.Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(servers.ServerMissingError, match=rf"{kind}: .* not found; .ci/servers installs"):
        servers.binaries(kind)


def test_the_newest_postgresql_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Path(f"/usr/lib/postgresql/{version}/bin") for version in ("9.6", "17", "15")]
    monkeypatch.setattr("pathlib.Path.glob", lambda *_: iter(found))
    assert [folder.parent.name for folder in servers._versioned_folders()] == ["17", "15", "9.6"]
