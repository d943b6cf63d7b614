"""All routes of the simulator in one list."""

from __future__ import annotations

from .apis import (
    alerts,
    batch,
    control,
    edits,
    hunting,
    identities,
    incidents,
    logs,
    machine_actions,
    machines,
    mail,
    sentinel,
    sentinel_edits,
    sentinel_parts,
    sentinel_relations,
    sign_in,
    users,
    workspaces,
)
from .call import Operation


def all_operations() -> list[Operation]:
    """List every operation; of two that match, the first answers."""
    found: list[Operation] = [*control.operations(), *edits.operations()]
    found += sentinel_edits.operations()
    for root in ("/v1.0", "/beta"):
        for module in (incidents, alerts, identities, mail, hunting, users, batch):
            found += module.operations(root)
    sentinels = (sentinel, sentinel_parts, sentinel_relations, workspaces)
    for module in (machines, machine_actions, *sentinels, logs):
        found += module.operations()
    return [*found, *sign_in.operations()]
