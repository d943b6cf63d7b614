"""What is written down before it is sent: one write to one copy. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from quell.domain.hub import (
    Hub,
    IncidentWrite,
    Link,
    WriteKind,
    WriteState,
)
from quell.sync.remarks import (
    short_digest,
)

__all__ = ["PATIENT", "is_patient", "new_write", "superseded"]

#: what the keys of writes begin with that are left to somebody else for a while
PATIENT = "patient/"


def new_write(
    hub: Hub,
    *,
    link: Link | None,
    source_id: Any,
    kind: WriteKind,
    key: str,
    intended: Mapping[str, Any],
    now: datetime,
    not_before: datetime | None = None,
    caused_by: str | None = None,
) -> IncidentWrite:
    """Write down what shall be written. The same key is the same write."""
    return IncidentWrite(
        id=short_digest(hub.tenant_id, key),
        link_id=link.id if link else None,
        source_id=source_id,
        kind=kind,
        key=key,
        intended=dict(intended),
        planned_at=now,
        not_before=not_before,
        caused_by=caused_by,
    )


def is_patient(write: IncidentWrite) -> bool:
    """Tell whether a write waits for somebody else to make it unnecessary."""
    return write.key.startswith(PATIENT)


def superseded(write: IncidentWrite, reason: str) -> IncidentWrite:
    """Mark a write as no longer wanted."""
    return msgspec.structs.replace(write, state=WriteState.SUPERSEDED, error=reason)
