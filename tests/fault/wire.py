"""As much of the two servers' protocols as it takes to see a client's statements go by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class Reader(Protocol):
    """Cuts what a client sends into messages."""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        """Each message that is whole now, as it came, and the statement it asks for; empty where it asks for none."""
        ...


class PostgresqlReader:
    """Messages of PostgreSQL's clients: a length and no kind for the first, then kind and length."""

    def __init__(self) -> None:
        self._buffer = b""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        self._buffer += data
        while True:
            head = 1 if self._begun else 0
            if len(self._buffer) < head + 4:
                return
            length = head + int.from_bytes(self._buffer[head : head + 4], "big")
            if len(self._buffer) < length:
                return
            message, self._buffer = self._buffer[:length], self._buffer[length:]
            statement = self._statement(message) if self._begun else ""
            self._begun = True
            yield message, statement

    @staticmethod
    def _statement(message: bytes) -> str:
        if message[:1] == b"Q":
            return message[5:].split(b"\0")[0].decode(errors="replace")
        if message[:1] == b"P":
            return message[5:].split(b"\0")[1].decode(errors="replace")
        return ""


class MariadbReader:
    """Packets of MariaDB's clients: three bytes of length, a number, and for a query a 3 and its text."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, str]]:
        self._buffer += data
        while len(self._buffer) >= 4:
            length = 4 + int.from_bytes(self._buffer[:3], "little")
            if len(self._buffer) < length:
                return
            packet, self._buffer = self._buffer[:length], self._buffer[length:]
            asks = packet[3] == 0 and packet[4:5] == b"\x03"
            yield packet, packet[5:].decode(errors="replace") if asks else ""


def is_commit(statement: str) -> bool:
    """True where the client wants its transaction committed."""
    return statement.strip().rstrip(";").upper() == "COMMIT"
