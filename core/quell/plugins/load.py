"""Loading plugins: one by one, with a deadline, so that a broken one costs only itself."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pluggy

from quell.errors import NotFoundError, PluginError
from quell.hookspecs import PROJECT, Hooks
from quell.plugins.found import FoundPlugin, digest_of, list_plugins
from quell.plugins.lock import Lock, LockEntry
from quell.plugins.offers import HOOKS, OfferProblem
from quell.plugins.registry import PlaybookFile, PluginReport, PluginState, Registry

__all__ = ["enable", "load_one", "load_plugins"]

#: seconds that a plugin may take to be imported and to answer its hooks
PATIENCE = 10.0
#: most characters of a plugin's own error text that are passed on
TEXT_LIMIT = 200

Offers = Mapping[str, Sequence[Any]]


@dataclass(slots=True)
class Answer:
    """What a loading thread leaves behind."""

    offers: Offers | None = None
    problem: str = ""
    done: threading.Event = field(default_factory=threading.Event)


def load_plugins(
    lock: Lock, found: Iterable[FoundPlugin] | None = None, *, patience: float = PATIENCE
) -> Registry:
    """Load what is enabled and report on everything that is installed or enabled.

    Never raises for a plugin's sake: one that cannot be loaded is quarantined, and the
    report says what is wrong and what to do.
    """
    builder = _Builder(lock, patience)
    for plugin in list_plugins() if found is None else found:
        builder.add(plugin)
    builder.miss()
    return builder.registry()


def load_one(plugin: FoundPlugin, *, patience: float = PATIENCE) -> Offers:
    """Import one plugin and ask its hooks. Raises PluginError, also when it does not come back."""
    answer = Answer()
    # a daemon: a plugin that never comes back must not keep the process from ending
    thread = threading.Thread(
        target=_load_into, args=(answer, plugin), name=f"load-{plugin.name}", daemon=True
    )
    thread.start()
    if not answer.done.wait(patience):
        answer = Answer(problem=f"did not finish loading within {patience:g} s")
    if answer.offers is None:
        raise PluginError(
            plugin=plugin.name,
            distribution=f"{plugin.distribution} {plugin.version}".strip(),
            problem=answer.problem,
        )
    return answer.offers


def enable(name: str, lock: Lock, *, patience: float = PATIENCE) -> tuple[Lock, Offers]:
    """Record a plugin with its version and digest, after it has shown that it loads.

    Gives the lock to be written. Raises NotFoundError, PluginError.
    """
    matching = [plugin for plugin in list_plugins() if plugin.name == name]
    if not matching:
        known = ", ".join(sorted({plugin.name for plugin in list_plugins()})) or "none"
        raise NotFoundError(what="plugin", name=name, remedy=f"Installed are: {known}.")
    plugin = matching[0]
    offers = load_one(plugin, patience=patience)
    if plugin.is_bundled:
        return lock.without(name), offers
    entry = LockEntry(
        distribution=plugin.distribution,
        version=plugin.version,
        hash=digest_of(plugin),
        commands={
            str(command.name): command.get_short_help_str(limit=72)
            for command in offers["commands"]
        },
    )
    return lock.deciding(name, entry), offers


def _load_into(answer: Answer, plugin: FoundPlugin) -> None:
    try:
        answer.offers = _load(plugin)
    except OfferProblem as error:
        answer.problem = str(error)
    except BaseException as error:  # noqa: BLE001 # the edge of plugin loading: SystemExit too is only its own
        answer.problem = f"cannot be imported: {_one_line(error)}"
    finally:
        answer.done.set()


def _load(plugin: FoundPlugin) -> Offers:
    module = plugin.entry_point.load()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(module, plugin.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise OfferProblem(_signature_problem(module, error)) from error
    _refuse_unmarked(module, manager, plugin.name)
    return {hook.kind: _ask(manager, name) for name, hook in HOOKS.items()}


def _signature_problem(module: Any, error: pluggy.PluginValidationError) -> str:
    for name in dir(module):
        if name.startswith(f"{PROJECT}_") and name not in HOOKS:
            return f"answers a hook that does not exist: {name}; known are {', '.join(HOOKS)}"
    for name in HOOKS:
        function = getattr(module, name, None)
        if function is not None and inspect.signature(function).parameters:
            return f"has a wrong signature: write `def {name}():`, it takes nothing"
    return f"breaks the contract of the hooks: {_one_line(error)}"


def _refuse_unmarked(module: Any, manager: pluggy.PluginManager, name: str) -> None:
    marked = {caller.name for caller in manager.get_hookcallers(module) or ()}
    for hook in HOOKS:
        if hook not in marked and callable(getattr(module, hook, None)):
            raise OfferProblem(f"has a function {hook} without `@hookimpl` above it")
    if not marked:
        raise OfferProblem(f"answers no hook; a plugin has functions such as `{next(iter(HOOKS))}`")


def _ask(manager: pluggy.PluginManager, name: str) -> tuple[Any, ...]:
    hook = HOOKS[name]
    try:
        answers = getattr(manager.hook, name)()
    except Exception as error:
        raise OfferProblem(f"raised in {name}: {_one_line(error)}") from error
    return tuple(item for answer in answers for item in _items(name, answer, hook.wanted))


def _items(name: str, answer: Any, wanted: str) -> list[Any]:
    hook = HOOKS[name]
    if inspect.iscoroutine(answer):
        answer.close()
        raise OfferProblem(f"answers {name} with a coroutine: hooks are plain `def`")
    if isinstance(answer, (str, bytes)) or not isinstance(answer, Iterable):
        raise OfferProblem(f"answers {name} with {type(answer).__name__}, not a list of {wanted}")
    try:
        items: list[Any] = list(answer)  # type: ignore[arg-type,unused-ignore]
    except Exception as error:
        raise OfferProblem(f"raised in {name}: {_one_line(error)}") from error
    for item in items:
        if not hook.fits(item):
            raise OfferProblem(f"offers {type(item).__name__} in {name}, not {wanted}")
        hook.examine(item)
    return items


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:TEXT_LIMIT]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Builder:
    """Collects what plugins offer; the first to offer a thing keeps it."""

    def __init__(self, lock: Lock, patience: float) -> None:
        self._lock = lock
        self._patience = patience
        self._reports: dict[str, PluginReport] = {}
        self._taken: dict[tuple[str, str], str] = {}
        self._items: dict[str, list[Any]] = {hook.kind: [] for hook in HOOKS.values()}

    def add(self, plugin: FoundPlugin) -> None:
        """Load one installed plugin, if it is enabled and is what was enabled."""
        if plugin.name in self._reports:
            self._report_double(plugin)
            return
        entry = self._lock.entries.get(plugin.name)
        if not _is_enabled(plugin, entry):
            self._report(
                plugin, PluginState.AVAILABLE, remedy=f"`quell plugins enable {plugin.name}`"
            )
            return
        problem = _difference(plugin, entry)
        if problem:
            remedy = f"Look at what changed, then `quell plugins enable {plugin.name}` again."
            self._report(plugin, PluginState.QUARANTINED, problem=problem, remedy=remedy)
            return
        self._load(plugin)

    def _load(self, plugin: FoundPlugin) -> None:
        try:
            offers = load_one(plugin, patience=self._patience)
        except PluginError as error:
            self._report(
                plugin,
                PluginState.QUARANTINED,
                problem=str(error.fields["problem"]),
                remedy=f"Upgrade {plugin.distribution}, or `quell plugins disable {plugin.name}`.",
            )
            return
        self._keep(plugin, offers)

    def _keep(self, plugin: FoundPlugin, offers: Offers) -> None:
        names: dict[str, tuple[str, ...]] = {}
        problems: list[str] = []
        for hook in HOOKS.values():
            kept: list[str] = []
            for item in offers[hook.kind]:
                name = hook.name(item)
                owner = self._taken.setdefault((hook.kind, name), plugin.name)
                if owner != plugin.name or name in kept:
                    problems.append(f"{hook.kind} {name} is already offered by {owner}")
                    continue
                kept.append(name)
                self._items[hook.kind].append(_owned(hook.kind, item, plugin.name))
            if kept:
                names[hook.kind] = tuple(kept)
        remedy = f"Disable one of the two: `quell plugins disable {plugin.name}`."
        self._report(
            plugin,
            PluginState.ENABLED,
            offers=names,
            problem="; ".join(problems),
            remedy=remedy if problems else "",
        )

    def _report_double(self, plugin: FoundPlugin) -> None:
        other = self._reports[plugin.name]
        name = f"{plugin.name} ({plugin.distribution})"
        self._reports[name] = PluginReport(
            name=name,
            distribution=plugin.distribution,
            version=plugin.version,
            state=PluginState.QUARANTINED,
            problem=f"its name is taken by {other.distribution}",
            remedy=f"Uninstall {plugin.distribution}, or ask its authors for another name.",
        )

    def miss(self) -> None:
        """Report what is enabled and not installed."""
        for name, entry in self._lock.entries.items():
            if entry.enabled and name not in self._reports:
                self._reports[name] = PluginReport(
                    name=name,
                    distribution=entry.distribution,
                    version=entry.version,
                    state=PluginState.QUARANTINED,
                    problem="is enabled, but not installed",
                    remedy=f"Install {entry.distribution} {entry.version}, or "
                    f"`quell plugins disable {name}`.",
                )

    def _report(self, plugin: FoundPlugin, state: PluginState, **fields: Any) -> None:
        self._reports[plugin.name] = PluginReport(
            name=plugin.name,
            distribution=plugin.distribution,
            version=plugin.version,
            state=state,
            **fields,
        )

    def registry(self) -> Registry:
        """Give everything that was collected."""
        items = self._items
        return Registry(
            plugins=tuple(self._reports.values()),
            sections=tuple(items["sections"]),
            connectors={one.kind: one for one in items["connectors"]},
            sources=tuple(items["sources"]),
            actions=tuple(items["actions"]),
            resolvers=tuple(items["resolvers"]),
            playbooks=tuple(items["playbooks"]),
            checks=tuple(items["checks"]),
            notifiers=tuple(items["notifiers"]),
            webhooks={one.source: one for one in items["webhooks"]},
            commands={str(one.name): one for one in items["commands"]},
            event_sources=tuple(items["event_sources"]),
            event_sinks=tuple(items["event_sinks"]),
            simulators={one.name: one for one in items["simulators"]},
        )


def _owned(kind: str, item: Any, plugin: str) -> Any:
    return PlaybookFile(plugin=plugin, path=item) if kind == "playbooks" else item


def _is_enabled(plugin: FoundPlugin, entry: LockEntry | None) -> bool:
    return entry.enabled if entry is not None else plugin.is_bundled


def _difference(plugin: FoundPlugin, entry: LockEntry | None) -> str:
    """Say how an enabled plugin differs from what was enabled; empty where it does not."""
    if plugin.is_bundled or entry is None:
        return ""
    if entry.distribution != plugin.distribution:
        return f"comes from {plugin.distribution}; enabled was {entry.distribution}"
    if entry.version != plugin.version:
        return f"is version {plugin.version}; enabled was {entry.version}"
    return "" if entry.hash == digest_of(plugin) else "its files changed since it was enabled"
