"""Which legal holds bear on rows: the same question that a run asks, for one hold after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from retentiond.compiler.binding import UnreachableError
from retentiond.compiler.holds import HoldCompiler
from retentiond.compiler.key_sets import Key
from retentiond.compiler.plan import Relation
from retentiond.engine.climb import held_keys
from retentiond.engine.holds import HoldBook, compiler_of, out_of_reach
from retentiond.engine.session import Session
from retentiond.engine.workspace import Workspace
from retentiond.state.holds import Hold


@dataclass(frozen=True, slots=True)
class HeldBy:
    """A hold, and how many of the rows in question it keeps in one table."""

    hold: str
    kind: str
    matter: str
    review: date
    table: str
    rows: int


class HoldReasons:
    """Names the holds of a book that keep rows."""

    def __init__(self, book: HoldBook, workspace: Workspace, session: Session) -> None:
        self._book = book
        self._workspace = workspace
        self._session = session
        self._compilers: dict[tuple[str, ...], HoldCompiler] = {}

    def of(self, relation: Relation, keys: Sequence[Key]) -> Iterator[HeldBy]:
        """
        The holds that keep any of these rows.

        Raises:
            RetentiondError: where a source is out of reach that a hold's way leads over.
        """
        for hold, rows in self._among(self._book.active, relation, keys):
            yield HeldBy(hold.id, hold.kind, hold.matter, hold.review, relation.label, rows)

    def _among(self, holds: Sequence[Hold], relation: Relation, keys: Sequence[Key]) -> Iterator[tuple[Hold, int]]:
        """Halves them until each stands alone: most keep none of the rows."""
        kept = self._kept(holds, relation, keys) if holds and keys else set()
        if len(holds) == 1 and kept:
            yield holds[0], len(kept)
        elif kept:
            middle = len(holds) // 2
            yield from self._among(holds[:middle], relation, keys)
            yield from self._among(holds[middle:], relation, keys)

    def _kept(self, holds: Sequence[Hold], relation: Relation, keys: Sequence[Key]) -> set[Key]:
        which = tuple(hold.id for hold in holds)
        if which not in self._compilers:
            self._compilers[which] = compiler_of(self._workspace, holds)
        try:
            tests = self._compilers[which].tests_of(relation)
        except UnreachableError as error:
            raise out_of_reach(error, self._workspace) from None
        with self._session.transaction() as transaction:
            return held_keys(transaction, relation, tests, keys) if tests else set()
