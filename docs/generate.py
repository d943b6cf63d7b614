"""Writes the reference pages that follow from the code: commands, settings, fields, metrics, actions.

`python docs/generate.py` writes them; a test holds the files to what this gives.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import cast, get_type_hints

import click
import msgspec

from quell.cli.program import program
from quell.domain.action import Action, Effect
from quell.domain.fields import FIELD_TABLE, FieldKind, FieldRule, FieldSpec
from quell.domain.offers import SourceSpec
from quell.meters import COUNTERS, SPREADS
from quell.plugins import Lock, list_plugins, load_plugins
from quell.settings import SettingRow, declared_rows, rows_of
from quell.sync import BUILTIN_ACTIONS, SyncPolicy
from quell.telemetry.gauges import GAUGES

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by docs/generate.py from the code. Change the code, then run it. -->\n"
WIDTH = 96


def bundled_rows() -> list[SettingRow]:
    """List every setting of the core and of the plugins that come with quell."""
    bundled = [plugin for plugin in list_plugins() if plugin.is_bundled]
    registry = load_plugins(Lock(Path("plugins.lock")), bundled)
    return list(declared_rows(registry.sections))


def settings_page() -> str:
    """Write `settings.md`."""
    return "".join(_settings_parts(bundled_rows()))


def _settings_parts(rows: Sequence[SettingRow]) -> Iterator[str]:
    yield f"# Settings\n\n{NOTE}\n"
    yield (
        "Settings are read from one TOML file: `--config FILE`, else `$QUELL_CONFIG`, else "
        "`./quell.toml`, else `~/.config/quell/quell.toml`. Above the file stands the environment: "
        "`QUELL__GUARD__CAPS__PER_RUN=5` sets `guard.caps.per_run`; lists and tables are written "
        "as in TOML. A secret may be given as `env:NAME` or `file:PATH`, and is never shown. "
        "Relative paths start at the file's folder.\n\n"
        "`NAME` stands for a name that you choose, `[]` for each entry of a list of tables. "
        "`quell config show` prints every value with where it came from; `quell config init` "
        "writes a file to begin with. An unknown key is an error.\n"
    )
    section = None
    for row in rows:
        table, _, key = row.name.rpartition(".")
        if table != section:
            section = table
            yield f"\n## {f'`[{table}]`' if table else 'Outside of any section'}\n\n"
            yield "| setting | type | default | meaning |\n|---|---|---|---|\n"
        default = f"`{row.default}`" if row.default not in {"", "required"} else row.default
        yield f"| `{key}` | {_escaped(row.type)} | {_escaped(default)} | {_escaped(row.text)} |\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def fields_page() -> str:
    """Write `fields.md`."""
    return "".join(_field_parts(bundled_sources()))


def bundled_sources() -> tuple[SourceSpec, ...]:
    """List the sources of the plugins that come with quell."""
    bundled = [plugin for plugin in list_plugins() if plugin.is_bundled]
    return load_plugins(Lock(Path("plugins.lock")), bundled).sources


def _field_parts(sources: Sequence[SourceSpec]) -> Iterator[str]:
    yield f"# Fields\n\n{NOTE}\n"
    yield (
        "What the queues share, field by field. A *value* has one answer, which every copy shall "
        "have; tags are a *set*; what is *derived* follows from the alerts; a *list* holds things "
        "that are copied one by one; an *identity* belongs to one copy. `sync.default` and "
        "`sync.fields` name who wins where two sides changed a value at once; `sync.ignored` "
        "leaves fields out.\n\n"
        "A raw value that already stands for the shared one is left alone, so what a product "
        "cannot hold never makes two copies differ.\n\n"
    )
    yield "| field | kind | meaning | when both sides changed it |\n|---|---|---|---|\n"
    for spec in FIELD_TABLE:
        yield f"| `{spec.name}` | {spec.kind} | {spec.meaning} | {_when_both(spec)} |\n"
    for source in sources:
        yield f"\n## `{source.system}`\n\n"
        yield "| field | there | direction | how | what is lost |\n|---|---|---|---|---|\n"
        for spec in FIELD_TABLE:
            yield _rule_row(spec.name, source.fields.get(spec.name))


def _when_both(spec: FieldSpec) -> str:
    match spec.kind:
        case FieldKind.VALUE:
            return f"`{SyncPolicy().winner(spec.name)}`; the other value is on record"
        case FieldKind.SET:
            return "both: added anywhere wins over removed anywhere"
        case FieldKind.LIST:
            return "both"
        case _:
            return "is not decided"


def _rule_row(name: str, rule: FieldRule | None) -> str:
    if rule is None:
        return f"| `{name}` | | | | it has none |\n"
    direction = {
        (True, True): "read and written",
        (True, False): "read",
        (False, True): "written",
        (False, False): "neither",
    }[rule.is_read, rule.is_written]
    cells = (rule.native, direction, rule.mapping, rule.cannot_hold)
    return f"| `{name}` | {' | '.join(_escaped(cell) for cell in cells)} |\n"


def metrics_page() -> str:
    """Write `metrics.md`."""
    return "".join(_metric_parts())


def _metric_parts() -> Iterator[str]:
    yield f"# Metrics\n\n{NOTE}\n"
    yield (
        "Each process shows these at `GET /metrics` of its web door, with its own memory, files "
        "and processor time beside them. Gauges that are read from the journal are the same from "
        "every process: take `max` over a fleet, not `sum`. They are at most 5 s old. Counters "
        "and histograms are the process's own since it began: take `sum`. Labels are names from "
        "settings and code; nothing that an incident says is ever in one. "
        "[Operations](../operations.md) says what to watch.\n"
    )
    rows = {
        "Gauges": [(one.name, one.labels, one.text) for one in GAUGES],
        "Counters": [(f"{one.name}_total", one.labels, one.text) for one in COUNTERS],
        "Histograms": [(one.name, one.labels, one.text) for one in SPREADS],
    }
    for title, metrics in rows.items():
        yield f"\n## {title}\n\n| metric | labels | meaning |\n|---|---|---|\n"
        for name, labels, text in metrics:
            yield f"| `{name}` | {' '.join(f'`{label}`' for label in labels)} | {text} |\n"


def actions_page() -> str:
    """Write `actions.md`."""
    return "".join(_actions_parts(bundled_actions()))


def bundled_actions() -> list[Action]:
    """List the actions of quell itself and of the plugins that come with it, by name."""
    bundled = [plugin for plugin in list_plugins() if plugin.is_bundled]
    registry = load_plugins(Lock(Path("plugins.lock")), bundled).with_actions(BUILTIN_ACTIONS)
    return sorted(registry.actions, key=lambda one: (one.name, one.system))


def _actions_parts(actions: Sequence[Action]) -> Iterator[str]:
    yield f"# Actions\n\n{NOTE}\n"
    yield (
        "What a playbook's step and `quell act` can do with the plugins that come with quell. "
        "`quell actions` lists those of your own installation, other plugins' among them. "
        "Who must be asked, and what `quell halt` stops, follows from the effect; "
        "[how once is kept](../explanation/once.md) says for each action how an effect could "
        "come twice.\n\n| effect | what it does |\n|---|---|\n"
    )
    for name, words in member_comments(Effect).items():
        yield f"| `{name}` | {words} |\n"
    yield "\n| action | effect | acts on | taken back by | a look tells | a repeat |\n"
    yield "|---|---|---|---|---|---|\n"
    for action in actions:
        link = f"[`{action.name}`](#{action.name.replace('.', '')})"
        reversal = f"`{action.reversal}`" if action.reversal else ""
        is_seen = "yes" if action.observe_function else "no"
        cells = (link, f"`{action.effect}`", _target(action), reversal, is_seen, _repeat(action))
        yield f"| {' | '.join(cells)} |\n"
    for action in actions:
        yield from _action_parts(action)


def _action_parts(action: Action) -> Iterator[str]:
    yield f"\n## `{action.name}`\n\n{action.summary}\n\n| | |\n|---|---|\n"
    for name, words in _declared(action).items():
        if words:
            yield f"| {name} | {words} |\n"
    yield from _params_parts(action.params)
    if action.result is not None:
        yield from _result_parts(action.result)


def _declared(action: Action) -> dict[str, str]:
    is_effect = action.effect is not Effect.READ
    after = _seconds(action.timeout + action.settle)
    return {
        "system": f"`{action.system}`",
        "effect": f"`{action.effect}`",
        "acts on": _target(action),
        "taken back by": f"`{action.reversal}`" if action.reversal else "nothing" * is_effect,
        "lasting state": _state(action),
        "identity": f"`{action.identity}`",
        "permissions": ", ".join(f"`{one}`" for one in action.permissions),
        "one call": f"{_targets(action)}, at most {_seconds(action.timeout)}",
        "its outcome": _outcome(action),
        "a look": _look(action),
        "a look tells": f"{_seconds(action.settle)} after the effect" if _is_seen(action) else "",
        "after a crash": f"decided {after} past the call's deadline" if is_effect else "",
        "a repeat": _repeat(action),
        "in a child process": "always" if action.isolate else "",
        "the product's page": f"<{action.docs}>" if action.docs else "",
    }


def _target(action: Action) -> str:
    if action.target is None:
        return "the incident"
    return f"`{cast(type[msgspec.Struct], action.target).__struct_config__.tag}`"


def _targets(action: Action) -> str:
    return f"up to {action.batch} targets" if action.batch > 1 else "one target"


def _state(action: Action) -> str:
    made = f"makes `{action.makes}`" if action.makes else ""
    return made or (f"ends `{action.ends}`" if action.ends else "")


def _outcome(action: Action) -> str:
    if action.poll_function is None:
        return "with the answer"
    cancelled = ", cancelled when it takes too long" if action.cancel_function else ""
    return f"with the answer, or asked about until it is through{cancelled}"


def _is_seen(action: Action) -> bool:
    return action.effect is not Effect.READ and action.observe_function is not None


def _look(action: Action) -> str:
    function = action.observe_function
    if function is None:
        return "" if action.effect is Effect.READ else "cannot tell"
    return (inspect.getdoc(function) or "").splitlines()[0]


def _repeat(action: Action) -> str:
    if action.effect is Effect.READ:
        return "changes nothing"
    return "is as good as once" if action.is_idempotent else "is avoided"


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():g} s"


def _params_parts(model: type[msgspec.Struct]) -> Iterator[str]:
    rows = list(rows_of(model))
    if not rows:
        return
    yield f"\n{_title(model)}\n\n| parameter | type | default | meaning |\n|---|---|---|---|\n"
    hints = get_type_hints(model)
    for row in rows:
        default = row.default if row.default in {"", "required"} else f"`{row.default}`"
        meaning = ". ".join(part for part in (row.text, _choices(hints[row.name])) if part)
        cells = (f"`{row.name}`", row.type, default or "none", meaning)
        yield f"| {' | '.join(_escaped(cell) for cell in cells)} |\n"


def _result_parts(model: type[msgspec.Struct]) -> Iterator[str]:
    yield f"\n{_title(model)}\n\n| result | type | meaning |\n|---|---|---|\n"
    for row in rows_of(model):
        yield f"| `{row.name}` | {_escaped(row.type)} | {_escaped(row.text)} |\n"


def _title(model: type[msgspec.Struct]) -> str:
    return inspect.cleandoc(model.__doc__ or "").splitlines()[0]


def _choices(hint: object) -> str:
    if not (isinstance(hint, type) and issubclass(hint, Enum)):
        return ""
    return "; ".join(f"`{name}`: {words}" for name, words in member_comments(hint).items())


def member_comments(kind: type[Enum]) -> dict[str, str]:
    """Read the `#:` comments above an enum's members from the source, by the members' values."""
    found = re.findall(r'#: (.+)\n +\w+ = "(\w+)"', inspect.getsource(kind))
    return {name: words for words, name in found}


def cli_page() -> str:
    """Write `cli.md`."""
    return "".join(_cli_parts())


def _cli_parts() -> Iterator[str]:
    yield f"# Command line\n\n{NOTE}\n"
    yield "Each command has `--help`. Commands that print data take `--json`.\n"
    root = click.Context(program, info_name="quell")
    yield from _command_parts(program, root, 2)


def _command_parts(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"\n{'#' * level} `{context.command_path}`\n\n"
    yield f"{_prose(command)}\n\n"
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```\n{usage}\n```\n"
    yield from _option_parts(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                child = click.Context(inner, info_name=name, parent=context)
                yield from _command_parts(inner, child, min(level + 1, 4))


def _prose(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "")


def _option_parts(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [
        record
        for parameter in command.get_params(context)
        if parameter.name != "help" and (record := parameter.get_help_record(context)) is not None
    ]
    if records:
        yield "\n| option | meaning |\n|---|---|\n"
    for names, text in records:
        yield f"| `{names}` | {_escaped(text)} |\n"


PAGES = {
    "settings.md": settings_page,
    "fields.md": fields_page,
    "cli.md": cli_page,
    "metrics.md": metrics_page,
    "actions.md": actions_page,
}


def main() -> int:
    """Write the pages; `--check` only tells whether they are up to date."""
    stale = [name for name, page in PAGES.items() if _read(name) != page()]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/reference/{name} is out of date: run `python docs/generate.py`")
        return 1 if stale else 0
    for name in stale:
        (REFERENCE / name).write_text(PAGES[name](), encoding="utf-8")
    return 0


def _read(name: str) -> str:
    path = REFERENCE / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
