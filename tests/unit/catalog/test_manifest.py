"""What an administrator saw, put together with what a role may see."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from retentiond.catalog.manifest import hides_triggers, manifest_of, read_manifest, with_manifest
from retentiond.catalog.model import Catalog, Trigger, incoming_keys
from tests.unit.compiler.catalogs import catalog, table

SEEN = Trigger("seen", "trigger", "AFTER", ("DELETE",), "d1", touches=("log",), removes=(), sets=())
WHOLE = catalog(
    "crm",
    replace(table("people", "id integer, name text"), triggers=(SEEN,)),
    table("contracts", "id integer, person_id integer", refers=("person_id > people.id CASCADE",)),
    table("notes", "id integer, contract_id integer", refers=("contract_id > contracts.id",)),
    table("log", "id integer"),
)
NAMES = tuple(WHOLE.tables)


def seen_by(role_sees: set[str], whole: Catalog = WHOLE) -> Catalog:
    """The catalog of a role with rights on these tables, without PROCESS and TRIGGER."""
    tables = {
        name: replace(found, triggers=(), triggers_known=False)
        for name, found in whole.tables.items()
        if name in role_sees
    }
    return replace(whole, tables=tables, incoming=incoming_keys(tables), complete=False)


@given(st.sets(st.sampled_from(NAMES), min_size=1))
def test_a_blind_role_that_is_told_knows_what_the_administrator_knows(role_sees: set[str]) -> None:
    manifest = manifest_of(WHOLE)
    assert manifest is not None
    told = with_manifest(seen_by(role_sees), manifest)
    assert told.complete
    assert not hides_triggers(told)
    for name in role_sees:
        assert told.tables[name] == WHOLE.tables[name]
        assert set(told.incoming.get(name, ())) == set(WHOLE.incoming.get(name, ()))


def test_a_manifest_is_the_same_after_it_was_stored() -> None:
    manifest = manifest_of(WHOLE)
    assert manifest is not None
    stored = json.loads(json.dumps(manifest.as_document()))
    assert read_manifest(stored) == manifest
    assert read_manifest({**stored, "version": 2}) is None


def test_who_cannot_see_everything_makes_no_manifest() -> None:
    assert manifest_of(replace(WHOLE, complete=False)) is None
    assert manifest_of(replace(seen_by(set(NAMES)), complete=True)) is None


def test_a_table_that_came_later_makes_it_incomplete_again() -> None:
    manifest = manifest_of(WHOLE)
    assert manifest is not None
    later = {**WHOLE.tables, "later": table("later", "id integer")}
    grown = replace(WHOLE, tables=later)
    assert not with_manifest(seen_by({"people", "later"}, grown), manifest).complete
    assert with_manifest(seen_by({"people"}, grown), manifest).complete


def test_who_sees_for_himself_is_not_told() -> None:
    manifest = manifest_of(replace(WHOLE, incoming={}))
    assert manifest is not None
    assert with_manifest(WHOLE, manifest) == WHOLE


def test_what_a_key_does_is_told_where_it_was_guessed() -> None:
    manifest = manifest_of(WHOLE)
    assert manifest is not None
    blind = seen_by({"contracts", "notes"})
    (key,) = blind.tables["notes"].foreign_keys
    guessed = replace(blind.tables["notes"], foreign_keys=(replace(key, on_delete="CASCADE", on_update="CASCADE"),))
    told = with_manifest(replace(blind, tables={**blind.tables, "notes": guessed}), manifest)
    assert told.tables["notes"].foreign_keys == (key,)
    assert told.incoming["contracts"] == (key,)
