"""What the ledger keeps of the rows that a batch destroyed in one table: their tokens, and nothing else."""

import itertools
from dataclasses import dataclass, field
from hashlib import sha256

TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True)
class TokenList:
    """
    The tokens of the rows of one table, sorted and one behind the other, 16 bytes each.

    `table` is the ledger's label of the table, `scheme` how they were made (see `tokens`), `key` with which key.
    """

    table: str
    scheme: str
    key: str
    tokens: bytes = field(repr=False)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.tokens) // TOKEN_BYTES

    @property
    def sha256(self) -> str:
        """Their hash as the intent's leaf says it."""
        return sha256(self.tokens).hexdigest()

    def __contains__(self, token: bytes) -> bool:
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            found = self.tokens[middle * TOKEN_BYTES : (middle + 1) * TOKEN_BYTES]
            if found == token:
                return True
            low, high = (middle + 1, high) if found < token else (low, middle)
        return False

    def well_formed(self) -> bool:
        """True where the tokens are whole, sorted and different from each other."""
        if len(self.tokens) % TOKEN_BYTES:
            return False
        each = [self.tokens[start : start + TOKEN_BYTES] for start in range(0, len(self.tokens), TOKEN_BYTES)]
        return all(one < after for one, after in itertools.pairwise(each))
