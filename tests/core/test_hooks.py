"""Each hook, asked of a plugin as a stranger would write it, and what then is in the registry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quell.hookspecs import Hooks
from quell.plugins import Lock, Registry, enable, list_plugins, load_plugins
from quell.testing import write_distribution

Load = Callable[[str], Registry]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Give a function that installs, enables and loads a plugin by its source."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def lay_out(source: str) -> Registry:
        write_distribution(
            tmp_path, {"stranger.py": source}, name="stranger", plugins={"stranger": "stranger"}
        )
        lock, _ = enable("stranger", Lock(tmp_path / "plugins.lock"))
        return load_plugins(lock, [one for one in list_plugins() if one.name == "stranger"])

    yield lay_out
    sys.modules.pop("stranger", None)


def test_each_hook_has_a_test_named_for_it() -> None:
    hooks = [name for name in vars(Hooks) if name.startswith("quell_")]

    assert len(hooks) == 13
    assert [
        name for name in hooks if not any(test.startswith(f"test_{name}_") for test in globals())
    ] == []


def test_quell_settings_declares_a_section(load: Load) -> None:
    registry = load("""
import msgspec
from quell import SettingsSection, hookimpl

class Model(msgspec.Struct):
    #: how loud
    volume: int = 3

@hookimpl
def quell_settings():
    return [SettingsSection(name="stranger", model=Model)]
""")

    (section,) = registry.sections
    assert (section.name, section.per_tenant) == ("stranger", True)


def test_quell_connectors_offers_a_client_by_its_type(load: Load) -> None:
    registry = load("""
from quell import ConnectorSpec, hookimpl

class Client: ...

@hookimpl
def quell_connectors():
    return [ConnectorSpec(kind=Client, build=lambda context: Client())]
""")

    assert [kind.__name__ for kind in registry.connectors] == ["Client"]


def test_quell_sources_offers_a_system_with_incidents(load: Load) -> None:
    registry = load("""
from quell import SourceSpec, hookimpl

@hookimpl
def quell_sources():
    return [SourceSpec(system="pager", part="mirrors", build=lambda context: [])]
""")

    (source,) = registry.sources
    assert (source.system, source.part) == ("pager", "mirrors")


def test_quell_actions_offers_what_a_playbook_can_do(load: Load) -> None:
    registry = load("""
from quell import Effect, Succeeded, User, action, hookimpl

@action("user.praise", system="stranger", target=User, effect=Effect.ANNOTATE)
async def praise(call):
    "Praise a user."
    return Succeeded()

@hookimpl
def quell_actions():
    return [praise]
""")

    (action,) = registry.find_actions("user.praise", "stranger")
    assert action.summary == "Praise a user."


def test_quell_resolvers_offers_a_look_up_for_a_class(load: Load) -> None:
    registry = load("""
from quell import Unresolved, User, hookimpl, resolver

@resolver(User, system="stranger")
async def find_user(entity):
    return Unresolved(reason="nobody is known")

@hookimpl
def quell_resolvers():
    return [find_user]
""")

    from quell import Device, User

    assert [one.system for one in registry.find_resolvers(User)] == ["stranger"]
    assert registry.find_resolvers(Device) == ()


def test_quell_playbooks_ships_files_found_by_name(load: Load, tmp_path: Path) -> None:
    (tmp_path / "shipped.yml").write_text("quell: 1\n")
    registry = load("""
from pathlib import Path
from quell import hookimpl

@hookimpl
def quell_playbooks():
    return [Path(__file__).parent / "shipped.yml"]
""")

    assert registry.playbook("shipped").path == tmp_path / "shipped.yml"
    assert registry.playbook("shipped").plugin == "stranger"


def test_quell_checks_adds_lines_to_the_doctor(load: Load) -> None:
    registry = load("""
from quell import Check, CheckResult, hookimpl

async def look(context):
    return [CheckResult(ok=True, what="all")]

@hookimpl
def quell_checks():
    return [Check(name="stranger", run=look)]
""")

    assert [check.name for check in registry.checks] == ["stranger"]


def test_quell_notifiers_offers_a_way_to_tell_people(load: Load) -> None:
    registry = load("""
from quell import hookimpl

class Bell:
    name = "bell"

    async def notify(self, notice): ...

@hookimpl
def quell_notifiers():
    return [Bell()]
""")

    assert [notifier.name for notifier in registry.notifiers] == ["bell"]


def test_quell_webhooks_is_found_by_the_last_part_of_the_path(load: Load) -> None:
    registry = load("""
from quell import hookimpl

class Door:
    source = "stranger"

    async def verify(self, headers, body, context):
        return None

@hookimpl
def quell_webhooks():
    return [Door()]
""")

    assert list(registry.webhooks) == ["stranger"]


def test_quell_commands_adds_to_the_command_line(load: Load) -> None:
    registry = load("""
import click
from quell import hookimpl

@click.command()
def wave():
    "Wave."

@hookimpl
def quell_commands():
    return [wave]
""")

    assert list(registry.commands) == ["wave"]


def test_quell_event_sources_offers_tables_to_be_streamed(load: Load) -> None:
    registry = load("""
from quell import ColumnType, EventSourceSpec, EventTable, hookimpl

TABLE = EventTable(
    name="Doors", summary="Doors.", columns={"at": ColumnType.DATETIME}, time="at"
)

@hookimpl
def quell_event_sources():
    return [EventSourceSpec(system="house", tables=lambda: [TABLE], build=lambda context: [])]
""")

    assert [table.name for table in registry.event_tables()] == ["Doors"]


def test_quell_event_sinks_offers_a_place_that_takes_events(load: Load) -> None:
    registry = load("""
from quell import EventSinkSpec, hookimpl

@hookimpl
def quell_event_sinks():
    return [EventSinkSpec(system="store", build=lambda context: [])]
""")

    assert [sink.system for sink in registry.event_sinks] == ["store"]


def test_quell_simulators_offers_a_tenant_to_test_against(load: Load) -> None:
    registry = load("""
from quell import SimulatorSpec, hookimpl

@hookimpl
def quell_simulators():
    return [SimulatorSpec(name="toy", summary="A toy.", serve=print, settings_from=dict, control=print)]
""")

    assert registry.simulator("toy").summary == "A toy."
    assert registry.simulator(None).name == "toy"
