"""
The shape of a policy file: which keys stand where, and what kind of value each takes.

One description serves the reader and, as JSON Schema (in `json_schema`), editors. Fields are optional here, because a
file with three mistakes is still read to its end; what must be there is listed in `needed` and checked by the reader.
"""

from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from retentiond.policy.fields import (
    TEXT_SCHEMA,
    AnyText,
    BasisWord,
    Count,
    DateFormat,
    Day,
    EarliestWins,
    Name,
    NeverHappened,
    PartWord,
    PeriodText,
    Positive,
    RoleWord,
    Share,
    SourceName,
    Text,
    TokenShape,
    Version,
    Zone,
    one_or_more,
    word,
)

METHOD_WORDS = ("empty", "random", "network", "domain", "token", "redact")
METHOD_KEYS = ("constant", "truncate", "round", "prefix", "mask", "token", "json")
VERB_WORDS = ("delete", "nothing")
VERB_KEYS = ("anonymise", "pseudonymise", "clear")


class Section(BaseModel):
    """A mapping whose keys are known. `needed` are those that may not be missing."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    needed: ClassVar[tuple[str, ...]] = ()


def _shape(value: object) -> str:
    """The tag of a union by what was written; tags start with @, which no path of a file does."""
    return "@list" if isinstance(value, list) else "@map" if isinstance(value, dict) else "@text"


def _only_key(value: object) -> str:
    """The tag of a union whose mappings have one key."""
    if isinstance(value, dict):
        return f"@{next(iter(value))}" if len(value) == 1 else "@map"
    return _shape(value)


# --- methods ---------------------------------------------------------------------------------------------------------


class ConstantMethod(Section):
    """Everybody gets the same value."""

    constant: AnyText


class TruncateMethod(Section):
    """The first day of the date's year, month or day."""

    truncate: PartWord


class RoundMethod(Section):
    """The bucket a number falls into."""

    round_: Positive = Field(alias="round")


class PrefixMethod(Section):
    """The first characters only."""

    prefix: Positive


class KeepLast(Section):
    """How many characters at the end stay readable."""

    keep_last: Positive


class MaskMethod(Section):
    """Dots, and the last characters."""

    mask: KeepLast


class TokenMethod(Section):
    """A keyed token that looks like an e-mail address."""

    token: TokenShape


class JsonMethod(Section):
    """Methods inside a JSON document, by path."""

    inside: dict[str, "MethodDocument"] = Field(alias="json", min_length=1)


METHOD_FORMS = f"{', '.join(METHOD_WORDS)}, or a mapping with one of {', '.join(METHOD_KEYS)}"
THEN_FORMS = "delete, nothing, {anonymise: {column: method}}, {pseudonymise: {column: method}} or {clear: [columns]}"

MethodWord = Annotated[
    str,
    BeforeValidator(word("bad-method", *METHOD_WORDS, forms=METHOD_FORMS, others=METHOD_KEYS)),
    WithJsonSchema({"enum": list(METHOD_WORDS)}),
]
MethodDocument = Annotated[
    Annotated[MethodWord, Tag("@text")]
    | Annotated[ConstantMethod, Tag("@constant")]
    | Annotated[TruncateMethod, Tag("@truncate")]
    | Annotated[RoundMethod, Tag("@round")]
    | Annotated[PrefixMethod, Tag("@prefix")]
    | Annotated[MaskMethod, Tag("@mask")]
    | Annotated[TokenMethod, Tag("@token")]
    | Annotated[JsonMethod, Tag("@json")],
    Discriminator(_only_key),
]


# --- then ------------------------------------------------------------------------------------------------------------


class AnonymiseColumns(BaseModel):
    """A method per column, and the columns that may stay as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)
    __pydantic_extra__: dict[str, MethodDocument] = Field(init=False)
    leave: list[Text] | None = Field(None, description="Columns that stay: nothing in them says whose the row was.")


class AnonymiseAction(Section):
    """The row stays and nobody can tell whose it was."""

    anonymise: AnonymiseColumns


class PseudonymiseAction(Section):
    """The row stays and is still personal data."""

    pseudonymise: dict[str, MethodDocument] = Field(min_length=1)


class ClearAction(Section):
    """These columns are emptied, the person stays."""

    clear: list[Text] = Field(min_length=1)


VerbWord = Annotated[
    str,
    BeforeValidator(word("bad-then", *VERB_WORDS, forms=THEN_FORMS, others=VERB_KEYS)),
    WithJsonSchema({"enum": list(VERB_WORDS)}),
]
ThenDocument = Annotated[
    Annotated[VerbWord, Tag("@text")]
    | Annotated[AnonymiseAction, Tag("@anonymise")]
    | Annotated[PseudonymiseAction, Tag("@pseudonymise")]
    | Annotated[ClearAction, Tag("@clear")],
    Discriminator(_only_key),
]


# --- keep and the smaller sections -----------------------------------------------------------------------------------


class FirstOf(Section):
    """The earliest started term counts."""

    terms: list[Text] = Field(alias="whichever comes first", min_length=1)


class LastOf(Section):
    """The last term counts, and all must have started."""

    terms: list[Text] = Field(alias="whichever comes last", min_length=1)


KeepDocument = Annotated[
    Annotated[Text, Tag("@text")]
    | Annotated[FirstOf, Tag("@whichever comes first")]
    | Annotated[LastOf, Tag("@whichever comes last")],
    Discriminator(_only_key),
]


class Stay(Section):
    """A request of the person does not touch this; the reason is printed in the answer."""

    needed = ("stay",)
    stay: Text | None = None


GoWord = Annotated[
    str,
    BeforeValidator(word("bad-on-request", "go", forms="go or {stay: reason}", others=("stay",))),
    WithJsonSchema({"enum": ["go"]}),
]
OnRequestDocument = Annotated[Annotated[GoWord, Tag("@text")] | Annotated[Stay, Tag("@map")], Discriminator(_shape)]


class PromiseSection(Section):
    """A retention sentence of the published policy, and what is still to be decided about it."""

    needed = ("says",)
    says: Text | None = None
    undecided: Text | None = Field(None, description="The decision that is missing.")
    owner: Text | None = Field(None, description="Whose decision it is: a function, not a person.")


PromiseDocument = Annotated[
    Annotated[Text, Tag("@text")] | Annotated[PromiseSection, Tag("@map")], Discriminator(_shape)
]


class Requests(Section):
    """What the company published about answering requests."""

    answer_within: PeriodText | None = Field(None, description="Such as `30 days`; the law's month where unsaid.")


class OutsideSection(Section):
    """A system that retentiond does not reach."""

    needed = ("what", "owner")
    what: Text | None = None
    owner: Text | None = None


class ExemptSection(Section):
    """A column or table that looks personal and that no rule has to govern."""

    needed = ("what", "reason", "owner")
    what: Text | None = Field(None, description="record.column, or source.table or source.table.column; * for any.")
    reason: Text | None = None
    owner: Text | None = None


class StatuteSection(Section):
    """The law that demands a floor."""

    needed = ("law", "checked")
    law: Text | None = None
    checked: Day | None = Field(None, description="The day somebody last looked it up.")


class GuardSection(Section):
    """The rule's own caps on what one run may destroy."""

    max_rows: Count | None = None
    max_share: Share | None = None


# --- records, rules, the file ----------------------------------------------------------------------------------------

Sources = Annotated[
    list[SourceName],
    BeforeValidator(one_or_more),
    Field(min_length=1),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1}),
]
Controllers = Annotated[
    list[Text],
    BeforeValidator(one_or_more),
    WithJsonSchema({"type": ["string", "array"], "items": TEXT_SCHEMA}),
]
OneTyped = Annotated[dict[str, Text], Field(min_length=1, max_length=1)]
SubjectDocument = Annotated[Annotated[Text, Tag("@text")] | Annotated[OneTyped, Tag("@map")], Discriminator(_shape)]
LinkDocument = Annotated[Annotated[Text, Tag("@text")] | Annotated[OneTyped, Tag("@map")], Discriminator(_shape)]
OutsideList = Annotated[
    list[OutsideSection], BeforeValidator(lambda value: [value] if isinstance(value, dict) else value)
]


class RecordDocument(Section):
    """What rules talk about, bound to a table."""

    needed = ("source", "table")
    source: Sources | None = Field(
        None, description="A connection from the settings, a list, or a glob such as tenant-*."
    )
    table: Text | None = Field(None, description="schema.table where the database has schemas.")
    subject: SubjectDocument | None = Field(None, description="Each row is a person; {type: column} names the type.")
    belongs_to: dict[str, LinkDocument] | None = Field(
        None, description="{record: own column}, or {record: {its unique column: own column}}."
    )
    cascade: list[Text] | None = Field(None, description="Goes with a deleted row: records, or tables of the source.")
    held: Text | None = Field(None, description="A boolean column: true means hands off.")
    marker: Text | None = Field(None, description="A nullable timestamp or boolean column, set when a row is masked.")
    format: dict[str, DateFormat] | None = Field(
        None, description='How a column that is no date holds one: epoch s, epoch ms, iso or "%d.%m.%Y".'
    )
    timezone: Zone | None = None
    plausible_from: Day | None = Field(None, description="Clocks before this day are suspect and never acted on.")
    empty: dict[str, NeverHappened] | None = Field(None, description="{column: never happened}: NULL is no open end.")
    key: Annotated[list[Text], Field(min_length=1)] | None = Field(
        None, description="A unique, non-null key where the table has no primary key."
    )
    on_request: OnRequestDocument | None = Field(None, description="go, or {stay: reason}.")


class RuleDocument(Section):
    """One sentence of the policy: which rows, how long, and then what."""

    needed = ("name", "record", "clause", "keep", "then")
    name: Name | None = None
    record: Text | None = None
    clause: Text | None = Field(None, description="The clause of the published policy that says so.")
    keep: KeepDocument | None = Field(
        None, description="Such as `3 years after last contract.ended_at`, `until closed_at`."
    )
    then: ThenDocument | None = None
    where: Text | None = Field(None, description="One boolean SQL expression over the record's own columns.")
    schedule: Text | None = Field(
        None, description="daily at 02:00, every 5 minutes, weekly on monday at 03:00, crontab."
    )
    within: PeriodText | None = Field(
        None, description="How late is still on time; twice the schedule's interval if unsaid."
    )
    purpose: Text | None = None
    basis: BasisWord | None = None
    statute: StatuteSection | None = None
    columns: Annotated[list[Text], Field(min_length=1)] | None = Field(None, description="What a floor is limited to.")
    on_request: OnRequestDocument | None = None
    guard: GuardSection | None = None


class FileDocument(Section):
    """A published retention policy that retentiond carries out."""

    needed = ("version", "name", "title", "records", "rules")
    version: Version | None = None
    name: Name | None = None
    title: Text | None = None
    controllers: Controllers | None = None
    role: RoleWord | None = None
    dpo: Text | None = None
    authority: Text | None = None
    published: Day | None = None
    effective: Day | None = Field(None, description="No rule acts before.")
    timezone: Zone | None = Field(None, description="Whose calendar the periods run on.")
    schedule: Text | None = None
    promises: dict[str, PromiseDocument] | None = Field(
        None, description="Every retention sentence, in your own words."
    )
    requests: Requests | None = None
    plausible_from: Day | None = None
    overlap: EarliestWins | None = None
    outside: OutsideList | None = None
    exempt: list[ExemptSection] | None = None
    records: Annotated[dict[str, RecordDocument], Field(min_length=1)] | None = None
    rules: Annotated[list[RuleDocument], Field(min_length=1)] | None = None


# Where each kind of section stands: what the reader needs to name missing and unknown keys.
SECTIONS: dict[tuple[str, ...], type[Section]] = {
    (): FileDocument,
    ("requests",): Requests,
    ("promises", "*"): PromiseSection,
    ("outside", "*"): OutsideSection,
    ("exempt", "*"): ExemptSection,
    ("records", "*"): RecordDocument,
    ("records", "*", "on_request"): Stay,
    ("rules", "*"): RuleDocument,
    ("rules", "*", "on_request"): Stay,
    ("rules", "*", "statute"): StatuteSection,
    ("rules", "*", "guard"): GuardSection,
}
