"""The shape of a policy file as JSON Schema, for editors and for checks outside retentiond."""

from typing import Any

from retentiond.policy.document import SECTIONS, FileDocument


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file."""
    schema = _tidy(FileDocument.model_json_schema(by_alias=True))
    for name, section in [(kind.__name__, kind) for kind in SECTIONS.values()]:
        target = schema if section is FileDocument else schema["$defs"][name]
        if section.needed:
            target["required"] = list(section.needed)
    # One system may stand without a list.
    outside = schema["properties"]["outside"]
    schema["properties"]["outside"] = {"anyOf": [outside["items"], outside]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "retentiond policy",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _tidy(part: Any) -> Any:
    """The schema without what only pydantic needs: titles, null alternatives, defaults, discriminators."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "properties" in part:  # a property may be called `title`; a title of the schema may not stay
        rest = {key: value for key, value in part.items() if key != "properties"}
        return {**_tidy(rest), "properties": {key: _tidy(value) for key, value in part["properties"].items()}}
    kept = {key: _tidy(value) for key, value in part.items() if key not in ("title", "default", "discriminator")}
    if "anyOf" in kept:
        kept["anyOf"] = [option for option in kept["anyOf"] if option != {"type": "null"}]
        if len(kept["anyOf"]) == 1:
            (only,) = kept.pop("anyOf")
            kept = {**only, **kept}
    return kept
