"""quell: keeps security incident queues in step and answers them with durable playbooks.

This is the public face: what a plugin author imports. It loads no database, no message
broker and no HTTP client.
"""

from quell.domain.action import (
    Action,
    Call,
    Effect,
    NoParams,
    Resolution,
    Resolver,
    Target,
    Trait,
    Unresolved,
    action,
    resolver,
)
from quell.domain.entity import Device, MailMessage, User
from quell.domain.offers import (
    Check,
    CheckResult,
    ConnectorContext,
    ConnectorSpec,
    Notice,
    SettingsSection,
    SourceSpec,
    WebhookEvent,
)
from quell.domain.outcome import (
    Failed,
    Observation,
    Observed,
    Operation,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
    cannot_tell,
    not_so,
    so,
)
from quell.domain.ports import (
    IncidentDesk,
    IncidentSource,
    ObservedIncident,
    OperationClass,
    PolledPage,
)
from quell.domain.simulator import SimulatorSpec
from quell.hookspecs import hookimpl

__all__ = [
    "Action",
    "Call",
    "Check",
    "CheckResult",
    "ConnectorContext",
    "ConnectorSpec",
    "Device",
    "Effect",
    "Failed",
    "IncidentDesk",
    "IncidentSource",
    "MailMessage",
    "NoParams",
    "Notice",
    "Observation",
    "Observed",
    "ObservedIncident",
    "Operation",
    "OperationClass",
    "Outcome",
    "Pending",
    "PolledPage",
    "Resolution",
    "Resolver",
    "SettingsSection",
    "SimulatorSpec",
    "SourceSpec",
    "Succeeded",
    "Target",
    "Trait",
    "Unknown",
    "Unresolved",
    "User",
    "WebhookEvent",
    "action",
    "cannot_tell",
    "hookimpl",
    "not_so",
    "resolver",
    "so",
]
