"""What every decision of sync is made with; the same for all incidents of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quell.domain.ids import SourceId, TenantId
from quell.sync.policy import SyncPolicy
from quell.sync.routes import Routes
from quell.sync.sides import Sides

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Sources, policy, and what was settled once."""

    tenant_id: TenantId
    sides: Sides
    policy: SyncPolicy
    #: makes the keys of copied comments
    secret: bytes = field(repr=False)
    #: `replica` or `overlay` by mirror; one that `auto` has not settled yet is missing
    modes: Mapping[SourceId, str] = field(default_factory=dict[SourceId, str])
    #: which incidents are kept in step, and where they go
    routes: Routes = field(default_factory=Routes)
