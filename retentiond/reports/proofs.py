"""Many inclusion proofs of one ledger: the tree is hashed once, whatever the number of entries that want proving."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from retentiond.reports.certificate import Entry, Signed
from retentiond.state.ledger.leaf import canonical
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


def proven(note: str, keys: Sequence[str], hashes: Sequence[bytes], entries: Iterable[Mapping[str, Any]]) -> Signed:
    """The entries with their proofs against a checkpoint over exactly the leaves with these hashes."""
    tree = Tree(hashes)
    by_seq = {entry["seq"]: canonical(entry) for entry in entries}
    found = tuple(
        Entry(
            seq=seq,
            leaf=leaf.decode("utf-8"),
            hash=leaf_hash(leaf).hex(),
            path=tuple(one.hex() for one in tree.path(seq)),
        )
        for seq, leaf in sorted(by_seq.items())
    )
    return Signed(note=note, size=len(hashes), root=tree.root.hex(), keys=tuple(keys), entries=found)
