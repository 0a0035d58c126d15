"""Random rules, and rows that lie where they could go wrong: at the cutoffs, at midnights, where clocks are turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from hypothesis import strategies as st

ZONES = (
    "Europe/Brussels",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "UTC",
)
DAYS = tuple(
    map(
        date.fromisoformat,
        (
            *("2011-12-29", "2011-12-31", "2012-02-29", "2018-02-18", "2018-11-04", "2018-11-05", "2024-02-29"),
            *("2024-10-06", "2025-03-09", "2025-03-30", "2025-03-31", "2025-10-26", "2025-11-02", "2026-01-01"),
            *("2026-02-28", "2026-03-01", "2026-03-30", "2026-04-05"),
        ),
    )
)
TIMES = ("00:00:00", "23:59:59", "00:00:01", "00:30:00", "01:00:00", "02:00:00", "02:30:00", "03:00:00", "12:34:56")
CLOCKS = ("d", "n", "z", "es", "em", "ef", "iso", "p", "q")
FORMATS = {"es": "epoch s", "em": "epoch ms", "ef": "epoch s", "iso": "iso", "p": "%d.%m.%Y", "q": "%Y%m%d %H:%M:%S"}
TYPES = {
    "sqlite": {"d": "DATE", "n": "DATETIME", "z": "TIMESTAMP", "ef": "REAL"},
    "postgresql": {"d": "date", "n": "timestamp", "z": "timestamptz", "ef": "double precision"},
    "mariadb": {"d": "date", "n": "datetime(6)", "z": "timestamp(6)", "ef": "double"},
}
OTHERS = {"es": "bigint", "em": "bigint", "iso": "varchar(40)", "p": "varchar(40)", "q": "varchar(40)"}
NEVER_HAPPENED = ("d", "em")  # what NULL means there
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)

# Periods, each with about how long it is.
PERIODS: tuple[tuple[str, relativedelta], ...] = (
    ("10 years", relativedelta(years=10)),
    ("1 year", relativedelta(years=1)),
    ("18 months", relativedelta(months=18)),
    ("1 month", relativedelta(months=1)),
    ("1 month and 1 day", relativedelta(months=1, days=1)),
    ("2 weeks", relativedelta(days=14)),
    ("1 day", relativedelta(days=1)),
    ("P1Y6M", relativedelta(months=18)),
    ("P3M2W", relativedelta(months=3, days=14)),
    ("72 hours", relativedelta(hours=72)),
    ("1 hour and 30 minutes", relativedelta(minutes=90)),
    ("PT24H", relativedelta(hours=24)),
    ("45 minutes", relativedelta(minutes=45)),
)


def columns(engine: str) -> str:
    """The declarations of all clock columns."""
    null = " NULL DEFAULT NULL" if engine == "mariadb" else ""
    return ", ".join(f"{name} {kind}{null}" for name, kind in {**TYPES[engine], **OTHERS}.items())


@dataclass(frozen=True)
class Said:
    """A `keep`, and about how long it keeps: where the rows at its boundary are to be found."""

    keep: str | dict[str, list[str]]
    lengths: tuple[relativedelta, ...]


def terms(clocks: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, relativedelta]]:
    """`1 year after end of month of d`, `until last child.n` …"""

    def said(period: tuple[str, relativedelta] | None, end_of: str, clock: str) -> tuple[str, relativedelta]:
        counted = f"end of {end_of} of {clock}" if end_of else clock
        if period is None:
            return f"until {counted}", relativedelta()
        return f"{period[0]} after {counted}", period[1]

    end_of = st.sampled_from(["", "", "", "month", "quarter", "year"])
    return st.builds(said, st.none() | st.sampled_from(PERIODS), end_of, clocks)


def keeps(clocks: st.SearchStrategy[str]) -> st.SearchStrategy[Said]:
    """One term, or the first or last of several."""

    def listed(which: str, several: list[tuple[str, relativedelta]]) -> Said:
        return Said({f"whichever comes {which}": [text for text, _ in several]}, tuple(size for _, size in several))

    one = st.builds(lambda term: Said(term[0], (term[1],)), terms(clocks))
    several = st.lists(terms(clocks), min_size=2, max_size=3, unique_by=lambda term: term[0])
    return one | st.builds(listed, st.sampled_from(["first", "last"]), several)


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """A time zone, and an instant there that is worth a look."""
    zone = draw(st.sampled_from(ZONES))
    day, hour = draw(st.sampled_from(DAYS)), draw(st.sampled_from(TIMES))
    local = datetime.combine(day, time.fromisoformat(hour), tzinfo=ZoneInfo(zone))
    return zone, local.replace(fold=draw(st.integers(0, 1))).astimezone(UTC)


class Values:
    """Values of clock columns around the cutoffs of some lengths at an instant, and values that mean mischief."""

    def __init__(self, seed: int, engine: str, zone: str, at: datetime, lengths: tuple[relativedelta, ...]) -> None:
        self._random = Random(seed)
        self._engine = engine
        self._zone = ZoneInfo(zone)
        self._at = at
        self._lengths = lengths or (relativedelta(),)

    def row(self, *, mischief: float = 0.08, nulls: float = 0.1) -> dict[str, object]:
        """One row's clocks."""
        return {name: self.one(name, mischief, nulls) for name in CLOCKS}

    def one(self, name: str, mischief: float, nulls: float) -> object:
        chance = self._random.random()
        if chance < nulls:
            return None
        if chance < nulls + mischief:
            return self._random.choice(MISCHIEF[self._engine][name])
        local = self._local()
        if self._random.random() < 0.1:  # long past or far off: the usual case, and the rarest in a test of edges
            local += self._random.choice([-1, 1]) * timedelta(days=self._random.randrange(40, 4000))
        return self._written(name, local)

    def _local(self) -> datetime:
        pick = self._random.choice
        base = self._at.astimezone(self._zone).replace(tzinfo=None) - pick(self._lengths)
        midnight = datetime.combine(base, time.min)
        month = midnight.replace(day=1)
        start = pick(
            [
                *[base] * 4,
                midnight,
                midnight + timedelta(days=pick([-1, 1])),
                month,
                month + relativedelta(months=1),
                month.replace(month=(month.month - 1) // 3 * 3 + 1),
                month.replace(month=1),
                month.replace(month=1) + relativedelta(years=1),
                datetime.combine(base, time.fromisoformat(pick(TIMES))),
            ]
        )
        step = pick(
            [
                timedelta(),
                timedelta(),
                *(sign * size for sign in (1, -1) for size in (TICK, timedelta(seconds=1), timedelta(milliseconds=1))),
                timedelta(minutes=pick([-90, -60, -30, -15, 15, 30, 60, 90])),
                timedelta(hours=pick([-24, -2, 2, 24])),
                timedelta(days=pick([-3, -2, -1, 1, 2, 3, 31, -31])),
                timedelta(seconds=self._random.randrange(-90_000, 90_000)),
            ]
        )
        return start + step

    def _written(self, name: str, local: datetime) -> object:
        instant = local.replace(tzinfo=self._zone, fold=self._random.randrange(2)).astimezone(UTC)
        micros = (instant - EPOCH) // TICK
        match name:
            case "d":
                return self._text(local)[: self._random.choice([10, 40])] if self._sqlite else str(local.date())
            case "es":
                return micros // 1_000_000
            case "em":
                return micros // 1_000
            case "ef":
                return micros / 1_000_000
            case "p":
                return local.strftime("%d.%m.%Y")
            case "q":
                return local.strftime("%Y%m%d %H:%M:%S")
            case "n" if not self._sqlite:
                return local.isoformat(" ")
            case "z" if not self._sqlite:
                return instant.replace(tzinfo=None).isoformat(" ") + ("+00" if self._engine == "postgresql" else "")
            case _:
                return self._iso(local, instant)

    def _iso(self, local: datetime, instant: datetime) -> str:
        form = self._random.random()
        if form < 0.2:
            return str(local.date())
        if form < 0.6:
            return self._text(local)
        offset = self._random.choice([0, 0, 60, 330, -210, 840, -840])
        sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
        zones = [f"{sign}{hours:02}:{minutes:02}", f"{sign}{hours:02}{minutes:02}"]
        zones += [f"{sign}{hours:02}"] * (not minutes) + ["Z"] * (not offset)
        shown = (instant + timedelta(minutes=offset)).replace(tzinfo=None)
        return self._text(shown) + self._random.choice(zones)

    def _text(self, local: datetime) -> str:
        text = local.isoformat(self._random.choice("T "), "microseconds")
        if self._random.random() < 0.15:
            text += self._random.choice(["0", "001", "000", "5"])  # below a microsecond
        whole = text.rstrip("0").rstrip(".")
        lengths = [len(text)] + ([19] if len(whole) <= 19 else []) + ([16] if len(whole) <= 16 else [])
        lengths += [23] if len(whole) <= 23 else []
        return text[: self._random.choice(lengths)]

    @property
    def _sqlite(self) -> bool:
        return self._engine == "sqlite"


_DATES = (
    "1970-01-01",
    "1970-12-31",
    "1971-01-01",
    "1900-01-01",
    "0001-01-01",
    "9000-12-31",
    "9001-01-01",
    "9999-12-31",
)
_TIMES = (
    *tuple(f"{day} 00:00:00" for day in _DATES),
    "9999-12-31 23:59:59",
    "1970-12-31 23:59:59",
    "1970-12-31 22:59:59",
)
_BAD = (
    *("", " ", "soon", "2024-02-30", "2023-02-29", "2024-13-01", "2024-1-1", "20240101", "2024-01-01 ", " 2024-01-01"),
    *("2024-01-01T24:00:00", "2024-01-01 10", "2024-01-01T10+02:00", "2024-01-01 10:60:00", "2024-01-01 10:00:60"),
    *("2024-01-01 10:00:00.", "2024-01-01 10:00:00,5", "2024-01-01 10:00:00+15:00", "2024-01-01t10:00:00"),
    *("2024-01-01 10:00:00z", "2024-01-01 10:00:00 +02:00", "2024-01-01  10:00:00", "2024-01-01\n", "0000-00-00"),
    *("0000-00-00 00:00:00", "0000-01-01", "+2024-01-01", "10000-01-01", "２０２４-01-01", "2024-01-01Z", "infinity"),
    *("9999-12-31 23:30:00-14:00", "0001-01-01 00:30:00+14:00", "9000-12-31 23:30:00-02:00", "2024-W05-1", "2024-060"),
    *("9001-01-01 00:30:00+02:00", "2024-01-01 10:00:00+02:60", "2024-01-01 10:00:00.1234567890"),
)
_NUMBERS = (0, -1, 1, 31_535_999, 31_536_000, 31_536_000_000, 31_535_999_999, 2**31, 253_402_300_799, 10**15, -(10**15))
_ISO = (*_DATES, *_TIMES, *_BAD, *(f"{moment}Z" for moment in _TIMES), *(f"{moment}.000000001" for moment in _TIMES))
_PATTERNS = (
    "01.01.1970",
    "31.12.1970",
    "01.01.1971",
    "31.12.9000",
    "01.01.9001",
    "31.12.9999",
    "1.1.2020",
    "30.02.2024",
)
_COMMON: dict[str, tuple[object, ...]] = {
    "es": _NUMBERS,
    "em": _NUMBERS,
    "ef": (0.0, -0.5, 31_536_000.0, 31_535_999.999999, 1e18, -1e18, 1e300),
    "iso": _ISO,
    "p": (*_PATTERNS, *_BAD, "00.00.0000", "01.01.2020 ", "29.02.2023", "01-01-2020", "01.01.20200"),
    "q": (
        "19700101 00:00:00",
        "19710101 00:00:00",
        "19701231 23:59:59",
        "99991231 23:59:59",
        "20240101 24:00:00",
        *_BAD,
    ),
}
MISCHIEF: dict[str, dict[str, tuple[object, ...]]] = {
    "sqlite": {
        **_COMMON,
        "d": (*_ISO, 20_240_101, 1.5, b"2024-01-01"),
        "n": (*_ISO, 1_700_000_000, 2.5, b"2020-01-01 00:00:00"),
        "z": _ISO,
        "es": (*_NUMBERS, "soon", "2020-01-01", b"1", 1.5),
        "ef": (*_COMMON["ef"], "never", float("inf"), float("-inf")),
    },
    "postgresql": {
        **_COMMON,
        "d": (*_DATES, "infinity", "-infinity", "0044-03-15 BC", "12345-01-01"),
        "n": (*_TIMES, "infinity", "-infinity", "0044-03-15 10:00 BC", "12345-01-01 10:00"),
        "z": (
            *(f"{moment}+00" for moment in _TIMES),
            "infinity",
            "-infinity",
            "0044-03-15 10:00+00 BC",
            "12345-01-01Z",
        ),
        "ef": (*_COMMON["ef"], "NaN", "infinity", "-infinity"),
    },
    "mariadb": {
        **_COMMON,
        "d": (*_DATES, "0000-00-00", "2024-00-00", "2020-05-00"),
        "n": (*_TIMES, "0000-00-00 00:00:00", "2024-00-00 00:00:00", "2020-05-00 10:00:00"),
        "z": (
            "0000-00-00 00:00:00",
            "1970-01-01 00:00:01",
            "1970-12-31 23:59:59",
            "1971-01-01 00:00:00",
            "2038-01-19 03:14:07",
        ),
    },
}

Written = Callable[[Random], object]
WORDS = (
    "",
    "a",
    "A",
    "b",
    "ab",
    "Ab",
    "aB",
    "a b",
    " a",
    "a ",
    "é",
    "É",
    "e",
    "Ω",
    "ω",
    "a%b",
    "a_b",
    "a*b",
    "[a]",
    "a?b",
    "10",
    "9",
    "a\\b",
    "😀",
    "null",
    "open",
    "closed",
    "Closed",
)
DECIMALS = ("0", "0.00", "1", "-1", "1.5", "-0.01", "99999.99", "10", "9.99")


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def conditions() -> st.SearchStrategy[str]:
    """Conditions over `word`, `other`, `number`, `amount` and `flag`, all nullable."""
    words = st.sampled_from(WORDS).map(literal)
    texts = st.recursive(
        st.sampled_from(["word", "other"]) | words,
        lambda inner: (
            st.builds("{}({})".format, st.sampled_from(["lower", "upper", "trim"]), inner)
            | st.builds("coalesce({}, {})".format, inner, inner)
        ),
        max_leaves=2,
    )
    integers = st.sampled_from(["number", "0", "1", "7", "-3", "length(word)", "abs(number)", "number % 3", "-number"])
    numbers = st.recursive(
        integers | st.sampled_from(["amount", "amount", "abs(amount)", "amount / 4", *DECIMALS]),
        lambda inner: (
            st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner)
            | st.builds("coalesce({}, {})".format, inner, inner)
        ),
        max_leaves=2,
    )
    signs = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    patterns = st.text("%_aAb[]*?\\ é", max_size=4).map(literal)
    negated = st.sampled_from(["", "NOT "])
    atoms = st.one_of(
        st.builds("{} {} {}".format, texts, signs, texts),
        st.builds("{} {} {}".format, numbers, signs, numbers),
        st.builds("{} {}LIKE {}".format, texts, negated, patterns),
        st.builds("{} {}IN ({}, {})".format, texts, negated, words, words),
        st.builds("number {}IN ({}, {}, NULL)".format, negated, integers, integers),
        st.builds("{} {}BETWEEN {} AND {}".format, numbers, negated, numbers, numbers),
        st.builds("{} IS {}NULL".format, st.sampled_from(["word", "number", "amount", "flag"]), negated),
        st.sampled_from(["flag", "flag = true", "flag = false", "flag <> true", "NOT flag", "flag = 1"]),
    )
    return st.recursive(
        atoms,
        lambda inner: (
            st.builds("({} AND {})".format, inner, inner)
            | st.builds("({} OR {})".format, inner, inner)
            | st.builds("NOT ({})".format, inner)
        ),
        max_leaves=4,
    )


CONDITION_TYPES = {
    "sqlite": "word varchar(20), other text, number integer, amount decimal(10,2), flag boolean",
    "postgresql": "word varchar(20), other text, number integer, amount decimal(10,2), flag boolean",
    "mariadb": "word varchar(20), other text, number integer, amount decimal(10,2), flag boolean",
}


def facts(random: Random) -> dict[str, object]:
    """What conditions ask about."""

    def maybe(value: object) -> object:
        return None if random.random() < 0.2 else value

    return {
        "word": maybe(random.choice(WORDS)),
        "other": maybe(random.choice(WORDS)),
        "number": maybe(random.choice([0, 1, 2, 3, 7, -3, -7, 100])),
        "amount": maybe(random.choice(DECIMALS)),
        "flag": maybe(random.random() < 0.5),
    }
