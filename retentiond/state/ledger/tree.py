"""The Merkle tree of RFC 6962: roots, and proofs that a leaf is in it or that one tree begins another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf; no inner node has the same, whatever the leaf says."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """
    A tree of which only the right edge is known: the hashes of its full subtrees, the largest first.

    That is all it takes to append, to tell the root, and to be kept in a few hundred bytes.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse hashes that no tree of this size has."""
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError("no frontier of a tree of this size")
        if any(len(one) != HASH_BYTES for one in self.hashes):
            raise ValueError("a hash of another length")

    def append(self, new: bytes) -> "Frontier":
        """The frontier with one leaf more, of which this is the hash."""
        return self.extend((new,))

    def extend(self, new: Iterable[bytes]) -> "Frontier":
        """The frontier with these leaves' hashes behind its own."""
        growth = Growth(self)
        for one in new:
            growth.add(one)
        return growth.frontier()

    def root(self) -> bytes:
        """The root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """The hashes one behind the other; the size tells which they are."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> "Frontier":
        """The frontier of that size that `to_bytes` wrote."""
        return cls(size, tuple(data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)))


class Growth:
    """A frontier that takes one leaf after the other without being made anew each time."""

    def __init__(self, start: Frontier | None = None) -> None:
        self.size = start.size if start else 0
        self._hashes = list(start.hashes) if start else []

    def add(self, new: bytes) -> None:
        """Append a leaf, of which this is the hash."""
        rest = self.size
        while rest & 1:
            new = node_hash(self._hashes.pop(), new)
            rest >>= 1
        self._hashes.append(new)
        self.size += 1

    def frontier(self) -> Frontier:
        """What it has become."""
        return Frontier(self.size, tuple(self._hashes))


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over these leaves' hashes."""
    return Frontier().extend(hashes).root()


def inclusion_proof(index: int, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """What leads from the leaf at that index up to the root of the tree over these leaves' hashes."""
    if not 0 <= index < len(hashes):
        raise ValueError("no such leaf")
    if len(hashes) == 1:
        return ()
    half = _half(len(hashes))
    if index < half:
        return (*inclusion_proof(index, hashes[:half]), root_of(hashes[half:]))
    return (*inclusion_proof(index - half, hashes[half:]), root_of(hashes[:half]))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """True where the proof leads from this leaf's hash, at that index of a tree of that size, to the root."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(beside, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, beside)
        place >>= 1
        last >>= 1
    return last == 0 and found == root


def consistency_proof(first: int, hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """What shows that the tree over the first leaves is the beginning of the tree over all of these."""
    if not 0 <= first <= len(hashes):
        raise ValueError("no such beginning")
    return () if first in (0, len(hashes)) else _subproof(first, hashes, whole=True)


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """True where the proof shows that the first tree is the beginning of the second."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        expected = EMPTY_ROOT if first == 0 else second_root
        return not proof and first_root == expected
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place >>= 1
        last >>= 1
    old = new = path[0]
    for beside in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            new = node_hash(new, beside)
        place >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def _subproof(first: int, hashes: Sequence[bytes], *, whole: bool) -> tuple[bytes, ...]:
    """RFC 6962's SUBPROOF; `whole` while the first tree's own root need not be said."""
    if first == len(hashes):
        return () if whole else (root_of(hashes),)
    half = _half(len(hashes))
    if first <= half:
        return (*_subproof(first, hashes[:half], whole=whole), root_of(hashes[half:]))
    return (*_subproof(first - half, hashes[half:], whole=False), root_of(hashes[:half]))


def _half(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << ((size - 1).bit_length() - 1)
