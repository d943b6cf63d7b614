"""Putting settings together: layers, the core's tables, tenants, and plugins' sections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from quell.domain.offers import SettingsSection
from quell.domain.secret import Secret
from quell.errors import SettingsError
from quell.settings.check import Checker, unknown_key
from quell.settings.layers import Layer, environment_layer, file_layer, is_table, merge
from quell.settings.model import (
    CoreSettings,
    Settings,
    TenantSettings,
    TenantTable,
    default_journal,
)

__all__ = ["build_settings", "load_settings"]

TENANT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
#: tables of a tenant that fall back to the table of the same name outside
INHERITED = ("guard", "sync", "events", "limits")


def load_settings(
    path: Path | None,
    environ: Mapping[str, str],
    sections: Sequence[SettingsSection],
    *,
    is_lenient: bool = False,
) -> Settings:
    """Read the file and the environment, and check everything.

    `sections` are what enabled plugins declared. With `is_lenient`, sections that nobody
    declared are passed over: some plugin could not be loaded and may own them.
    """
    layers = [environment_layer(environ)]
    if path is not None:
        layers.insert(0, file_layer(path))
    return build_settings(layers, sections, path=path, environ=environ, is_lenient=is_lenient)


def build_settings(
    layers: Sequence[Layer],
    sections: Sequence[SettingsSection],
    *,
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    is_lenient: bool = False,
) -> Settings:
    """Check layers of raw values, later ones above earlier ones, and make settings of them."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        values = merge(values, layer.values)
        origins |= layer.origins
    folder = path.absolute().parent if path is not None else Path.cwd()
    builder = _Builder(values, origins, sections, environ or {}, folder, is_lenient)
    return builder.build(path)


class _Builder:
    """One pass over the raw values."""

    def __init__(
        self,
        values: dict[str, Any],
        origins: Mapping[str, str],
        sections: Sequence[SettingsSection],
        environ: Mapping[str, str],
        folder: Path,
        is_lenient: bool,
    ) -> None:
        self._values = values
        self._origins = dict(origins)
        self._sections = sections
        self._checker = Checker(self._origin, environ, folder)
        self._is_lenient = is_lenient
        self._ignored: list[str] = []

    def build(self, path: Path | None) -> Settings:
        core_values = dict(self._values)
        tenants = self._table(core_values.pop("tenant", {}), "tenant")
        plugins = self._table(core_values.pop("plugin", {}), "plugin")
        self._refuse_unknown(core_values)
        core = self._checker.convert(core_values, CoreSettings, "")
        shared = self._convert_sections(plugins, "plugin", is_per_tenant=False)
        state_dir = core.state_dir.expanduser()
        journal = core.journal or Secret(default_journal(state_dir))
        fields: dict[str, Any] = _fields(core) | {"state_dir": state_dir, "journal": journal}
        return Settings(
            **fields,
            tenants={name: self._tenant(name, tenants[name], shared) for name in tenants},
            sections=shared,
            path=path,
            origins=self._origins,
            ignored=tuple(self._ignored),
        )

    def _refuse_unknown(self, values: Mapping[str, Any]) -> None:
        known = [*CoreSettings.__struct_fields__, "tenant", "plugin"]
        for key in values:
            if key not in known:
                raise unknown_key(key, key, known, self._origin(key))

    def _tenant(self, name: str, raw: Any, shared: dict[str, Any]) -> TenantSettings:
        where = f"tenant.{name}"
        if not TENANT_NAME.fullmatch(name):
            raise SettingsError(
                name=where,
                problem="is not a name for a tenant",
                where=self._origin(where),
                remedy="Use small letters, digits, `_` and `-`, beginning with a letter.",
            )
        values = self._table(raw, where)
        own = {key: values.pop(key) for key in TenantTable.__struct_fields__ if key in values}
        for key in INHERITED:
            own[key] = self._inherit(key, own.get(key, {}), where)
        table = self._checker.convert(own, TenantTable, where)
        found = self._convert_sections(values, where, is_per_tenant=True)
        return TenantSettings(**_fields(table), name=name, sections=found, shared=shared)

    def _inherit(self, key: str, own: Any, where: str) -> dict[str, Any]:
        """Lay a tenant's table over the one outside, and remember where the rest came from."""
        for name in list(self._origins):
            if name.startswith(f"{key}."):
                self._origins.setdefault(f"{where}.{name}", self._origins[name])
        return merge(
            self._table(self._values.get(key, {}), key), self._table(own, f"{where}.{key}")
        )

    def _convert_sections(
        self, values: Mapping[str, Any], where: str, *, is_per_tenant: bool
    ) -> dict[str, Any]:
        known = {one.name: one for one in self._sections if one.per_tenant is is_per_tenant}
        found: dict[str, Any] = {}
        for key, value in values.items():
            path = f"{where}.{key}"
            if key in known:
                table = self._table(value, path)
                found[key] = self._checker.convert(table, known[key].model, path)
            elif self._is_lenient and is_table(value):
                self._ignored.append(path)
            else:
                names = [*known, *(TenantTable.__struct_fields__ if is_per_tenant else ())]
                raise _unknown_section(path, key, names, self._origin(path))
        return found

    def _table(self, value: Any, name: str) -> dict[str, Any]:
        if not is_table(value):
            raise SettingsError(
                name=name,
                problem="is a table, not a single value",
                where=self._origin(name),
                remedy=f"Write it as a section: [{name}].",
            )
        return dict(value)

    def _origin(self, name: str) -> str:
        """Tell where a name, or anything below or above it, was set."""
        plain = re.sub(r"\[[^]]*\]", "", name)
        if plain in self._origins:
            return self._origins[plain]
        below = (
            origin
            for known, origin in self._origins.items()
            if not plain or known.startswith(f"{plain}.") or plain.startswith(f"{known}.")
        )
        parent, _, _ = plain.rpartition(".")
        return next(below, self._origin(parent) if parent else "")


def _unknown_section(path: str, key: str, known: list[str], where: str) -> SettingsError:
    error = unknown_key(path, key, known, where)
    remedy = f"{error.remedy} If a plugin brings it: `quell plugins enable NAME`."
    return SettingsError(name=path, problem="there is no such section", where=where, remedy=remedy)


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}
