"""What is held now, put into jobs: read from the state store, and read again whenever its epoch has moved."""

from collections.abc import Sequence

from retentiond.compiler.binding import UnreachableError
from retentiond.compiler.holds import HoldCompiler, HoldOn
from retentiond.compiler.plan import Job
from retentiond.engine.workspace import Workspace
from retentiond.errors import FailedError, RetentiondError
from retentiond.state.holds import Hold
from retentiond.state.keys import KeyRing
from retentiond.state.store import Store


class HoldBook:
    """The active holds for the jobs of one workspace."""

    def __init__(self, store: Store, keys: KeyRing, workspace: Workspace) -> None:
        self._store = store
        self._keys = keys
        self._workspace = workspace
        self._epoch = -1
        self._active: tuple[Hold, ...] = ()
        self._compiler = compiler_of(workspace, ())
        self._applied: dict[str, tuple[Job, Job]] = {}

    def apply(self, job: Job) -> Job:
        """
        The job with what is held now; given one with older holds, these are put in their place.

        Raises:
            RefusedError: where a hold cannot be placed, or its key is missing. EvidenceError: where one was tampered
                with. RetentiondError: where a source is out of reach that a hold's way leads over.
        """
        self._read()
        known = self._applied.get(job.name)
        if known is None or known[0] is not job:
            self._applied[job.name] = known = (job, put_into(job, self._compiler, self._workspace))
        return known[1]

    @property
    def active(self) -> tuple[Hold, ...]:
        """The holds that are in force."""
        self._read()
        return self._active

    def _read(self) -> None:
        # The epoch first: what is placed between the two is read twice, and never missed.
        epoch = self._store.control.epoch()
        if self._epoch < 0:
            self._store.holds.check_all_there()
        if epoch != self._epoch:
            self._active = self._store.holds.active(self._keys)
            self._compiler = compiler_of(self._workspace, self._active)
            self._applied.clear()
            self._epoch = epoch


def compiler_of(workspace: Workspace, holds: Sequence[Hold]) -> HoldCompiler:
    """What puts these holds into the jobs of the workspace; RefusedError where one cannot be placed."""
    others = (*workspace.unreachable, *workspace.sources)
    return HoldCompiler(workspace.policies, workspace.catalogs, others, [_on(hold) for hold in holds])


def put_into(job: Job, compiler: HoldCompiler, workspace: Workspace) -> Job:
    """The job with the compiler's holds; the reason why a source is out of reach, where that matters."""
    try:
        return compiler.put_into(job)
    except UnreachableError as error:
        raise out_of_reach(error, workspace) from None


def out_of_reach(error: UnreachableError, workspace: Workspace) -> RetentiondError:
    """Why the source that a hold's way leads over cannot be asked."""
    unknown = FailedError(f"{error.source} cannot be asked what is held", code="unreachable")
    return workspace.unreachable.get(error.source, unknown)


def _on(hold: Hold) -> HoldOn:
    return HoldOn(hold.id, hold.scope, hold.policy, hold.subject_type, hold.record, hold.source, hold.ids)
