"""Random meddling with a schema: a run fails exactly where, unchecked, it would have changed anything else."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from retentiond.engine.effects import Effects
from tests.database.stage import Stage
from tests.database.test_effects import ENGINES, OTHER, THIRD, everything, on, other_rows, policy, world

NewDatabase = Callable[[str], str]
Contents = dict[str, list[str]]

# A world is made of two dozen statements on a real database: hundreds of smaller ones would take for ever.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)


@dataclass(frozen=True)
class Trigger:
    """What somebody adds: it acts on some rows of a table, and changes rows whenever it acts."""

    table: str
    event: str
    above: int
    body: str


@dataclass(frozen=True)
class Meddling:
    """What somebody does after the policy was compiled."""

    action: str
    other_key: str
    third_key: str
    triggers: tuple[Trigger, ...]

    def statements(self, engine: str) -> list[str]:
        made = []
        if self.other_key or self.third_key:
            made = ["DROP TABLE third", "DROP TABLE other", OTHER.format(self.other_key), THIRD.format(self.third_key)]
            made += other_rows()
        for number, trigger in enumerate(self.triggers):
            made += _trigger(engine, f"meddles_{number}", trigger)
        return made


def _trigger(engine: str, name: str, one: Trigger) -> list[str]:
    head = f"CREATE TRIGGER {name} AFTER {one.event} ON {one.table}"
    when = f"OLD.id > {one.above}"
    if engine == "sqlite":
        return [f"{head} WHEN {when} BEGIN {one.body}; END"]
    if engine == "mariadb":
        return [f"{head} FOR EACH ROW BEGIN IF {when} THEN {one.body}; END IF; END"]
    return [
        (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS"
            f" $$ BEGIN IF {when} THEN {one.body}; END IF; RETURN NULL; END $$"
        ),
        f"{head} FOR EACH ROW EXECUTE FUNCTION {name}()",
    ]


KEYS = {
    "delete": [
        "",
        ", FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE CASCADE",
        ", FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE SET NULL",
    ],
    "mask": ["", ", FOREIGN KEY (email) REFERENCES customer (email) ON UPDATE CASCADE"],
}
THIRD_KEYS = ["", ", FOREIGN KEY (other_id) REFERENCES other (id) ON DELETE CASCADE"]
BODIES = [
    "INSERT INTO log VALUES ('copied')",
    "DELETE FROM third WHERE id > 120",
    "UPDATE other SET customer_id = NULL WHERE id = 63",
    "UPDATE customer SET seen = seen + 1 WHERE id = 7",
    "INSERT INTO contract (id, customer_id) SELECT 1000 + count(*), 7 FROM contract",
]


@st.composite
def meddlings(draw: st.DrawFn) -> Meddling:
    action = draw(st.sampled_from(["delete", "mask"]))
    triggers = st.builds(
        Trigger,
        st.sampled_from(["customer", "contract", "other"]),
        st.sampled_from(["DELETE", "UPDATE"]),
        st.sampled_from([0, 3, 4, 5, 12, 20, 55, 1000]),
        st.sampled_from(BODIES),
    )
    return Meddling(
        action,
        draw(st.sampled_from(KEYS[action])),
        draw(st.sampled_from(THIRD_KEYS)),
        tuple(draw(st.lists(triggers, max_size=2))),
    )


def as_planned(before: Contents, after: Contents, action: str) -> bool:
    """True where the rows of the plan went, or their e-mails, and nothing else changed."""
    if action == "delete":
        wanted = before | {
            "customer": [row for row in before["customer"] if int(row[1:].split(",")[0]) > 5],
            "contract": [row for row in before["contract"] if int(row.split(",")[1]) > 5],
        }
        return after == wanted
    masked = [row for row in after["customer"] if "'anon-" in row]
    untouched = [row for row in before["customer"] if int(row[1:].split(",")[0]) > 5]
    kept = [row for row in after["customer"] if row not in masked]
    tails = {row.split(",", 2)[2] for row in masked} == {row.split(",", 2)[2] for row in before["customer"][:5]}
    return after | {"customer": []} == before | {"customer": []} and kept == untouched and len(masked) == 5 and tails


def _run(folder: Path, url: str, engine: str, one: Meddling) -> tuple[bool, str | None, bool]:
    """Whether all is as the plan says, the code of the failure, and whether all is as it was."""
    with Stage(folder, {"crm": url}, policy(one.action), chunk_rows=3 if engine == "sqlite" else 1000) as stage:
        stage.administer(*world(engine))
        assert stage.jobs
        assert stage.custody is not None
        stage.administer(*one.statements(engine))
        before = everything(stage)
        (report,) = stage.run()
        after = everything(stage)
        return as_planned(before, after, one.action), report.failed.code if report.failed else None, after == before


@pytest.mark.parametrize("engine", [on(engine) for engine in ENGINES])
def test_a_run_fails_exactly_where_it_would_change_anything_else(
    engine: str, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = Effects.check

    @settings(
        max_examples=20 if engine == "sqlite" else 6,
        phases=NO_SHRINKING,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(meddlings())
    def examined(one: Meddling) -> None:
        with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
            monkeypatch.setattr(Effects, "check", lambda *_, **__: {})
            planned, refused, _ = _run(Path(first), new_database(engine), engine, one)
            monkeypatch.setattr(Effects, "check", checked)
            went, code, unchanged = _run(Path(second), new_database(engine), engine, one)
        event("as planned" if planned else "refused by the database" if refused else "something else")
        if planned:
            assert (went, code) == (True, None)
        elif refused is not None:  # the database said no by itself
            assert code is not None
        else:
            assert (code, went) == ("effect-mismatch", False)
            assert unchanged or engine == "sqlite"  # there in chunks: those before the first that was refused went

    examined()
