"""Many inclusion proofs of one ledger: the tree is hashed once, whatever the number of entries that want proving."""

from collections.abc import Iterable, Sequence

from retentiond.reports.certificate import Entry, Signed
from retentiond.state.ledger.tree import leaf_hash, node_hash


class Tree:
    """The whole tree over these leaves' hashes, level by level; the last level is the root."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        if not hashes:
            raise ValueError("a tree without leaves has no proofs")
        self._levels = [list(hashes)]
        while len(level := self._levels[-1]) > 1:
            pairs = [node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
            # One without a neighbour goes up as it is; that is where RFC 6962 splits at the largest power of two.
            self._levels.append(pairs + level[len(pairs) * 2 :])

    @property
    def root(self) -> bytes:
        """The root."""
        return self._levels[-1][0]

    def path(self, index: int) -> tuple[bytes, ...]:
        """What leads from the leaf at that index up to the root."""
        found = []
        for level in self._levels[:-1]:
            beside = index ^ 1
            if beside < len(level):
                found.append(level[beside])
            index >>= 1
        return tuple(found)


def proven(note: str, keys: Sequence[str], leaves: Sequence[bytes], wanted: Iterable[int]) -> Signed:
    """The wanted entries with their proofs against a checkpoint over exactly these leaves."""
    tree = Tree([leaf_hash(leaf) for leaf in leaves])
    entries = tuple(
        Entry(
            seq=seq,
            leaf=leaves[seq].decode("utf-8"),
            hash=leaf_hash(leaves[seq]).hex(),
            path=tuple(one.hex() for one in tree.path(seq)),
        )
        for seq in sorted(set(wanted))
    )
    return Signed(note=note, size=len(leaves), root=tree.root.hex(), keys=tuple(keys), entries=entries)
