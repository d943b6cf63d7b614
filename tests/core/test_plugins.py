"""Plugins: listed without being imported, fenced from each other, held to what was enabled."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from quell.errors import NotFoundError, PluginError, SettingsError
from quell.plugins import (
    FoundPlugin,
    Lock,
    LockEntry,
    PluginReport,
    PluginState,
    Registry,
    enable,
    list_plugins,
    load_plugins,
)
from quell.testing import write_distribution

GOOD = '''
from quell import Device, Effect, Succeeded, action, hookimpl, so

@action("device.greet", system="demo", target=Device, effect=Effect.ANNOTATE)
async def greet(call):
    """Greet a device."""
    return Succeeded()

@greet.observe
async def greeted(target):
    return so()

@hookimpl
def quell_actions():
    return [greet]
'''

Install = Callable[..., None]
NUMBERS = itertools.count()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Give a function that lays a plugin out as an installed distribution."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    before = set(sys.modules)
    # a module that hangs holds its import lock for good: no two tests share a name
    ending = f"plugin_{next(NUMBERS)}"

    def lay_out(name: str, source: str, version: str = "1.0", distribution: str = "") -> None:
        write_distribution(
            folder,
            {f"{name}_{ending}.py": source},
            name=distribution or f"quell-{name}",
            plugins={name: f"{name}_{ending}"},
            version=version,
        )

    yield lay_out
    for module in set(sys.modules) - before:
        if module.endswith(ending):
            del sys.modules[module]


def is_imported(name: str) -> bool:
    return any(module.startswith(f"{name}_plugin_") for module in sys.modules)


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(tmp_path / "config" / "plugins.lock")


def found(*names: str) -> list[FoundPlugin]:
    return [plugin for plugin in list_plugins() if plugin.name in names]


def report_of(registry: Registry, name: str) -> PluginReport:
    return next(report for report in registry.plugins if report.name == name)


def enabled(lock: Lock, *names: str) -> Lock:
    """Enable without the trial import, as an operator did before the plugin broke."""
    from quell.plugins import digest_of

    for plugin in found(*names):
        entry = LockEntry(
            distribution=plugin.distribution, version=plugin.version, hash=digest_of(plugin)
        )
        lock = lock.deciding(plugin.name, entry)
    return lock


def test_a_plugin_that_nobody_enabled_is_listed_and_not_imported(
    install: Install, lock: Lock
) -> None:
    install("shy", "raise SystemExit('imported')")

    registry = load_plugins(lock, found("shy"))

    report = report_of(registry, "shy")
    assert report.state is PluginState.AVAILABLE
    assert (report.distribution, report.version) == ("quell-shy", "1.0")
    assert "quell plugins enable shy" in report.remedy
    assert not is_imported("shy")


def test_an_enabled_plugin_offers_its_actions(install: Install, lock: Lock) -> None:
    install("good", GOOD)

    lock, _ = enable("good", lock)
    registry = load_plugins(lock, found("good"))

    report = report_of(registry, "good")
    assert (report.state, report.problem) == (PluginState.ENABLED, "")
    assert report.offers == {"actions": ("device.greet (demo)",)}
    assert [one.name for one in registry.find_actions("device.greet")] == ["device.greet"]
    assert registry.find_actions("device.greet", "other") == ()


def test_the_lock_records_what_was_enabled_and_survives_the_disk(
    install: Install, lock: Lock
) -> None:
    install("good", GOOD, version="2.1")

    changed, _ = enable("good", lock)
    changed.write()
    read = Lock.read(lock.path)

    entry = read.entries["good"]
    assert (entry.distribution, entry.version) == ("quell-good", "2.1")
    assert entry.hash.startswith("sha256:")
    assert dict(read.entries) == dict(changed.entries)


def test_bundled_plugins_need_no_enabling_and_can_be_disabled(lock: Lock) -> None:
    bundled = found("microsoft")

    registry = load_plugins(lock, bundled)
    without = load_plugins(lock.deciding("microsoft", LockEntry(enabled=False)), bundled)

    assert report_of(registry, "microsoft").state is PluginState.ENABLED
    assert report_of(without, "microsoft").state is PluginState.AVAILABLE
    assert without.connectors == {}


def test_a_plugin_whose_files_changed_is_not_imported_until_enabled_again(
    install: Install, lock: Lock
) -> None:
    install("good", GOOD)
    lock = enabled(lock, "good")
    install("good", GOOD + "\n# changed\n")

    report = report_of(load_plugins(lock, found("good")), "good")

    assert report.state is PluginState.QUARANTINED
    assert "files changed" in report.problem
    assert "quell plugins enable good" in report.remedy
    assert not is_imported("good")


def test_a_plugin_of_another_version_or_distribution_is_not_imported(
    install: Install, lock: Lock
) -> None:
    install("good", GOOD, version="2.0")
    entry = LockEntry(distribution="quell-good", version="1.0", hash="sha256:0")
    stolen = LockEntry(distribution="quell-better", version="2.0", hash="sha256:0")

    other_version = load_plugins(lock.deciding("good", entry), found("good"))
    other_distribution = load_plugins(lock.deciding("good", stolen), found("good"))

    assert "is version 2.0; enabled was 1.0" in report_of(other_version, "good").problem
    assert "comes from quell-good" in report_of(other_distribution, "good").problem
    assert not is_imported("good")


def test_an_enabled_plugin_that_is_gone_is_reported(lock: Lock) -> None:
    gone = lock.deciding("gone", LockEntry(distribution="quell-gone", version="1.0", hash="x"))

    report = report_of(load_plugins(gone, []), "gone")

    assert report.state is PluginState.QUARANTINED
    assert "not installed" in report.problem
    assert "Install quell-gone 1.0" in report.remedy


BROKEN: Mapping[str, tuple[str, str]] = {
    "raises": ("raise ValueError('no\\nluck')", "cannot be imported: ValueError: no luck"),
    "exits": ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    "syntax": ("def broken(:", "cannot be imported: SyntaxError"),
    "missing": ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
    "hangs": ("import time; time.sleep(60)", "did not finish loading within"),
    "empty": ("", "answers no hook"),
    "unmarked": ("def quell_actions(): return []", "quell_actions without `@hookimpl`"),
    "unknown_hook": (
        "from quell import hookimpl\n@hookimpl\ndef quell_gadgets(): return []",
        "a hook that does not exist: quell_gadgets",
    ),
    "signature": (
        "from quell import hookimpl\n@hookimpl\ndef quell_actions(config): return []",
        "write `def quell_actions():`",
    ),
    "hook_raises": (
        "from quell import hookimpl\n@hookimpl\ndef quell_checks(): raise KeyError('x')",
        "raised in quell_checks: KeyError",
    ),
    "hook_hangs": (
        "import time\nfrom quell import hookimpl\n@hookimpl\ndef quell_checks(): time.sleep(60)",
        "did not finish loading within",
    ),
    "coroutine": (
        "from quell import hookimpl\n@hookimpl\nasync def quell_checks(): return []",
        "hooks are plain `def`",
    ),
    "not_a_list": (
        "from quell import hookimpl\n@hookimpl\ndef quell_checks(): return 'text'",
        "not a list of Check",
    ),
    "generator_raises": (
        "from quell import hookimpl\n@hookimpl\ndef quell_checks():\n  yield 1/0",
        "raised in quell_checks: ZeroDivisionError",
    ),
    "wrong_item": (
        "from quell import hookimpl\n@hookimpl\ndef quell_actions(): return [print]",
        "not Action (made by @action)",
    ),
    "unobserved": (
        GOOD.replace("ANNOTATE", "CONTAIN").replace("@greet.observe", ""),
        "device.greet without `observe`",
    ),
    "bad_name": (GOOD.replace("device.greet", "Greet"), "names are `entity.verb`"),
    "plain_def": (GOOD.replace("async def greet(", "def greet("), "is not `async def`"),
    "untyped_connector": (GOOD.replace("greet(call)", "greet(call, client)"), "annotations"),
    "model_less": (
        "from quell import SettingsSection, hookimpl\n@hookimpl\n"
        "def quell_settings(): return [SettingsSection(name='a', model=dict)]",
        "without a msgspec.Struct",
    ),
    "hidden_section": (
        "from quell import SettingsSection, hookimpl, NoParams\n@hookimpl\n"
        "def quell_settings(): return [SettingsSection(name='guard', model=NoParams)]",
        "cannot call a settings section 'guard'",
    ),
    "lost_playbook": (
        "from pathlib import Path\nfrom quell import hookimpl\n@hookimpl\n"
        "def quell_playbooks(): return [Path('/nowhere/a.yml')]",
        "a playbook that is not there: a.yml",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_quarantined_alone_and_says_why(
    kind: str, install: Install, lock: Lock
) -> None:
    source, problem = BROKEN[kind]
    install("good", GOOD)
    install("bad", source)
    lock = enabled(lock, "good", "bad")

    registry = load_plugins(lock, found("bad", "good"), patience=2 if "hangs" in kind else 30)

    report = report_of(registry, "bad")
    assert report.state is PluginState.QUARANTINED
    assert problem in report.problem
    assert "\n" not in report.problem
    assert "quell plugins disable bad" in report.remedy
    assert report_of(registry, "good").state is PluginState.ENABLED
    assert registry.has_quarantined


def test_a_broken_plugin_is_not_recorded_as_enabled(install: Install, lock: Lock) -> None:
    install("bad", "raise ValueError('no luck')")

    with pytest.raises(PluginError, match=r"bad \(quell-bad 1\.0\) cannot be imported"):
        enable("bad", lock)

    assert not lock.path.exists()


def test_enabling_what_is_not_installed_names_what_is(lock: Lock) -> None:
    with pytest.raises(NotFoundError) as caught:
        enable("nobody", lock)

    assert "microsoft" in caught.value.remedy


def test_of_two_plugins_with_one_action_the_first_keeps_it(install: Install, lock: Lock) -> None:
    install("alpha", GOOD)
    install("beta", GOOD)
    lock = enabled(lock, "alpha", "beta")

    registry = load_plugins(lock, found("alpha", "beta"))

    assert report_of(registry, "alpha").offers == {"actions": ("device.greet (demo)",)}
    second = report_of(registry, "beta")
    assert second.offers == {}
    assert second.problem == "actions device.greet (demo) is already offered by alpha"
    assert len(registry.find_actions("device.greet")) == 1


def test_a_stranger_cannot_take_the_name_of_a_bundled_plugin(install: Install, lock: Lock) -> None:
    install("microsoft", "raise SystemExit", distribution="aaa-first")

    registry = load_plugins(lock, found("microsoft"))

    assert report_of(registry, "microsoft").distribution == "quell"
    stranger = report_of(registry, "microsoft (aaa-first)")
    assert stranger.state is PluginState.QUARANTINED
    assert "name is taken by quell" in stranger.problem


def test_a_broken_lock_is_refused_with_what_to_do(lock: Lock) -> None:
    lock.path.parent.mkdir()
    lock.path.write_text("[plugin.x]\nsurprise = 1\n")

    with pytest.raises(SettingsError, match=r"plugins\.lock.*is broken") as caught:
        Lock.read(lock.path)

    assert "enable each plugin again" in caught.value.remedy


def test_odd_names_survive_the_lock(lock: Lock) -> None:
    odd = LockEntry(distribution='d"\\', version="1\n2", commands={"ä b": "tab\there"})

    lock.deciding('na"me', odd).write()

    assert Lock.read(lock.path).entries == {'na"me': odd}


def test_no_plugin_at_all_is_a_registry_without_offers(lock: Lock) -> None:
    registry = load_plugins(lock, [])

    assert registry.plugins == ()
    with pytest.raises(NotFoundError, match="There is no simulator"):
        registry.simulator(None)
