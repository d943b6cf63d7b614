"""Every table of the journal. `tenant_id` leads each key; moments are UTC microseconds.

What a table's statements are is in the module of its noun. The migrations make exactly these
tables, and a test keeps the two equal on both engines.
"""

from quell.journal.tables.declare import metadata
from quell.journal.tables.effects import approvals, counters, effects, holds, targets
from quell.journal.tables.events import event_batches
from quell.journal.tables.incidents import (
    alerts,
    comment_copies,
    comments,
    conflicts,
    cursors,
    entities,
    entity_aliases,
    incident_entities,
    incident_writes,
    incidents,
    links,
    parked_items,
    revisions,
    tasks,
    webhook_events,
)
from quell.journal.tables.process import (
    audit,
    audit_heads,
    blobs,
    commits,
    leases,
    notices,
    switches,
    workers,
)
from quell.journal.tables.runs import (
    acted,
    activations,
    attempts,
    held_starts,
    playbooks,
    run_events,
    runs,
    steps,
)

__all__ = [
    "acted",
    "activations",
    "alerts",
    "approvals",
    "attempts",
    "audit",
    "audit_heads",
    "blobs",
    "comment_copies",
    "comments",
    "commits",
    "conflicts",
    "counters",
    "cursors",
    "effects",
    "entities",
    "entity_aliases",
    "event_batches",
    "held_starts",
    "holds",
    "incident_entities",
    "incident_writes",
    "incidents",
    "leases",
    "links",
    "metadata",
    "notices",
    "parked_items",
    "playbooks",
    "revisions",
    "run_events",
    "runs",
    "steps",
    "switches",
    "targets",
    "tasks",
    "webhook_events",
    "workers",
]
