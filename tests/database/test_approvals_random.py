"""Whatever is approved, withdrawn and changed in whatever order: nothing goes that was not approved as it is."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retentiond.engine.custody import utc_now
from retentiond.state.values import Person
from tests.database.guarding import Guarded, policy

PERIODS = ("1 year", "2 years", "3 years")  # every old row is due under each of them
What = tuple[str, int]


@dataclass
class Model:
    """What a few lines say must happen."""

    period: int = 0
    schema: int = 0
    rows: int = 0
    approved: What | None = None
    last_schema: int | None = None
    forged: bool = False

    @property
    def now(self) -> What:
        return PERIODS[self.period], self.schema

    def approve(self) -> None:
        self.approved, self.last_schema = self.now, self.schema

    def run(self, *, yes: bool) -> int:
        """How many rows go."""
        known = self.last_schema in (None, self.schema)
        if not self.rows or not known or self.forged:
            return 0
        if self.approved != self.now:
            if not yes:
                return 0
            self.approve()
        gone, self.rows = self.rows, 0
        return gone


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("rule"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["approve", "withdraw", "run", "yes", "column", "forge"]), st.just(0)),
        st.tuples(st.just("fill"), st.integers(1, 3)),
    ),
    min_size=3,
    max_size=9,
)


def forge(shop: Guarded) -> bool:
    """Writes the plan of now over every approval; True where that is what no leaf says."""
    with shop.command() as command:
        job, digest = command.job.name, command.job.digest
        store = sqlite3.connect(shop.state_file)
        with store:
            store.execute("UPDATE approvals SET digest = ?", [digest])
        store.close()
        return command.store.approvals.forged(job) > 0


def act(shop: Guarded, model: Model, action: str, number: int) -> None:
    """What people and programs do between two runs."""
    if action == "rule":
        model.period = number
        shop.text = policy(PERIODS[number])
    elif action == "fill":
        shop.fill(number)
        model.rows += number
    elif action == "column":
        model.schema += 1
        shop.administer(f"ALTER TABLE accounts ADD COLUMN c{model.schema} INTEGER")
    elif action == "approve" and not model.forged:
        shop.approve()
        model.approve()
    elif action == "withdraw":
        with shop.command() as command:
            command.store.approvals.withdraw([command.job.name], by=Person("anna", 1001), now=utc_now())
        model.approved, model.forged = None, False
    elif action == "forge" and shop.state_file.exists():
        model.forged |= forge(shop)


@settings(max_examples=15)
@given(ACTIONS)
def test_no_run_without_its_approval_destroys_anything(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("shop")
    shop, model = Guarded(folder, f"sqlite:///{folder / 'crm.db'}"), Model()
    for action, number in [*actions, ("run", 0)]:
        if action not in ("run", "yes"):
            act(shop, model, action, number)
            continue
        before = shop.count
        report = shop.run(yes=action == "yes")
        assert report.failed is None
        assert before - shop.count == report.done == model.run(yes=action == "yes"), report.guard_message
