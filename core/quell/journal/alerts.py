"""Alerts: the detections that an incident is made of, each with its product's own JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from quell.domain.hub import AlertNote
from quell.domain.ids import IncidentId, SourceId, TenantId
from quell.domain.incident import Alert
from quell.journal import blobs
from quell.journal.prepared import its, listed, same
from quell.journal.tables import alerts, links
from quell.journal.upsert import insert_or_update
from quell.journal.writer import Question, Transaction

__all__ = ["AlertNews", "of"]

#: stands where an alert's incident would: it has left one, and is not seen in another yet
NOWHERE = IncidentId("")

OF_INCIDENT = same(alerts.c.tenant_id, alerts.c.incident_id)
READ = (
    sa.select(alerts.c.body)
    .where(OF_INCIDENT)
    .order_by(alerts.c.seen_at, alerts.c.source_id, alerts.c.native_id)
)
READ_MANY = (
    sa.select(alerts.c.incident_id, alerts.c.body)
    .where(same(alerts.c.tenant_id), listed(alerts.c.incident_id))
    .order_by(alerts.c.seen_at, alerts.c.source_id, alerts.c.native_id)
)
READ_NOTES = sa.select(
    alerts.c.source_id, alerts.c.native_id, alerts.c.digest, alerts.c.carried
).where(OF_INCIDENT)
READ_HOMES = sa.select(alerts.c.native_id, alerts.c.incident_id).where(
    same(alerts.c.tenant_id, alerts.c.source_id), listed(alerts.c.native_id)
)
CARRY = sa.update(alerts).where(same(alerts.c.tenant_id, alerts.c.source_id, alerts.c.native_id))


class AlertNews(msgspec.Struct, frozen=True, kw_only=True):
    """What an observation tells of alerts that was not known."""

    #: new or changed, or not told to our copies yet
    changed: tuple[Alert, ...] = ()
    #: ids of those that the incident did not have
    new: tuple[str, ...] = ()
    #: ids of those that stay with another incident, which shows them too
    elsewhere: tuple[str, ...] = ()
    #: those that another incident had until now
    taken: dict[IncidentId, tuple[Alert, ...]] = {}


def of(tenant_id: TenantId, incident_id: IncidentId) -> Question[list[Alert]]:
    """List an incident's alerts, whole."""
    return lambda tx: of_incident(tx, tenant_id, incident_id)


def of_incident(tx: Transaction, tenant_id: TenantId, incident_id: str) -> list[Alert]:
    asked = its(tenant_id=tenant_id, incident_id=incident_id)
    return [msgspec.convert(row.body, Alert) for row in tx.execute(READ, asked)]


def of_incidents(tx: Transaction, tenant_id: TenantId, ids: list[str]) -> dict[str, list[Alert]]:
    """List the alerts of many incidents; one without any is missing."""
    found: dict[str, list[Alert]] = {}
    for row in tx.execute(READ_MANY, its(tenant_id=tenant_id, incident_id=ids)):
        found.setdefault(row.incident_id, []).append(msgspec.convert(row.body, Alert))
    return found


def notes(tx: Transaction, tenant_id: TenantId, incident_id: str) -> dict[str, AlertNote]:
    """Give what is remembered of an incident's alerts, by `source_id/native_id`."""
    asked = its(tenant_id=tenant_id, incident_id=incident_id)
    return {
        f"{row.source_id}/{row.native_id}": AlertNote(digest=row.digest, carried=row.carried)
        for row in tx.execute(READ_NOTES, asked)
    }


def store(
    tx: Transaction,
    tenant_id: TenantId,
    source_id: SourceId,
    incident_id: IncidentId,
    known: dict[str, AlertNote],
    seen: tuple[Alert, ...],
    *,
    is_stale: bool = False,
    is_shared: bool = False,
) -> AlertNews:
    """Store the alerts that are new or changed, or were another incident's until now.

    What is stale adds what nobody has, and takes nothing away from another incident. Where a
    product lets several incidents show one alert, the first keeps it for as long as it is there.
    """
    strange = [alert.id for alert in seen if f"{source_id}/{alert.id}" not in known]
    homes = _homes(tx, tenant_id, source_id, strange)
    kept = _still_there(tx, tenant_id, source_id, homes.values()) if is_shared else set[str]()
    changed: list[Alert] = []
    elsewhere: list[str] = []
    taken: dict[IncidentId, tuple[Alert, ...]] = {}
    for alert in seen:
        digest = hashlib.sha256(msgspec.json.encode(alert, order="sorted")).hexdigest()
        note = known.get(f"{source_id}/{alert.id}")
        if note is not None and note.digest == digest:
            changed += [alert] if note.carried is None else []
            continue
        home = homes.get(alert.id, NOWHERE)
        if home not in {NOWHERE, incident_id}:
            if is_stale or home in kept:
                elsewhere.append(alert.id)
                continue
            taken[home] = (*taken.get(home, ()), alert)
        row = {
            "tenant_id": tenant_id,
            "source_id": source_id,
            "native_id": alert.id,
            "incident_id": incident_id,
            "body": blobs.keep(tx, tenant_id, alert),
            "digest": digest,
            "seen_at": tx.now,
        }
        # an alert belongs to one incident: a product may have moved it here
        insert_or_update(tx, alerts, row, update=["incident_id", "body", "digest"])
        changed.append(alert)
    new = tuple(dict.fromkeys(one.id for one in changed if one.id in set(strange)))
    return AlertNews(changed=tuple(changed), new=new, elsewhere=tuple(elsewhere), taken=taken)


def _homes(
    tx: Transaction, tenant_id: TenantId, source_id: SourceId, ids: list[str]
) -> dict[str, IncidentId]:
    """Tell which incidents have alerts that are new to this one."""
    if not ids:
        return {}
    asked = its(tenant_id=tenant_id, source_id=source_id, native_id=ids)
    return {row.native_id: IncidentId(row.incident_id) for row in tx.execute(READ_HOMES, asked)}


def _still_there(
    tx: Transaction, tenant_id: TenantId, source_id: SourceId, homes: Iterable[IncidentId]
) -> set[str]:
    """Choose the incidents that have a copy in the source."""
    wanted = sorted(set(homes) - {NOWHERE})
    if not wanted:
        return set()
    statement = sa.select(links.c.incident_id).where(
        links.c.tenant_id == tenant_id,
        links.c.source_id == source_id,
        links.c.incident_id.in_(wanted),
        links.c.deleted_at.is_(None),
    )
    return set(tx.execute(statement).scalars())


def let_go(
    tx: Transaction,
    tenant_id: TenantId,
    source_id: SourceId,
    incident_id: IncidentId,
    ids: Iterable[str],
) -> tuple[Alert, ...]:
    """Take alerts out of an incident that does not show them any more; they stay on record."""
    mine = sa.and_(
        alerts.c.tenant_id == tenant_id,
        alerts.c.source_id == source_id,
        alerts.c.incident_id == incident_id,
        alerts.c.native_id.in_(sorted(ids)),
    )
    found = tx.execute(sa.select(alerts.c.body).where(mine).order_by(alerts.c.native_id)).all()
    tx.execute(sa.update(alerts).where(mine).values(incident_id=NOWHERE, carried=None))
    return tuple(msgspec.convert(row.body, Alert) for row in found)


def carry(
    tx: Transaction, tenant_id: TenantId, before: dict[str, AlertNote], after: dict[str, AlertNote]
) -> None:
    """Remember what our own copies are told of each alert."""
    for key, note in after.items():
        old = before.get(key)
        if old is not None and old.carried == note.carried:
            continue
        source_id, _, native_id = key.partition("/")
        mine = its(tenant_id=tenant_id, source_id=source_id, native_id=native_id)
        tx.later(CARRY, {**mine, "carried": note.carried})


def move(tx: Transaction, tenant_id: TenantId, loser: IncidentId, winner: IncidentId) -> None:
    """Give a merged incident's alerts to the winner, whose copies still have to be told of them."""
    tx.execute(
        sa.update(alerts)
        .where(alerts.c.tenant_id == tenant_id, alerts.c.incident_id == loser)
        .values(incident_id=winner, carried=None)
    )
