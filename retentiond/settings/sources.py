"""The four places that settings come from, as sources of pydantic-settings: the first that has a value counts."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from retentiond.errors import UsageError
from retentiond.settings.address import has_password, parse_url
from retentiond.settings.environment import read_environment
from retentiond.settings.layer import Layer
from retentiond.settings.model import DEFAULT_STATE, Settings


class _Unprinted(dict[str, Any]):
    """Values that may hold a password: PYDANTIC_SETTINGS_DEBUG makes the library log what each source says."""

    def __repr__(self) -> str:
        return "..."


class LayerSource(PydanticBaseSettingsSource):
    """One layer, made ready once it is known what the layers above it say; each problem of it is a line."""

    def __init__(self, layer: Layer, folder: Path) -> None:
        super().__init__(Settings)
        self.layer = layer
        self.folder = folder
        self.problems: list[str] = []

    @abstractmethod
    def prepare(self, above: Layer) -> None:
        """Make the layer fit below what the layers above it say together."""

    def __call__(self) -> dict[str, Any]:
        """What the layer says."""
        self.prepare(Layer(self.current_state))
        return _Unprinted(self.layer.values)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """The value of one field; the library asks for all of them at once instead."""
        return self.layer.values.get(field_name), field_name, False

    def password_in_url(self, table: Mapping[str, Any]) -> bool:
        """True where a database has a URL that holds its password; what is wrong with a bad one, the check says."""
        try:
            return has_password(parse_url(str(table["url"]), self.folder)) if "url" in table else False
        except UsageError:
            return False


class FileSource(LayerSource):
    """What people wrote: the settings file."""

    def prepare(self, above: Layer) -> None:
        """Leave out what a layer above excludes, and refuse what excludes itself."""
        for database in self.layer.databases:
            given = above.table(*database)
            for one, other in (("url", "url_file"), ("url_file", "url")):
                if one in given and other not in given:
                    self.layer.drop((*database, other))
            own = self.layer.table(*database)
            key = (*database, "password_file")
            if "password_file" in given or "password_file" not in own or not self.password_in_url({**own, **given}):
                continue
            if "url" in given:
                self.layer.drop(key)
            else:
                place = self.layer.origins.get(key, "")
                self.problems.append(f"{place}: two-passwords: `url` holds a password already; keep one of the two")


class EnvironmentSource(FileSource):
    """What people wrote into variables of the environment that it is given; the file below it tells the sources."""

    def __init__(self, environ: Mapping[str, str], below: Layer, folder: Path) -> None:
        layer, problems = read_environment(environ, below)
        super().__init__(layer, folder)
        self.problems += problems


class CredentialsSource(LayerSource):
    """The systemd credential of its name, a password or a URL, for each database without a secret of its own."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        super().__init__(Layer(), folder)
        self.where = environ.get("CREDENTIALS_DIRECTORY")

    def prepare(self, above: Layer) -> None:
        """Point each such database at its credential, which is read no earlier than a password file is."""
        self.layer.values["sources"] = {name: {} for name in above.table("sources")}  # sources keep their order
        for database in above.databases if self.where else ():
            table = above.table(*database)
            file = Path(self.where or "") / database[-1]
            if "password_file" in table or "url_file" in table or self.password_in_url(table) or not file.is_file():
                continue
            key = "password_file" if "url" in table else "url_file"
            self.layer.put((*database, key), str(file), f"credential {database[-1]}")


class DefaultsSource(LayerSource):
    """The defaults that depend on the folder of the settings and on the state store; the others are the model's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Layer(), folder)

    def prepare(self, above: Layer) -> None:
        """Say them all: what is said above counts more anyway."""
        self.layer.put(("policies",), "policies")
        self.layer.put(("ledger", "checkpoint_copy"), "checkpoints")
        state = above.table("state")
        if "url" not in state and "url_file" in state:
            return
        if "url" not in state:
            self.layer.put(("state", "url"), DEFAULT_STATE)
        try:
            url = parse_url(str(state.get("url", DEFAULT_STATE)), self.folder)
        except UsageError:
            return
        if url.get_backend_name() == "sqlite":
            self.layer.put(("ledger", "keys"), str(Path(url.database or "").parent / "keys"))
