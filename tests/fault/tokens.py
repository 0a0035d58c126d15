"""
Which rows the ledger's tokens stand for, found as an auditor with the key would: by making the token of each row that
ever was, from the words of the description and not from retentiond's code.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.fault.arena import Arena
from tests.fault.evidence import Evidence

PURPOSE = b"retentiond/tokens/v1"


def token(key: bytes, source: str, schema: str, table: str, number: int) -> bytes:
    """The token of a row whose key is one whole number: the number, of 16 bytes, as one block of AES."""
    info = _framed([PURPOSE, b"a1", source.encode(), schema.encode(), table.encode(), b"int"])
    cipher = Cipher(algorithms.AES256(_derived(key, info)), modes.ECB()).encryptor()
    return cipher.update(number.to_bytes(16, "big", signed=True))


def _framed(parts: list[bytes]) -> bytes:
    return len(parts).to_bytes(4, "big") + b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def _derived(key: bytes, info: bytes) -> bytes:
    """HKDF with SHA-256 (RFC 5869), no salt, for as much as one hash gives."""
    extracted = hmac.digest(b"\0" * 32, key, hashlib.sha256)
    return hmac.digest(extracted, info + b"\1", hashlib.sha256)


class Reader:
    """Reads the token lists of an arena's state store; `findings` is what does not hold in them."""

    def __init__(self, arena: Arena, evidence: Evidence) -> None:
        self._arena, self._evidence = arena, evidence
        self._lists = {
            (str(batch), str(table)): (str(key), bytes(tokens))  # type: ignore[call-overload]
            for batch, table, key, tokens in arena.state_rows('SELECT batch, "table", key, tokens FROM token_lists')
        }
        self._intents = {entry["batch"]: entry for entry in evidence.of_kind("intent")}
        self._known: dict[tuple[str, str], dict[bytes, int]] = {}
        self.findings: list[str] = []

    def rows(self, entries: Iterable[dict[str, object]]) -> dict[str, Counter[int]]:
        """By table the rows that these outcomes tell of, and how often."""
        found: dict[str, Counter[int]] = {}
        for entry in entries:
            tables = entry["tables"]
            assert isinstance(tables, dict)
            for label, count in tables.items():
                ids = self._ids(str(entry["batch"]), label)
                if len(ids) != count:
                    self.findings.append(f"batch {entry['batch']}: {len(ids)} tokens of {label} for {count} rows")
                found.setdefault(label.split(".")[-1], Counter()).update(ids)
        return found

    def _ids(self, batch: str, label: str) -> list[int]:
        """The rows of one list of tokens, which is the one that the intent spoke of."""
        if (batch, label) not in self._lists:
            self.findings.append(f"batch {batch}: no tokens of {label}")
            return []
        key, tokens = self._lists[batch, label]
        (told,) = [one for one in self._intents[batch]["tokens"] if one["table"] == label]
        if hashlib.sha256(tokens).hexdigest() != told["sha256"]:
            self.findings.append(f"batch {batch}: other tokens of {label} than the intent spoke of")
        known = self._table(key, label)
        ids = [known.get(tokens[at : at + 16]) for at in range(0, len(tokens), 16)]
        if None in ids:
            self.findings.append(f"batch {batch}: a token of {label} that no row has")
        return [number for number in ids if number is not None]

    def _table(self, key: str, label: str) -> dict[bytes, int]:
        """The token of every row that a table ever had."""
        source, *schema, table = label.split(".")
        ids = self._arena.journal.known[table]
        known = self._known.setdefault((key, label), {})
        if len(known) < len(ids):
            secret = Path(self._arena.keys / f"{key.rpartition('-')[0]}.key").read_bytes()
            known |= {token(secret, source, "".join(schema), table, number): number for number in ids}
        return known
