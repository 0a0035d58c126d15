"""A stretch of network between retentiond and a server: it carries everything, until it is told to make trouble."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import sqlalchemy as sa

from tests.fault.wire import MariadbReader, PostgresqlReader, Reader, is_commit

Trouble = Literal["cut-before", "cut-after", "swallow", "stall", "hole"]
"""
What happens to a COMMIT: both ends are cut off before it gets through; the client is cut off once it got through; its
reply is heard and not passed on; its reply waits; neither it nor anything after it arrives, and nobody hears why.
"""


@dataclass
class _Link:
    """One connection: the client's end, the server's, and whether what the server says is passed on."""

    client: socket.socket
    server: socket.socket
    reader: Reader
    mode: Trouble | Literal["open"] = "open"


class Relay:
    """Listens in front of one server; use as a context manager. `happened` counts the troubles it has made."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._armed: tuple[Trouble, int] | None = None
        self._released = threading.Event()
        self._closing = False
        self._cut = False
        self.commits = 0
        self.happened: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """The database's URL by way of the relay."""
        return self._url.set(host="127.0.0.1", port=self._listening.getsockname()[1]).render_as_string(False)

    def arm(self, trouble: Trouble, nth: int = 1) -> None:
        """Makes that trouble once, with the nth COMMIT from now on."""
        with self._lock:
            self._armed = (trouble, self.commits + nth)
            self._released.clear()

    def release(self) -> None:
        """What waits goes on."""
        self._released.set()

    def deafen(self) -> None:
        """From now on nothing that anybody says on a connection that is open arrives; new ones are carried."""
        with self._lock:
            for link in self._links:
                link.mode = "hole"
        self.happened["deaf"] += 1

    def cut(self) -> None:
        """The network is gone: every connection is reset, and nobody gets through, until `mend`."""
        self._cut = True
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            _reset(link.client)
            _reset(link.server)
        self.happened["cut"] += 1

    def mend(self) -> None:
        """The network is back."""
        self._cut = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        self.release()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._cut:
                _reset(client)
                continue
            try:
                server = socket.create_connection((self._url.host or "127.0.0.1", self._url.port or 0), timeout=5)
            except OSError:  # the server is down
                _reset(client)
                continue
            server.settimeout(None)
            reader = PostgresqlReader() if self._url.get_backend_name() == "postgresql" else MariadbReader()
            link = _Link(client, server, reader)
            with self._lock:
                self._links.append(link)
            threading.Thread(target=self._upward, args=(link,), daemon=True).start()
            threading.Thread(target=self._downward, args=(link,), daemon=True).start()

    def _upward(self, link: _Link) -> None:
        """Carries what the client says, message by message."""
        with contextlib.suppress(OSError):
            while data := link.client.recv(65536):
                for message, statement in link.reader.feed(data):
                    if is_commit(statement) and not self._commit(link, message):
                        return
                    if not is_commit(statement) and link.mode != "hole":
                        link.server.sendall(message)
        if link.mode != "swallow":
            _end(link.server)

    def _downward(self, link: _Link) -> None:
        """Carries what the server says."""
        with contextlib.suppress(OSError):
            while data := link.server.recv(65536):
                if link.mode in ("swallow", "cut-after"):
                    self.happened["swallow"] += link.mode == "swallow"
                    _reset(link.client)
                    _reset(link.server)
                    return
                if link.mode == "stall":
                    self._released.wait()
                if link.mode == "hole":
                    continue
                link.client.sendall(data)
        if link.mode != "hole":
            _end(link.client)

    def _commit(self, link: _Link, message: bytes) -> bool:
        """What becomes of a COMMIT; False where this connection is over for the client."""
        with self._lock:
            self.commits += 1
            trouble = self._armed[0] if self._armed and self._armed[1] == self.commits else None
            if trouble:
                self._armed = None
        if trouble is None:
            if link.mode != "hole":
                link.server.sendall(message)
            return True
        link.mode = trouble  # before it is sent, or the reply may be faster
        if trouble != "swallow":
            self.happened[trouble] += 1
        if trouble not in ("cut-before", "hole"):
            link.server.sendall(message)
        if trouble in ("cut-before", "cut-after"):
            _reset(link.client)
            if trouble == "cut-before":
                _reset(link.server)
            else:
                _end(link.server)
            return False
        return True


def _reset(end: socket.socket) -> None:
    """Ends a connection so that the other side is told at once (RST), whatever was still on its way."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)  # wakes our own thread that reads there, and tells the other side nothing yet
    with contextlib.suppress(OSError):
        end.close()


def _end(end: socket.socket) -> None:
    """Says that nothing more will come."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
