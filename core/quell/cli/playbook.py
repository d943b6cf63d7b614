"""`quell playbook`: check files, store and activate versions, show what one would do."""

from __future__ import annotations

from typing import Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.lookup import the_incident
from quell.cli.outcome import ExitCode
from quell.cli.output import json_option, say, show, show_fields, show_parts
from quell.cli.tenants import tenant_option
from quell.errors import PlaybookError, StateError

__all__ = ["playbook"]


@click.group()
def playbook() -> None:
    """Check, activate and show playbooks."""


@playbook.command()
@click.argument("files", nargs=-1, required=True)
@json_option
@pass_invocation
def check(invocation: Invocation, files: tuple[str, ...]) -> int:
    """Check playbooks; say `file:line:column` for every mistake.

    FILES are paths, or names of playbooks that plugins ship. Connects nowhere.
    """
    from quell.cli.activation import find_file, load_file
    from quell.playbooks import Catalogue

    registry = invocation.full_registry()
    catalogue = Catalogue(registry.actions)
    problems: list[str] = []
    for file in files:
        try:
            load_file(find_file(registry, file), catalogue)
        except PlaybookError as error:
            problems.extend(error.problems)
        except StateError as error:
            problems.append(f"{file}:1:1: {error.fields['problem']}")
    if problems:
        raise PlaybookError(problems=problems)
    say(f"{len(files)} checked, no mistakes", checked=list(files), problems=[])
    return ExitCode.DONE


@playbook.command("list")
@tenant_option
@json_option
@pass_invocation
def list_command(invocation: Invocation, tenant: str | None) -> None:
    """List stored versions and which are active, and what plugins ship."""
    from quell.journal import playbooks as stored

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        versions = runtime.journal.ask_now(stored.listed(chosen.id))
        rows: list[dict[str, Any]] = [
            {
                "id": one.id,
                "digest": one.digest if invocation.as_json else one.digest[:12],
                "active": one.is_active,
                "by": one.activated_by,
                "since": one.activated_at,
                "from": one.name,
            }
            for one in versions
        ]
        known = {one.id for one in versions}
        rows += [
            {"id": one.name, "digest": "", "active": False, "from": f"plugin {one.plugin}"}
            for one in runtime.registry.playbooks
            if one.name not in known
        ]
    show(rows, ("id", "active", "digest", "by", "since", "from"), empty="no playbook is stored")


@playbook.command()
@click.argument("file")
@tenant_option
@json_option
@pass_invocation
def activate(invocation: Invocation, file: str, tenant: str | None) -> None:
    """Check a playbook and let this very version start runs.

    FILE is a path, or the name of a playbook that a plugin ships. Runs that are under way keep
    the version they started with.
    """
    from quell.cli.activation import activate_file, find_file

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        path = find_file(runtime.registry, file)
        loaded = activate_file(runtime, chosen.id, path, by=invocation.person)
    say(
        f"{loaded.id} is active at {loaded.digest[:12]}",
        id=loaded.id,
        digest=loaded.digest,
        tenant=chosen.id,
    )


@playbook.command()
@click.argument("playbook_id")
@tenant_option
@json_option
@pass_invocation
def deactivate(invocation: Invocation, playbook_id: str, tenant: str | None) -> int:
    """Let a playbook start nothing any more; runs that are under way go on."""
    from quell.journal import playbooks as stored

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        changed = runtime.journal.commit_now(
            stored.deactivate(chosen.id, playbook_id, by=invocation.person, chain=runtime.worker_id)
        )
    text = f"{playbook_id} starts nothing any more" if changed else f"{playbook_id} was not active"
    say(text, id=playbook_id, changed=changed)
    return ExitCode.DONE if changed else ExitCode.NO


@playbook.command("show")
@click.argument("file")
@json_option
@pass_invocation
def show_command(invocation: Invocation, file: str) -> None:
    """Show a checked playbook: what starts it and what each step does."""
    from quell.cli.activation import find_file, load_file
    from quell.playbooks import Catalogue

    registry = invocation.full_registry()
    loaded, _ = load_file(find_file(registry, file), Catalogue(registry.actions))
    if invocation.as_json:
        import msgspec

        show_fields(msgspec.to_builtins(loaded))
        return
    trigger = loaded.trigger
    show_fields(
        {
            "id": loaded.id,
            "title": loaded.title,
            "digest": loaded.digest,
            "starts on": [event.value for event in trigger.incident] if trigger else "by hand only",
            "when": loaded.when or "always",
        }
    )
    click.echo()
    show(
        [
            {
                "step": step.id,
                "does": step.do or ("for each" if step.for_each else "wait"),
                "to": step.to or "",
                "after": [f"{one.step}.{one.condition.value}" for one in step.after],
                "asks": step.ask.who if step.ask else "",
            }
            for step in loaded.steps
        ],
        ("step", "does", "to", "after", "asks"),
    )


@playbook.command()
@click.argument("file")
@click.argument("incident")
@tenant_option
@json_option
@pass_invocation
def plan(invocation: Invocation, file: str, incident: str, tenant: str | None) -> None:
    """Show what a playbook would do to an incident as it stands; does nothing.

    Each step is shown as if those before it succeeded. The guard decides when it runs.
    """
    from quell.cli.activation import find_file, load_file
    from quell.cli.planning import starts_here, step_rows
    from quell.journal import incidents
    from quell.playbooks import Catalogue, PlaybookProgram

    with invocation.runtime() as runtime:
        chosen = runtime.tenant(tenant)
        catalogue = Catalogue(runtime.registry.actions)
        loaded, _ = load_file(find_file(runtime.registry, file), catalogue)
        incident_id = the_incident(runtime.journal, chosen.id, incident)
        view = runtime.journal.ask_now(incidents.view(chosen.id, incident_id))
    program = PlaybookProgram(loaded, catalogue)
    show_parts(
        {"playbook": loaded.id, "incident": incident_id, "starts": starts_here(program, view)},
        {
            "steps": (
                step_rows(program, view),
                ("step", "does", "effect", "targets", "runs", "asks"),
            )
        },
    )
