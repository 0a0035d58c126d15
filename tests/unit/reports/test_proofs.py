"""Proofs made all at once are those of RFC 6962, and can be checked with nothing of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.reports.certificate import signed_as_json
from retentiond.reports.proofs import Tree, proven
from retentiond.state.ledger.leaf import canonical
from retentiond.state.ledger.tree import inclusion_proof, leaf_hash, root_of
from tests.unit.reports.reading import root_from


@given(st.integers(1, 70), st.data())
def test_a_path_is_the_inclusion_proof(size: int, data: st.DataObject) -> None:
    hashes = [leaf_hash(str(number).encode()) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    tree = Tree(hashes)
    assert tree.root == root_of(hashes)
    assert tree.path(index) == inclusion_proof(index, hashes)


@given(st.integers(1, 70), st.data())
def test_an_entry_leads_to_the_root_and_a_changed_one_does_not(size: int, data: st.DataObject) -> None:
    entries = [{"seq": number} for number in range(size)]
    hashes = [leaf_hash(canonical(entry)) for entry in entries]
    wanted = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    document = signed_as_json(proven("note", ("key",), hashes, [entries[number] for number in wanted]))
    root = Tree(hashes).root
    assert document["root"] == root.hex()
    assert [entry["seq"] for entry in document["entries"]] == sorted(wanted)  # type: ignore[attr-defined]
    for entry in document["entries"]:  # type: ignore[attr-defined]
        assert root_from(entry, size) == root
        assert root_from(entry | {"leaf": entry["leaf"] + " "}, size) != root


def test_a_ledger_without_entries_proves_nothing() -> None:
    with pytest.raises(ValueError, match="without leaves"):
        Tree([])
