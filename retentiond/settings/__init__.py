"""Settings: a TOML file, the environment and credentials as frozen values that know where they came from."""

from retentiond.settings.load import load_settings
from retentiond.settings.model import Approval, Database, Ledger, Metrics, Settings, Source, State, Window
from retentiond.settings.show import settings_in_force

__all__ = [
    "Approval",
    "Database",
    "Ledger",
    "Metrics",
    "Settings",
    "Source",
    "State",
    "Window",
    "load_settings",
    "settings_in_force",
]
