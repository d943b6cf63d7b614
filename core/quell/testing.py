"""For tests of plugins, and for our own: a clock, a quota, calls, and a plugin laid out on disk.

Nothing here depends on a test runner. What a product answers comes from its simulator
(`quell simulate`), not from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import msgspec
import pluggy

from quell.domain.action import Action, Call, Target, Trait
from quell.domain.entity import Entity, Evidence
from quell.domain.ids import TenantId
from quell.domain.ports import OperationClass
from quell.errors import PluginError
from quell.hookspecs import PROJECT, Hooks

__all__ = [
    "FreeQuota",
    "PluginContext",
    "SteppedClock",
    "make_call",
    "make_target",
    "offers_of",
    "write_distribution",
]

T = TypeVar("T")

TENANT = TenantId("test")
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@dataclass(slots=True)
class SteppedClock:
    """A clock that a test moves; sleeping moves it too."""

    moment: datetime = START

    def now(self) -> datetime:
        """Tell the time."""
        return self.moment

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass at once."""
        self.move(seconds)

    def move(self, seconds: float) -> None:
        """Move the clock on."""
        self.moment += timedelta(seconds=seconds)


@dataclass(slots=True)
class FreeQuota:
    """A quota without limits that remembers what was asked of it."""

    asked: list[OperationClass] = field(default_factory=list[OperationClass])
    pauses: list[tuple[OperationClass, float]] = field(
        default_factory=list[tuple[OperationClass, float]]
    )

    async def acquire(
        self, operation: OperationClass, *, cost: int = 1, for_containment: bool = False
    ) -> None:
        """Allow it."""
        self.asked.append(operation)

    async def pause(self, operation: OperationClass, seconds: float) -> None:
        """Remember that the vendor asked for a pause."""
        self.pauses.append((operation, seconds))


@dataclass(slots=True, kw_only=True)
class PluginContext:
    """What a plugin builds a connector with: `ConnectorContext`, with the values a test gives."""

    tenant_id: TenantId = TENANT
    identity: str = "reader"
    clock: SteppedClock = field(default_factory=SteppedClock)
    quota: FreeQuota = field(default_factory=FreeQuota)
    #: values of settings sections, found by their type
    sections: tuple[Any, ...] = ()
    #: connectors by type
    connectors: Mapping[type, Any] = field(default_factory=dict[type, Any])

    def settings(self, model: type[T]) -> T:
        """Give the values of a section; its defaults where the test gives none."""
        for section in self.sections:
            if type(section) is model:
                return section
        return msgspec.convert({}, model)

    def connector(self, kind: type[T], *, identity: str | None = None) -> T:
        """Give the connector of that type."""
        return cast("T", self.connectors[kind])


def make_target(entity: Entity, *traits: Trait, facts: Mapping[str, Any] | None = None) -> Target:
    """Make a resolved target of an entity."""
    kind = Evidence(entity=entity).kind.value
    return Target(
        id=f"{kind}-1",
        kind=kind,
        entity=entity,
        aliases=entity.aliases(),
        traits=frozenset(traits),
        is_classified=bool(traits),
        facts=facts or {},
    )


def make_call(
    action: Action, *targets: Target, params: Mapping[str, Any] | None = None, key: str = "key-1"
) -> Call[Any]:
    """Make the call that the engine would make, once the guard agreed.

    Raises msgspec.ValidationError where `params` are not the action's.
    """
    return Call(
        params=msgspec.convert(params or {}, action.params),
        targets=targets,
        key=key,
        note=f"test [{key}]",
        deadline=START + action.timeout,
        tenant_id="test",
    )


def offers_of(module: ModuleType) -> dict[str, list[Any]]:
    """Ask a plugin's hooks as quell would, by hook name. Raises PluginError where one is wrong."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(
            plugin=module.__name__, distribution="under test", problem=str(error)
        ) from error
    callers = manager.get_hookcallers(module) or []
    return {caller.name: [item for part in _ask(caller) for item in part] for caller in callers}


def _ask(caller: Callable[[], Any]) -> list[Any]:
    return list(caller())


def write_distribution(
    folder: Path,
    files: Mapping[str, str],
    *,
    name: str,
    plugins: Mapping[str, str],
    version: str = "1.0",
) -> Path:
    """Lay out an installed distribution in a folder of the import path, without an installer.

    `files` are its modules by path, `plugins` its entry points: plugin name to module.
    """
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    points = "".join(f"{plugin} = {module}\n" for plugin, module in plugins.items())
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/entry_points.txt": f"[{PROJECT}]\n{points}",
    }
    lines: list[str] = []
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
        lines.append(f"{path},sha256={hashlib.sha256(text.encode()).hexdigest()},{len(text)}\n")
    (folder / info / "RECORD").write_text("".join(lines), encoding="utf-8")
    return folder / info
