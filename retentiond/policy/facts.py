"""What a policy says about one rule, as plain facts that the evidence can keep: words of the policy, never of a row."""

from retentiond.policy.model import Clock, Method, Policy, Rule

_METHODS = {
    "empty": "emptied",
    "random": "replaced by chance",
    "constant": "replaced by one word for all",
    "token": "replaced by a keyed token",
    "redact": "addresses, telephone and account numbers in the text replaced",
    "domain": "cut to the domain",
}
_COMBINED = {"only": "", "first": "whichever comes first", "last": "whichever comes last"}


def rule_facts(policy: Policy, rule: Rule) -> dict[str, object]:
    """
    Who promised what about the rule's rows, and since when which period runs: everything a certificate names.

    Names, texts, lists and dictionaries only, so that it is JSON as it stands.
    """
    record = policy.record(rule.record)
    promise = next((promise for promise in policy.promises if promise.clause == rule.clause), None)
    return {
        "policy": policy.name,
        "sha256": policy.sha256,
        "title": policy.title,
        "published": policy.published.isoformat() if policy.published else None,
        "controllers": list(policy.controllers),
        "role": policy.role,
        "rule": rule.name,
        "clause": rule.clause,
        "says": promise.says if promise else None,
        "purpose": rule.purpose,
        "basis": rule.basis,
        "statute": rule.statute.law if rule.statute else None,
        "record": record.name,
        "table": record.table,
        "where": rule.where.text if rule.where else None,
        "floor": rule.keep.floor,
        "combine": _COMBINED[rule.keep.combine],
        "terms": [
            {"period": term.period.text if term.period else None, "start": start_event(term.clock, record.name)}
            for term in rule.keep.terms
        ],
        "timezone": record.timezone,
        "action": rule.action.verb,
        "columns": [{"column": column, "how": method_words(method)} for column, method in rule.action.methods],
        "leave": list(rule.action.leave),
        "outside": [{"what": what, "owner": owner} for what, owner in policy.outside],
    }


def start_event(clock: Clock, record: str) -> str:
    """The clock as a sentence names it: `the end of the year of issued_on of the invoice`."""
    moment = clock.moment
    if moment.record is None:
        text = f"{moment.column} of the {record}"
    elif moment.which is None:
        text = f"{moment.column} of its {moment.record}"
    else:
        text = f"the {moment.which} {moment.column} of its {moment.record} rows"
    return f"the end of the {clock.end_of} of {text}" if clock.end_of else text


def method_words(method: Method) -> str:
    """What a mask does to a column, without what it puts there."""
    match method.name:
        case "truncate":
            return f"cut to the {method.argument}"
        case "round":
            return f"rounded to {method.argument}"
        case "prefix":
            return f"cut to its first {method.argument} characters"
        case "network":
            return "cut to its network"
        case "mask":
            return f"hidden but for its last {method.argument} characters"
        case "json":
            return "masked inside: " + ", ".join(f"{path} {method_words(inner)}" for path, inner in method.inside)
        case _:
            return _METHODS[method.name]
