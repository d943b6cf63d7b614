"""The identifiers of quell, one type for each noun so that they cannot be mixed up."""

from __future__ import annotations

from typing import NewType

__all__ = [
    "ApprovalId",
    "EntityId",
    "IncidentId",
    "LinkId",
    "RunId",
    "SourceId",
    "StepKey",
    "TenantId",
    "WorkerId",
]

#: one Entra tenant, as named in the settings; part of every key
TenantId = NewType("TenantId", str)
#: one product instance that incidents come from or go to, as named in the settings
SourceId = NewType("SourceId", str)
#: the canonical incident (the hub), not any product's number
IncidentId = NewType("IncidentId", str)
#: one product's copy of an incident
LinkId = NewType("LinkId", str)
#: the canonical entity
EntityId = NewType("EntityId", str)
RunId = NewType("RunId", str)
#: a step of a run, with the item's index inside `for_each`: `notify` or `notify[2].page`
StepKey = NewType("StepKey", str)
ApprovalId = NewType("ApprovalId", str)
#: host, process and epoch of one worker
WorkerId = NewType("WorkerId", str)
