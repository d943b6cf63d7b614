"""App registrations: who may sign in to the tenant, and what each may do."""

from __future__ import annotations

from dataclasses import dataclass, field

from quell_microsoft.simulator.wire import Api

GRAPH_SYNC = ("SecurityIncident.ReadWrite.All", "SecurityAlert.Read.All")
GRAPH_WIDE = ("SecurityAlert.ReadWrite.All", "SecurityData.Manage.All")
GRAPH_READ = (
    "SecurityIncident.Read.All",
    "SecurityAlert.Read.All",
    "ThreatHunting.Read.All",
    "User.Read.All",
    "SecurityAnalyzedMessage.Read.All",
    "SecurityIdentitiesAccount.Read.All",
)
GRAPH_USER = (
    "User.Read.All",
    "User.EnableDisableAccount.All",
    "User.RevokeSessions.All",
    "SecurityIdentitiesAccount.Read.All",
    "SecurityIdentitiesActions.ReadWrite.All",
)
GRAPH_MAIL = ("SecurityAnalyzedMessage.ReadWrite.All",)
ENDPOINT_DEVICE = ("Machine.Isolate", "Machine.Read.All")
ENDPOINT_ALL = (
    "Machine.Isolate",
    "Machine.Read.All",
    "Machine.ReadWrite.All",
    "Machine.RestrictExecution",
    "Machine.Scan",
    "Machine.CollectForensics",
    "Machine.StopAndQuarantine",
    "Machine.Offboard",
)
SENTINEL_READER = "Microsoft Sentinel Reader"
SENTINEL_RESPONDER = "Microsoft Sentinel Responder"
SENTINEL_CONTRIBUTOR = "Microsoft Sentinel Contributor"
METRICS_PUBLISHER = "Monitoring Metrics Publisher"
LOG_READER = "Log Analytics Reader"


@dataclass(slots=True, kw_only=True)
class Registration:
    """One app: its name in `API-App:<name>`, its proofs and its grants per API."""

    name: str
    client_id: str
    client_secret: str = field(repr=False)
    object_id: str
    grants: dict[Api, tuple[str, ...]]
    #: PEM of the certificate that a client assertion must be signed with, if one is set
    certificate: str | None = None
    is_secret_expired: bool = False


def grants_of(role: str) -> dict[Api, tuple[str, ...]]:
    """Give the least grants of one of quell's identities, or all of them."""
    table: dict[str, dict[Api, tuple[str, ...]]] = {
        "reader": {
            Api.GRAPH: GRAPH_READ,
            Api.ENDPOINT: ("Machine.Read.All",),
            Api.ARM: (SENTINEL_READER,),
            Api.LOGS: (LOG_READER,),
        },
        "sync": {
            Api.GRAPH: GRAPH_SYNC,
            Api.ARM: (SENTINEL_RESPONDER,),
            Api.INGESTION: (METRICS_PUBLISHER,),
        },
        "device": {Api.ENDPOINT: ENDPOINT_DEVICE},
        "user": {Api.GRAPH: GRAPH_USER},
        "mail": {Api.GRAPH: GRAPH_MAIL},
        "nothing": {},
    }
    everything: dict[Api, tuple[str, ...]] = {
        Api.GRAPH: tuple(
            dict.fromkeys((*GRAPH_SYNC, *GRAPH_READ, *GRAPH_USER, *GRAPH_MAIL, *GRAPH_WIDE))
        ),
        Api.ENDPOINT: ENDPOINT_ALL,
        Api.ARM: (SENTINEL_CONTRIBUTOR,),
        Api.INGESTION: (METRICS_PUBLISHER,),
        Api.LOGS: (LOG_READER,),
    }
    return table.get(role, everything)


ROLES = ("reader", "sync", "device", "user", "mail", "nothing", "everything")
