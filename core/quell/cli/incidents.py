"""`quell incidents`: list incidents, show one with all that it names, and what happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quell.cli.invocation import Invocation, pass_invocation
from quell.cli.lookup import the_incident
from quell.cli.output import json_option, show, show_parts
from quell.cli.tenants import tenant_option
from quell.domain.fields import SHARED

if TYPE_CHECKING:
    from quell.domain.view import IncidentView
    from quell.journal.conflicts import ConflictRow

__all__ = ["incidents"]

STATUSES = ("new", "active", "closed")
SEVERITIES = ("unknown", "informational", "low", "medium", "high")


@click.group(invoke_without_command=True)
@tenant_option
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only these, and worse.")
@click.option("--merged", is_flag=True, help="Show incidents that were merged away too.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, help="Pass over so many.")
@json_option
@pass_invocation
@click.pass_context
def incidents(
    context: click.Context,
    invocation: Invocation,
    tenant: str | None,
    status: str | None,
    severity: str | None,
    merged: bool,
    limit: int,
    offset: int,
) -> None:
    """List incidents, the last changed first; show one."""
    if context.invoked_subcommand is not None:
        return
    from quell.domain.incident import Severity, Status
    from quell.journal import incidents as journal_incidents

    with invocation.runtime() as runtime:
        question = journal_incidents.listed(
            runtime.tenant(tenant).id,
            status=Status(status) if status else None,
            severity=Severity(severity) if severity else None,
            with_merged=merged,
            limit=limit,
            offset=offset,
        )
        found = runtime.journal.ask_now(question)
    rows = [
        {
            "id": one.id,
            "severity": one.severity.value,
            "status": one.status.value if one.status else "",
            "title": one.title,
            "owner": one.owner,
            "numbers": one.numbers,
            "copies": [f"{source} {number}" for source, number in one.numbers.items()],
            "revision": one.revision,
            "created_at": one.created_at,
            "updated_at": one.updated_at,
            "merged_into": one.merged_into,
        }
        for one in found
    ]
    columns = ("id", "severity", "status", "title", "owner", "copies", "updated_at")
    show(rows, columns, empty="no incidents; `quell sync` fetches them")


@incidents.command("show")
@click.argument("incident")
@tenant_option
@json_option
@pass_invocation
def show_command(invocation: Invocation, incident: str, tenant: str | None) -> None:
    """Show an incident: fields, copies, alerts, entities, revisions and conflicts.

    INCIDENT is quell's id or the beginning of it, or a product's number or id.
    """
    from quell.journal import conflicts as journal_conflicts
    from quell.journal import incidents as journal_incidents

    with invocation.runtime() as runtime:
        chosen, ask = runtime.tenant(tenant).id, runtime.journal.ask_now
        incident_id = the_incident(runtime.journal, chosen, incident)
        view = ask(journal_incidents.view(chosen, incident_id))
        revisions = [
            {
                "revision": one.revision,
                "at": one.happened_at,
                "what": [event.value for event in one.events],
                "changes": one.changes,
                "fields": sorted(one.changes),
                "origin": one.origin.value,
                "by": one.actor,
                "caused_by": one.caused_by,
            }
            for one in ask(journal_incidents.revisions_of(chosen, incident_id))
        ]
        conflicts = ask(journal_conflicts.listed(chosen, incident_id=incident_id))
    show_parts(
        _fields(view),
        {
            "copies": (_copies(view), ("source", "number", "native_id", "url")),
            "alerts": (_alerts(view), ("title", "severity", "status", "product", "id")),
            "entities": (_entities(view), ("kind", "name", "roles", "verdict", "id")),
            "revisions": (revisions, ("revision", "at", "what", "fields", "origin", "by")),
            "conflicts": ([_conflict(one) for one in conflicts], ("at", "field", "kind", "id")),
        },
    )


def _fields(view: IncidentView) -> dict[str, Any]:
    fields = view.fields
    return {
        "id": view.id,
        "title": fields.title,
        "description": fields.description,
        "severity": fields.severity.value if fields.severity else None,
        "status": fields.status.value if fields.status else None,
        "owner": fields.owner.label if fields.owner else None,
        "classification": fields.verdict.classification.value if fields.verdict else None,
        "determination": fields.verdict.determination.value if fields.verdict else None,
        "closing_comment": fields.closing_comment,
        "tags": sorted(fields.tags),
        "first_activity": fields.first_activity,
        "last_activity": fields.last_activity,
        "tactics": sorted(fields.tactics),
        "products": sorted(fields.products),
        "revision": view.revision,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
        "merged_into": view.merged_into,
        "not_vouched": _not_vouched(view),
    }


def _not_vouched(view: IncidentView) -> list[str]:
    """Name the fields whose value is not the detecting product's own: it sets nothing off."""
    if view.vouched is None:
        return list(SHARED)
    return [name for name in SHARED if getattr(view.vouched, name) != getattr(view.fields, name)]


def _copies(view: IncidentView) -> list[dict[str, Any]]:
    return [
        {
            "source": one.source_id,
            "system": one.system,
            "number": one.number,
            "native_id": one.native_id,
            "url": one.url,
        }
        for one in view.copies
    ]


def _alerts(view: IncidentView) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "title": one.title,
            "severity": one.severity.value,
            "status": one.status,
            "product": one.product,
            "category": one.category,
        }
        for one in view.alerts
    ]


def _entities(view: IncidentView) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "kind": one.kind.value,
            "name": one.entity.name or next((alias.value for alias in one.entity.aliases()), ""),
            "roles": list(one.roles),
            "verdict": one.verdict,
            "alerts": list(one.alerts),
        }
        for one in view.entities
    ]


def _conflict(row: ConflictRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "field": row.field,
        "kind": row.kind,
        "at": row.at,
        "settled_at": row.settled_at,
        "body": row.body,
    }
