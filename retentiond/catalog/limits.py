"""What a session may do and how long it may take."""

import math
from dataclasses import dataclass

CONNECT_SECONDS = 10
# A writer that is stopped in the middle of a transaction must not keep its locks; a reader keeps none, and waits while
# another source works through a batch.
IDLE_SECONDS_WRITING = 60
IDLE_SECONDS_READING = 900


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one engine's sessions, in seconds; `statement` None means no limit."""

    read_only: bool
    statement: float | None
    lock: float
    application_name: str

    @property
    def idle(self) -> int:
        """How long a transaction may be open without a statement."""
        return IDLE_SECONDS_READING if self.read_only else IDLE_SECONDS_WRITING

    @property
    def statement_milliseconds(self) -> int:
        """The limit as the servers want it: 0 is none, and no limit rounds down to none."""
        return 0 if self.statement is None else max(1, math.ceil(self.statement * 1000))

    @property
    def lock_milliseconds(self) -> int:
        """How long to wait for a lock; at least one, since 0 would mean for ever."""
        return max(1, math.ceil(self.lock * 1000))

    @property
    def lock_whole_seconds(self) -> int:
        """The same for MariaDB and MySQL, which count in seconds."""
        return max(1, math.ceil(self.lock))
