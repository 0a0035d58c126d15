"""What may stand in the settings: frozen values, checked one by one; paths are absolute when a value exists."""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import URL

from retentiond.errors import UsageError
from retentiond.settings.address import parse_url, read_secret, without_secrets
from retentiond.settings.nearest import did_you_mean

SOURCE_NAME = re.compile(r"[a-z][a-z0-9-]*")
ACCEPTABLE = ("blind-role", "owner", "superuser")  # guards that an operator may silence knowingly
DEFAULT_STATE = "sqlite:////var/lib/retentiond/state.db"

_DURATION = re.compile(r"(\d{1,5}) (day|week|month|year)s?")
_LONGEST_DAYS = {"day": 1, "week": 7, "month": 31, "year": 366}  # never say that a back-up is gone too early
_FOLDER: ContextVar[Path] = ContextVar("folder")  # BaseSettings takes no validation context
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of the day in which a source may be worked on, in the settings' time zone; it may pass midnight."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def contains(self, local: time) -> bool:
        """True from the start on, and no longer true at the end."""
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end


def _folder() -> Path:
    return _FOLDER.get(None) or Path.cwd()


def _absolute(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise PydanticCustomError("bad-path", "an empty text is no path")
    return _folder() / value if isinstance(value, str | Path) else value


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if not match:
        raise PydanticCustomError("bad-duration", "write a number and days, weeks, months or years: `35 days`")
    return timedelta(days=int(match[1]) * _LONGEST_DAYS[match[2]])


def _window(value: Any) -> Any:
    match = _WINDOW.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        if isinstance(value, Window):
            return value
        raise PydanticCustomError("bad-window", "write the hours as `22:00-06:00`")
    first, first_minute, last, last_minute = (int(part) for part in match.groups())
    window = Window(time(first, first_minute), time(last, last_minute))
    if window.start == window.end:
        raise PydanticCustomError("bad-window", "the window has no length; leave it out to work at any hour")
    return window


def _zone(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(value, available_timezones()) or "an IANA name such as Europe/Paris"
        message = f"no time zone `{value}` ({hint})"
        raise PydanticCustomError("unknown-timezone", "{message}", {"message": message}) from None


def _source_name(value: str) -> str:
    if not SOURCE_NAME.fullmatch(value):
        raise PydanticCustomError("bad-source-name", "a source name is a-z, 0-9 and hyphens, and starts with a letter")
    return value


AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]


class Frozen(BaseModel):
    """A table of the settings file: nothing unknown in it, nothing changed once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)


class Database(Frozen):
    """Where a database is and where its secrets are; they are read when it is connected to, not before."""

    url: SecretStr | None = None
    url_file: AbsolutePath | None = None
    password_file: AbsolutePath | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            url = parse_url(value.get_secret_value(), _folder())
        except UsageError as error:
            raise PydanticCustomError(error.code, "{message}", {"message": str(error)}) from None
        return SecretStr(url.render_as_string(hide_password=False))

    @model_validator(mode="after")
    def _check_one(self) -> "Database":
        if self.url is None and self.url_file is None:
            raise PydanticCustomError("missing-key", "no `url` and no `url_file`")
        if self.url is not None and self.url_file is not None:
            raise PydanticCustomError("two-urls", "`url` and `url_file` exclude each other")
        return self

    def connection_url(self) -> URL:
        """The URL with its password, both read now. For connecting only: never print it."""
        if self.url is not None:
            url = parse_url(self.url.get_secret_value(), Path.cwd())
        else:
            assert self.url_file is not None
            try:
                url = parse_url(read_secret(self.url_file), self.url_file.parent)
            except UsageError as error:
                raise UsageError(f"{self.url_file}: {error.message}", hint=error.hint, code=error.code) from None
        return url.set(password=read_secret(self.password_file)) if self.password_file is not None else url

    def shown_url(self) -> str | None:
        """The URL without its secrets; None where it stands in a file of its own."""
        return None if self.url is None else without_secrets(parse_url(self.url.get_secret_value(), Path.cwd()))


class State(Database):
    """`[state]`: where retentiond keeps what it remembers."""


class Ledger(Frozen):
    """`[ledger]`: where its keys and the second copy of its checkpoints are, and how long it can tell a row."""

    keys: AbsolutePath | None = None
    checkpoint_copy: AbsolutePath | None = None
    keep_tokens: Annotated[timedelta, BeforeValidator(_duration)] = timedelta(days=5 * _LONGEST_DAYS["year"])


class Approval(Frozen):
    """`[approval]`: whether it takes two people."""

    four_eyes: bool = False


class Metrics(Frozen):
    """`[metrics]`: where they are served."""

    listen: str = "127.0.0.1:9464"

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isascii() and port.isdigit() and int(port) < 65536):
            raise PydanticCustomError("bad-address", "write host and port: `127.0.0.1:9464`, `[::1]:9464`")
        return value

    @property
    def host(self) -> str:
        """The address to listen on, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to listen on; 0 lets the system choose."""
        return int(self.listen.rpartition(":")[2])


class Source(Database):
    """`[sources.NAME]`: one database, and how gently it is to be treated."""

    accept: tuple[str, ...] = ()
    fence: Literal["table", "probe"] = "table"
    backups_kept: Annotated[timedelta, BeforeValidator(_duration)] | None = None
    chunk_seconds: float = Field(default=0.5, gt=0, le=60, allow_inf_nan=False)
    chunk_rows: int = Field(default=1000, ge=1, le=1_000_000)
    max_rows_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    window: Annotated[Window, BeforeValidator(_window)] | None = None
    max_replica_lag_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("accept")
    @classmethod
    def _check_accept(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in ACCEPTABLE:
                hint = did_you_mean(name, ACCEPTABLE) or f"known: {', '.join(ACCEPTABLE)}"
                message = f"no guard `{name}` can be silenced ({hint})"
                raise PydanticCustomError("unknown-guard", "{message}", {"message": message})
        return value


class Settings(BaseSettings):
    """All settings in force; `file` is None where they came from the environment alone."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    policies: tuple[AbsolutePath, ...]
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] = ZoneInfo("UTC")
    state: State
    ledger: Ledger
    approval: Approval = Approval()
    metrics: Metrics = Metrics()
    sources: Mapping[Annotated[str, AfterValidator(_source_name)], Source] = Field(default_factory=dict)

    _file: Path | None = PrivateAttr(default=None)
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, *given: PydanticBaseSettingsSource, folder: Path) -> None:
        """Read these sources, of which the first counts most; relative paths start at the folder."""
        before = _FOLDER.set(folder)
        try:
            super().__init__(given=given)
        finally:
            _FOLDER.reset(before)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library names it
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources that were given, and none of the library's own, which read the environment of the process."""
        assert isinstance(init_settings, InitSettingsSource)
        given: tuple[PydanticBaseSettingsSource, ...] = init_settings.init_kwargs["given"]
        return given

    @field_validator("policies", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | Path) else value

    @field_validator("sources")
    @classmethod
    def _freeze(cls, value: Mapping[str, Source]) -> Mapping[str, Source]:
        return MappingProxyType(dict(value))

    @property
    def file(self) -> Path | None:
        """The settings file; None where the environment alone gave the settings."""
        return self._file

    def origin(self, path: str) -> str:
        """Where the value at `sources.crm.url` came from: `file:line`, a variable, a credential or `default`."""
        return self._origins.get(path, "default")

    def source(self, name: str) -> Source:
        """The settings of that source, or a UsageError with the nearest name."""
        if name not in self.sources:
            hint = did_you_mean(name, self.sources) or f"known: {', '.join(self.sources) or 'none'}"
            raise UsageError(f"no source `{name}` in the settings", hint=hint, code="unknown-source")
        return self.sources[name]

    @property
    def tokens_kept(self) -> timedelta:
        """How long the ledger keeps the tokens of rows: never shorter than a back-up could bring them back."""
        windows = [source.backups_kept for source in self.sources.values() if source.backups_kept is not None]
        return max([self.ledger.keep_tokens, *windows])

    def policy_files(self) -> tuple[Path, ...]:
        """The policy files: those named, and of a folder its own *.yaml and *.yml, without sub-folders."""
        found: list[Path] = []
        for path in self.policies:
            if path.is_dir():
                found += sorted(
                    entry
                    for entry in path.iterdir()
                    if entry.suffix in (".yaml", ".yml") and not entry.name.startswith(".") and entry.is_file()
                )
            elif path.exists():
                found.append(path)
            else:
                raise UsageError(f"{self.origin('policies')}: no policy file or folder {path}", code="policies-missing")
        return tuple(found)
