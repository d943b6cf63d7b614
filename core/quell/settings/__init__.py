"""Settings: declared once, read from one file and the environment, and read by nobody else.

`load_settings` gives the whole, checked; `SettingsError` names the setting, where its value
came from and what to do. Plugins declare sections of their own through `quell_settings`.
"""

from quell.settings.describe import SettingRow, declared_rows, rows_of, shown_rows
from quell.settings.layers import Layer, environment_layer, file_layer, find_config, lock_path
from quell.settings.load import build_settings, load_settings
from quell.settings.model import (
    CapSettings,
    EventSettings,
    GuardSettings,
    HttpSettings,
    IsolationSettings,
    LimitSettings,
    LoggingSettings,
    Settings,
    SyncSettings,
    TenantSettings,
    WorkerSettings,
)

__all__ = [
    "CapSettings",
    "EventSettings",
    "GuardSettings",
    "HttpSettings",
    "IsolationSettings",
    "Layer",
    "LimitSettings",
    "LoggingSettings",
    "SettingRow",
    "Settings",
    "SyncSettings",
    "TenantSettings",
    "WorkerSettings",
    "build_settings",
    "declared_rows",
    "environment_layer",
    "file_layer",
    "find_config",
    "load_settings",
    "lock_path",
    "rows_of",
    "shown_rows",
]
