"""The schema that editors use, against the files that the loader accepts."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from retentiond.policy.document import SECTIONS
from retentiond.policy.json_schema import json_schema

HERE = Path(__file__).parent
POLICIES = sorted((HERE.parents[2] / "policies").glob("*.yaml"))


def as_editors_see_it(part: Any) -> Any:
    """YAML with the types of the YAML core schema; dates are text, and keys too."""
    if isinstance(part, dict):
        return {str(key): as_editors_see_it(value) for key, value in part.items()}
    if isinstance(part, list):
        return [as_editors_see_it(item) for item in part]
    return part.isoformat() if isinstance(part, date) else part


def errors(file: Path) -> list[str]:
    document = as_editors_see_it(YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")))
    return [error.message for error in Draft202012Validator(json_schema()).iter_errors(document)]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json.loads(json.dumps(json_schema())) == json_schema()


@pytest.mark.parametrize("file", [HERE / "sample.yaml", *POLICIES], ids=lambda file: str(file.stem))
def test_good_policies_pass(file: Path) -> None:
    assert errors(file) == []


@pytest.mark.parametrize(
    "name",
    [
        "unknown-key-file",
        "unknown-key-record",
        "unknown-key-rule",
        "misspelt-needed-key",
        "unknown-key-guard",
        "missing-version",
        "missing-table",
        "missing-statute-date",
        "no-rules",
        "rule-name",
        "rule-is-text",
        "rules-are-a-mapping",
        "cascade-is-text",
        "two-subjects",
        "basis",
        "role",
        "max-share",
        "on-request",
        "keep-unknown-list",
        "keep-plain-list",
        "then-word",
        "then-verb",
        "then-two-verbs",
        "method-word",
        "method-argument",
        "method-inside-json",
        "version-two",
    ],
)
def test_editors_underline_the_same_shapes(name: str) -> None:
    assert errors(HERE / "broken" / f"{name}.yaml")


def test_one_system_outside_may_stand_without_a_list() -> None:
    schema = Draft202012Validator(json_schema())
    document = as_editors_see_it(YAML(typ="safe", pure=True).load((HERE / "sample.yaml").read_text(encoding="utf-8")))
    system = {"what": "paper files", "owner": "office"}
    assert schema.is_valid({**document, "outside": system})
    assert schema.is_valid({**document, "outside": [system, system]})
    assert not schema.is_valid({**document, "outside": {"what": "paper files"}})
    assert not schema.is_valid({**document, "outside": "paper files"})


def test_every_key_of_the_language_is_there() -> None:
    schema = json_schema()
    definitions = schema["$defs"]
    assert set(schema["required"]) == {"version", "name", "title", "records", "rules"}
    assert set(schema["properties"]) - set(schema["required"]) == {
        "controllers",
        "role",
        "dpo",
        "authority",
        "published",
        "effective",
        "timezone",
        "schedule",
        "promises",
        "requests",
        "plausible_from",
        "overlap",
        "outside",
        "exempt",
    }
    record, rule = definitions["RecordDocument"], definitions["RuleDocument"]
    assert set(record["required"]) == {"source", "table"}
    assert set(record["properties"]) - set(record["required"]) == {
        "subject",
        "belongs_to",
        "cascade",
        "held",
        "marker",
        "format",
        "timezone",
        "plausible_from",
        "empty",
        "key",
        "on_request",
    }
    assert set(rule["required"]) == {"name", "record", "clause", "keep", "then"}
    assert set(rule["properties"]) - set(rule["required"]) == {
        "where",
        "schedule",
        "within",
        "purpose",
        "basis",
        "statute",
        "columns",
        "on_request",
        "guard",
    }
    assert all(set(section.needed) <= set(section.model_fields) for section in SECTIONS.values())
