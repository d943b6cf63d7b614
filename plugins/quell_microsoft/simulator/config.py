"""The knobs of the simulated tenant; each can be set at start and turned while it runs."""

from __future__ import annotations

from typing import Any

import msgspec


class WorkspaceConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One Sentinel workspace under the tenant's subscription."""

    resource_group: str
    name: str


class SimulatorConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set; the defaults are a well-behaved tenant."""

    #: multiplies every documented rate limit; 0 switches throttling off
    throttle_scale: float = 1.0
    #: tenant seconds before a new or changed incident shows up in lists
    lag_seconds: float = 0.0
    #: the same for Sentinel incidents in lists over ARM
    sentinel_lag_seconds: float = 0.0
    #: resolving an incident resolves its alerts (Assumed: as the portal does)
    resolve_cascades: bool = True
    #: assigning an incident assigns its alerts (documented for the portal)
    assign_cascades: bool = True
    #: ids of incidents that answer 500 whenever their alerts are expanded
    poison_incidents: list[str] = []
    #: ids of incidents or alerts, or names of Sentinel incidents, that break every page they are on
    poison_rows: list[str] = []
    #: lists come in their default order whatever `$orderby` says
    ignore_orderby: bool = False
    #: pages hold no more rows than that; 0 leaves them as asked for
    short_pages: int = 0
    #: every page comes twice, the second time by its own link
    repeat_pages: bool = False
    #: the next link leads to the same page for ever
    stuck_pages: bool = False
    #: host and port that next links lead to, in place of the one that was called
    next_link_host: str = ""
    #: tenant seconds from request to start, and from start to end, of a machine action
    action_pending_seconds: float = 5.0
    action_running_seconds: float = 10.0
    #: tenant seconds after which an action on an offline device times out (Assumed: 3 days)
    action_timeout_seconds: float = 259_200.0
    #: how machine actions end, by type: Succeeded, Failed or TimeOut
    action_results: dict[str, str] = {}
    #: second request of the same kind while one is open: refuse, echo or accept
    duplicate_action: str = "refuse"
    #: whether accountEnabled of synced users can be written in Entra (Assumed: refused)
    synced_users_writable: bool = False
    #: tenant seconds between directory sync cycles
    directory_sync_seconds: float = 1800.0
    #: tenant seconds until a mail remediation shows in latestDelivery
    mail_delay_seconds: float = 20.0
    mail_active_limit: int = 50
    #: identity providers that invokeAction serves (Assumed: Entra is refused)
    identity_providers: list[str] = msgspec.field(
        default_factory=lambda: ["activeDirectory", "okta"]
    )
    #: hunting answers 429 for want of CPU while this is on
    hunting_cpu_exhausted: bool = False
    #: Microsoft's own connector copies Defender incidents into the first workspace
    connector: bool = False
    #: on, but nothing travels until it is turned back; then the last state does
    connector_stuck: bool = False
    #: tenant seconds until a new incident has its copy (documented: up to 600)
    connector_delay_seconds: float = 300.0
    #: tenant seconds until a change travels, together with later ones (documented: at once in the
    #: Azure portal, 300 to 600 in the Defender portal)
    connector_field_seconds: float = 0.0
    #: fields that do not travel; `description` is reported missing by many
    connector_leaves_out: list[str] = []
    #: incidents from before it was switched on get copies too (Assumed: not documented)
    connector_backfill: bool = True
    connector_provider: str = "Microsoft XDR"
    #: how many percent of Sentinel PUTs with a good etag answer 409 all the same
    spurious_conflict_percent: int = 0
    #: names of Sentinel incidents that always change before a PUT arrives; `*` is all of them
    restless_incidents: list[str] = []
    #: how many percent of the rows that ingestion took never reach their table
    ingestion_loss_percent: int = 0
    token_lifetime_seconds: int = 3599
    #: how far the services' clock is ahead of ours: the Date header, sign-in and every stamp
    clock_skew_seconds: float = 0.0
    workspaces: list[WorkspaceConfig] = msgspec.field(
        default_factory=lambda: [
            WorkspaceConfig(resource_group="rg-soc", name="ws-soc"),
            WorkspaceConfig(resource_group="rg-soc", name="ws-branch"),
        ]
    )
    seed: int = 20_26


def changed(config: SimulatorConfig, changes: dict[str, Any]) -> SimulatorConfig:
    """Give the configuration with some knobs turned; raises `msgspec.ValidationError`."""
    return msgspec.convert(msgspec.to_builtins(config) | changes, SimulatorConfig, strict=False)
