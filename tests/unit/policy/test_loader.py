"""Whole files: what they become, and what is not read at all."""

import os
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from retentiond.errors import PolicyError
from retentiond.policy.loader import load_policies, load_policy_text
from retentiond.policy.model import Guard, Link, Method, OnRequest, Policy, Promise, Statute

SAMPLE = Path(__file__).parent / "sample.yaml"
POLICIES = Path(__file__).parents[3] / "policies"

SMALL = """\
version: 1
name: shop
title: Shop
records:
  customer: {source: crm, table: customers, subject: id}
rules:
  - {name: customers, record: customer, clause: 3.10, keep: 3 years after seen_at, then: delete}
"""


def small(*changes: tuple[str, str]) -> Policy:
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return load_policy_text(text)


def codes(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_policy_text(text)
    return [problem.code for problem in caught.value.problems]


def test_the_sample_of_the_language() -> None:
    (policy,) = load_policies([SAMPLE])
    assert (policy.name, policy.version, policy.published) == ("sparkcentral", 1, date(2020, 4, 7))
    assert policy.controllers == ("Sparkcentral Europe NV", "Sparkcentral Inc.")
    assert policy.answer_within is not None
    assert policy.answer_within.months == 1
    assert policy.promises[-1] == Promise(
        "VIII.0", "copies may stay in back-ups", "the back-up window is not published", "privacy office"
    )
    customer, complaint = policy.record("customer"), policy.record("complaint")
    assert (customer.sources, customer.subject_type, customer.subject_column) == (("crm",), "customer", "id")
    assert customer.timezone == "Europe/Brussels"
    assert policy.record("contract").belongs_to == (Link("customer", "customer_id"),)
    assert (complaint.held, complaint.marker) == ("legal_hold", "anonymised_at")
    assert policy.record("contact").never_happened == ("last_mailed_at",)
    contract_data, complaint_data, marketing, invoices = policy.rules
    assert contract_data.keep.terms[0].clock.moment.which == "last"
    assert contract_data.schedule == "daily at 02:00"
    assert contract_data.within == timedelta(days=2)
    assert dict(complaint_data.action.methods)["email"] == Method("random")
    assert complaint_data.action.leave == ("id", "topic", "status", "opened_at", "closed_at", "legal_hold")
    assert complaint_data.within == timedelta(minutes=15)
    assert complaint_data.where is not None
    assert (marketing.keep.combine, len(marketing.keep.terms)) == ("first", 3)
    assert invoices.keep.floor
    assert invoices.statute == Statute("Belgian VAT Code art. 60", date(2026, 11, 22))


def test_places_lead_back_to_the_file() -> None:
    (policy,) = load_policies([SAMPLE])
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()

    def line(*path: str | int) -> str:
        return lines[policy.place(*path).line - 1]

    assert line("rules", 0, "keep").strip().startswith("keep: 10 years")
    assert line("records", "invoice").strip().startswith("invoice:")
    assert line("rules", 2, "keep", "whichever comes first", 1).strip() == "- until unsubscribed_at"
    assert "customer_ref: empty" in line("rules", 1, "then", "anonymise", "customer_ref")
    assert line("rules", 1, "nothing", "of", "this").strip() == "- name: complaint-data"


def test_the_five_policies_load() -> None:
    assert {policy.name for policy in load_policies([POLICIES])} >= {"sparkcentral", "bsoft", "blooom", "bluspark"}


def test_scalars_are_what_was_written() -> None:
    policy = small(("title: Shop", "title: NO"), ("source: crm", "source: crm-0042"), ("id}", "id, cascade: [0042]}"))
    assert policy.title == "NO"
    assert policy.rules[0].clause == "3.10"
    assert policy.record("customer").cascade == ("0042",)


def test_defaults() -> None:
    policy = small()
    assert (policy.timezone, policy.role, policy.plausible_from) == ("UTC", "controller", date(1971, 1, 1))
    assert policy.rules[0].guard == Guard()
    assert load_policy_text(SMALL, default_timezone="Europe/Paris").record("customer").timezone == "Europe/Paris"


def test_a_record_overrides_the_file() -> None:
    policy = small(
        ("title: Shop", "title: Shop\ntimezone: Europe/Paris\nplausible_from: 1990-01-01"),
        ("id}", "id, timezone: Asia/Kolkata, plausible_from: 2000-01-01}"),
    )
    record = policy.record("customer")
    assert (record.timezone, record.plausible_from) == ("Asia/Kolkata", date(2000, 1, 1))


def test_subjects_and_links_of_both_forms() -> None:
    policy = small(
        (
            "subject: id}",
            "subject: {person: id}}\n  visit: {source: web, table: v, belongs_to: {customer: {number: nr}}}",
        )
    )
    customer = policy.record("customer")
    assert (customer.subject_type, customer.subject_column) == ("person", "id")
    assert policy.record("visit").belongs_to == (Link("customer", "nr", "number"),)


@pytest.mark.parametrize(
    ("written", "sources"),
    [
        ("tenant-*", ("tenant-*",)),
        ("[crm, shop]", ("crm", "shop")),
        ("'*'", ("*",)),
        ("[crm, tenant-*]", ("crm", "tenant-*")),
    ],
)
def test_sources(written: str, sources: tuple[str, ...]) -> None:
    assert small(("source: crm", f"source: {written}")).record("customer").sources == sources


def test_methods() -> None:
    masks = (
        "{pseudonymise: {a: empty, b: random, c: {constant: 0}, d: {truncate: year}, e: {round: 1000}, f: {prefix: 2}, "
        "g: network, h: {mask: {keep_last: 4}}, i: domain, j: token, k: {token: email}, l: redact, "
        "m: {json: {a.b: empty, c: {prefix: 1}}}}}"
    )
    policy = small(("then: delete", f"then: {masks}"), ("id}", "id, marker: m_at, on_request: {stay: because}}"))
    assert dict(policy.rules[0].action.methods) == {
        "a": Method("empty"),
        "b": Method("random"),
        "c": Method("constant", "0"),
        "d": Method("truncate", "year"),
        "e": Method("round", 1000),
        "f": Method("prefix", 2),
        "g": Method("network"),
        "h": Method("mask", 4),
        "i": Method("domain"),
        "j": Method("token"),
        "k": Method("token", "email"),
        "l": Method("redact"),
        "m": Method("json", inside=(("a.b", Method("empty")), ("c", Method("prefix", 1)))),
    }


def test_clear_is_pseudonymise_with_empty() -> None:
    policy = small(("then: delete", "then: {clear: [a, b]}"), ("id}", "id, on_request: {stay: because}}"))
    assert policy.rules[0].action.methods == (("a", Method("empty")), ("b", Method("empty")))
    assert policy.record("customer").on_request == OnRequest(stay=True, reason="because")


def test_guard_and_on_request() -> None:
    rule = small(("then: delete", "then: delete, guard: {max_rows: 0, max_share: 5 %}, on_request: go")).rules[0]
    assert rule.guard == Guard(0, 0.05)
    assert rule.on_request == OnRequest(stay=False)


SECOND = "\n  - {name: second, record: customer, clause: x, keep: until left_at, then: delete, where: WHERE}\n"


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("status = 'a'", "status = 'b'", True),
        ("status = 'a' and x = 1", "'b' = status and y = 2", True),
        ("status in ('a', 'b')", "status in ('c')", True),
        ("status in ('a', 'b')", "status = 'c'", True),
        ("n = 1", "n = 2", True),
        ("status = 'a'", "status = 'a'", False),
        ("n = 1", "n = 1.0", False),
        ("n = 1", "n = '2'", False),
        ("status in ('a', 'b')", "status in ('b', 'c')", False),
        ("status = 'a' or x = 1", "status = 'b'", False),
        ("not status = 'a'", "status = 'b'", False),
        ("status = 'a'", "status <> 'a'", False),
        ("status = 'a'", "kind = 'b'", False),
    ],
)
def test_two_deletions_on_one_table(one: str, other: str, apart: bool) -> None:
    text = SMALL.replace("then: delete}", f'then: delete, where: "{one}"}}') + SECOND.replace("WHERE", f'"{other}"')
    if apart:
        assert len(load_policy_text(text).rules) == 2
    else:
        assert codes(text) == ["overlap"]
    assert load_policy_text(text.replace("title: Shop", "title: Shop\noverlap: earliest wins")).earliest_wins


def test_a_floor_without_deletion_overlaps_nothing() -> None:
    floor = "keep: at least 9 years after left_at, then: nothing, statute: {law: x, checked: 2026-01-01}"
    assert (
        len(
            load_policy_text(
                SMALL + SECOND.replace("keep: until left_at, then: delete", floor).replace(", where: WHERE", "")
            ).rules
        )
        == 2
    )


def test_a_cascade_reaches_a_person() -> None:
    more = "id, cascade: [lead]}\n  lead: {source: crm, table: leads, subject: id, belongs_to: {customer: c}}"
    assert len(small(("id}", more)).records) == 2


def test_a_cascade_to_itself() -> None:
    policy = small(("id}", "id, belongs_to: {customer: parent_id}, cascade: [customer]}"))
    assert policy.record("customer").cascade == ("customer",)


def test_an_undecided_promise_needs_no_rule() -> None:
    promises = "title: Shop\npromises:\n  3.10: x\n  4: {says: y, undecided: z, owner: o}"
    assert [promise.clause for promise in small(("title: Shop", promises)).promises] == ["3.10", "4"]


def test_outside_and_exempt() -> None:
    extra = "title: Shop\noutside: [{what: tapes, owner: IT}]\nexempt: [{what: customer.city, reason: r, owner: o}]"
    policy = small(("title: Shop", extra))
    assert policy.outside == (("tapes", "IT"),)
    assert policy.exempt == (("customer.city", "r", "o"),)


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_folder_is_read_without_sub_folders_and_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SMALL.replace("name: shop", "name: b"))
    (tmp_path / "a.yml").write_text(SMALL.replace("name: shop", "name: a"))
    (tmp_path / ".c.yaml").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "x.yaml").write_text("{")
    (tmp_path / "folder.yaml").mkdir()
    assert [policy.name for policy in load_policies([tmp_path])] == ["a", "b"]
    assert len(load_policies([tmp_path, tmp_path / "a.yml"])) == 2


def test_a_folder_without_policies(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no-policy"):
        load_policies([tmp_path])


def test_two_policies_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL)
    (tmp_path / "b.yaml").write_text(SMALL)
    with pytest.raises(PolicyError, match=r"b\.yaml:2:7: duplicate-name"):
        load_policies([tmp_path])


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    with pytest.raises(PolicyError) as caught:
        load_policies([tmp_path, tmp_path / "missing.yaml"])
    found = {(Path(p.position.file).name, p.code) for p in caught.value.problems}
    assert found == {(f"{name}.yaml", "unreadable-file") for name in ("pipe", "loop", "zero", "missing")}


def test_a_link_to_a_policy_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(SMALL)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real")
    assert load_policies([tmp_path])[0].file.endswith("link.yaml")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"version: \xff\n", "not-utf-8"),
        (b"\xff\xfev\x00", "not-utf-8"),
        (b"a: " + b"x" * (1024 * 1024), "file-too-large"),
        (b"[" * 5000, "too-deep"),
        (b"{" * 5000, "too-deep"),
        (b"- " * 5000, "too-deep"),
        (b"? " * 5000, "too-deep"),
        (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchor"),
        (b"# nothing\n", "empty-file"),
        (b"just text", "bad-type"),
    ],
)
def test_hazards(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    before = time.process_time()
    with pytest.raises(PolicyError) as caught:
        load_policies([tmp_path])
    assert code in [problem.code for problem in caught.value.problems]
    assert time.process_time() - before < 5


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert load_policy_text(b"\xef\xbb\xbf" + SMALL.encode()).name == "shop"


def test_all_files_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL.replace("3 years", "0 years"))
    (tmp_path / "b.yaml").write_text(SMALL.replace("subject", "subjekt").replace("name: shop", "name: b"))
    with pytest.raises(PolicyError) as caught:
        load_policies([tmp_path])
    assert [(Path(p.position.file).name, p.code) for p in caught.value.problems] == [
        ("a.yaml", "bad-period"),
        ("b.yaml", "unknown-key"),
    ]
    assert "did you mean" in caught.value.problems[1].hint
