"""The tree against the published vectors of Certificate Transparency, and what must hold for every tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retentiond.state.ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# github.com/transparency-dev/merkle, proof/verify_test.go
LEAVES = [
    bytes.fromhex(one)
    for one in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
ROOTS = [
    bytes.fromhex(one)
    for one in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]

# (leaf counted from 1, size, path)
INCLUSION = [
    (1, 1, []),
    (
        *(1, 8),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        *(6, 8),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        *(2, 5),
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]

# (first size, second size, proof)
CONSISTENCY = [
    (1, 1, []),
    (
        *(1, 8),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        *(6, 8),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        *(2, 5),
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        *(6, 7),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]

trees = st.integers(min_value=1, max_value=70).map(lambda size: [leaf_hash(b"%d" % index) for index in range(size)])


def changed(path: tuple[bytes, ...], at: int) -> tuple[bytes, ...]:
    """The path with one bit of its bytes turned."""
    joined = bytearray(b"".join(path))
    joined[at // 8] ^= 1 << at % 8
    return tuple(bytes(joined[start : start + 32]) for start in range(0, len(joined), 32))


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    assert root_of(HASHES[:size]) == ROOTS[size]


@pytest.mark.parametrize(("leaf", "size", "path"), INCLUSION)
def test_the_published_paths(leaf: int, size: int, path: list[str]) -> None:
    found = inclusion_proof(leaf - 1, HASHES[:size])
    assert [one.hex() for one in found] == path
    assert verify_inclusion(HASHES[leaf - 1], leaf - 1, size, found, ROOTS[size])


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY)
def test_the_published_proofs_of_consistency(first: int, second: int, proof: list[str]) -> None:
    found = consistency_proof(first, HASHES[:second])
    assert [one.hex() for one in found] == proof
    assert verify_consistency(first, second, ROOTS[first], ROOTS[second], found)


@pytest.mark.parametrize(("leaf", "size", "path"), INCLUSION[1:])
def test_what_the_publishers_say_is_no_path(leaf: int, size: int, path: list[str]) -> None:
    index, proof, root, own = leaf - 1, tuple(map(bytes.fromhex, path)), ROOTS[size], HASHES[leaf - 1]
    other = b"\xab" * 32
    wrong = [
        (own, index - 1, size, proof, root),
        (own, index + 1, size, proof, root),
        (own, index ^ 2, size, proof, root),
        (own, index, size * 2, proof, root),
        (own, index, size // 2, proof, root),
        (other, index, size, proof, root),
        (own, index, size, proof, EMPTY_ROOT),
        (own, index, size, proof, other),
        (own, index, size, (*proof, b""), root),
        (own, index, size, (*proof, root), root),
        (own, index, size, (b"", *proof), root),
        (own, index, size, (root, *proof), root),
        (own, index, size, proof[:-1], root),
        (own, index, size, (proof[0], other, *proof[1:]), root),
    ]
    assert not [case for case in wrong if verify_inclusion(*case)]


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCY[1:])
def test_what_the_publishers_say_is_no_consistency(first: int, second: int, proof: list[str]) -> None:
    path, old, new = tuple(map(bytes.fromhex, proof)), ROOTS[first], ROOTS[second]
    wrong = [
        (first - 1, second, old, new, path),
        (first + 1, second, old, new, path),
        (first ^ 2, second, old, new, path),
        (first, second * 2, old, new, path),
        (first, second // 2, old, new, path),
        (first, second, b"another", new, path),
        (first, second, old, b"another", path),
        (first, second, new, old, path),
        (first, second, old, new, ()),
        (first, second, old, new, (*path, b"")),
        (first, second, old, new, (*path, old)),
        (first, second, old, new, (*path, new)),
        (first, second, old, new, (b"", *path)),
        (first, second, old, new, (old, *path)),
        (first, second, old, new, (path[0], *path)),
        (first, second, old, new, path[:-1]),
    ]
    assert not [case for case in wrong if verify_consistency(*case)]


@pytest.mark.parametrize(("first", "second"), [(1, 0), (2, 1), (1, 2), (-1, 1), (0, -1)])
def test_no_proof_is_none_between_trees_that_differ(first: int, second: int) -> None:
    assert not verify_consistency(first, second, ROOTS[1], ROOTS[2], ())


def test_every_tree_begins_with_the_empty_one() -> None:
    assert verify_consistency(0, 5, EMPTY_ROOT, ROOTS[5], ())
    assert not verify_consistency(0, 5, ROOTS[1], ROOTS[5], ())
    assert not verify_consistency(0, 5, EMPTY_ROOT, ROOTS[5], (EMPTY_ROOT,))


@given(trees, st.data())
def test_every_leaf_has_a_path_that_no_other_has(hashes: list[bytes], data: st.DataObject) -> None:
    size, root = len(hashes), root_of(hashes)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, hashes)
    assert verify_inclusion(hashes[index], index, size, proof, root)
    bit = data.draw(st.integers(0, 255))
    assert not verify_inclusion(changed((hashes[index],), bit)[0], index, size, proof, root)
    assert not verify_inclusion(hashes[index], index, size, proof, changed((root,), bit)[0])
    other = data.draw(st.integers(0, size - 1).filter(lambda one: one != index) if size > 1 else st.just(size))
    assert not verify_inclusion(hashes[index], other, size, proof, root)
    if proof:
        assert not verify_inclusion(
            hashes[index], index, size, changed(proof, data.draw(st.integers(0, 256 * len(proof) - 1))), root
        )
        assert not verify_inclusion(hashes[index], index, size, proof[:-1], root)


@given(trees, st.data())
def test_every_beginning_is_consistent_and_nothing_else(hashes: list[bytes], data: st.DataObject) -> None:
    size, root = len(hashes), root_of(hashes)
    first = data.draw(st.integers(1, size))
    proof, old = consistency_proof(first, hashes), root_of(hashes[:first])
    assert verify_consistency(first, size, old, root, proof)
    bit = data.draw(st.integers(0, 255))
    assert not verify_consistency(first, size, changed((old,), bit)[0], root, proof)
    assert not verify_consistency(first, size, old, changed((root,), bit)[0], proof)
    if proof:
        turned = changed(proof, data.draw(st.integers(0, 256 * len(proof) - 1)))
        assert not verify_consistency(first, size, old, root, turned)


@given(trees)
def test_a_frontier_knows_the_root_of_every_beginning(hashes: list[bytes]) -> None:
    frontier = Frontier()
    for size, one in enumerate(hashes, 1):
        frontier = frontier.append(one)
        assert frontier.root() == root_of(hashes[:size])
        assert Frontier.from_bytes(size, frontier.to_bytes()) == frontier
    middle = len(hashes) // 2
    assert Frontier().extend(hashes[:middle]).extend(hashes[middle:]) == frontier


@pytest.mark.parametrize(
    ("size", "data"),
    [(0, b"x"), (1, b""), (3, b"x" * 32), (2, b"x" * 64), (1, b"x" * 31), (3, b"x" * 63), (-1, b"x" * 32)],
)
def test_a_frontier_has_the_hashes_that_its_size_says(size: int, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"frontier|hash"):
        Frontier.from_bytes(size, data)


def test_no_leaf_has_the_hash_of_a_node() -> None:
    assert leaf_hash(HASHES[0] + HASHES[1]) != node_hash(HASHES[0], HASHES[1])


def test_there_is_no_proof_for_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="leaf"):
        inclusion_proof(8, HASHES)
    with pytest.raises(ValueError, match="beginning"):
        consistency_proof(9, HASHES)
