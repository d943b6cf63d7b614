"""What can be set: every setting of the core, with its type, its default and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from quell.domain.secret import Secret
from quell.errors import SettingsError

__all__ = [
    "CapSettings",
    "CoreSettings",
    "EventSettings",
    "GuardSettings",
    "HttpSettings",
    "IsolationSettings",
    "LimitSettings",
    "LoggingSettings",
    "RouteSettings",
    "Settings",
    "SyncSettings",
    "TenantSettings",
    "TenantTable",
    "TraceSettings",
    "WorkerSettings",
]

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

DEFAULT_STATE_DIR = Path("~/.local/state/quell")


class CapSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may happen before a person is asked."""

    #: guarded effects that one run may have
    per_run: Count = 20
    #: guarded effects of one kind (contain, deny, remediate) in any hour
    per_hour: Count = 60
    #: guarded effects that may be under way at a time
    in_flight: Count = 20


class GuardSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may happen without a person, what never may, and how much of it."""

    #: guarded actions that need nobody's leave, e.g. `device.isolate`; all others are asked about
    auto: tuple[str, ...] = ()
    #: entities never to be touched: `alias kind:pattern`, e.g. `upn:ceo@example.com`, `host:srv-*`
    protected: tuple[str, ...] = ()
    #: system to use where several offer one action, by action name
    systems: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    #: seconds after which a change starts nothing above a comment, where a playbook does not say
    max_age: Seconds = 7200.0
    #: how much may happen before a person is asked
    caps: CapSettings = CapSettings()


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where copies of some incidents are made."""

    #: sources that such incidents are copied to, by id, e.g. `["sentinel"]`
    to: tuple[str, ...]
    #: CEL about `incident`, as in a playbook; all routes that hold are taken together
    when: str = "true"


class SyncSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How copies of incidents are made and kept in step."""

    #: `replica` makes copies itself; `overlay` first waits for the vendor's own copy
    mode: Literal["auto", "overlay", "replica"] = "auto"
    #: the same for single sources, by id, e.g. `{sentinel = "overlay"}`
    modes: dict[str, Literal["auto", "overlay", "replica"]] = msgspec.field(
        default_factory=dict[str, Literal["auto", "overlay", "replica"]]
    )
    #: seconds to wait for the vendor's own copy in `overlay` before making one
    grace: Seconds = 600.0
    #: seconds that a field which the vendor's own connector carries may stay apart before we write
    patience: Seconds = 900.0
    #: CEL about `incident`, as in a playbook: what is copied and kept in step; empty for all
    filter: str = ""
    #: where copies are made; without any, in every source that they can be made in
    routes: tuple[RouteSettings, ...] = ()
    #: who wins when both sides changed one field: `latest`, or the name of a system
    default: str = "latest"
    #: the same for single fields, e.g. `{status = "sentinel"}`
    fields: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    #: fields that are not kept in step, e.g. `["owner"]`
    ignored: frozenset[str] = frozenset()
    #: incidents written to per minute after the drift of a first contact was accepted
    accepted_per_minute: Count = 120
    #: systems whose users' changes may set off containment, besides the one that detects
    authority: frozenset[str] = frozenset()
    #: comment once on open incidents to which a related one began where copies are made
    mirror_native: bool = False


class EventSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events are streamed besides incidents: alerts, evidence and raw tables."""

    #: tables by name or pattern, e.g. `["Alerts", "Device*"]`; `quell events tables` lists them
    tables: tuple[str, ...] = ()
    #: `replica` streams only to where quell itself makes the copies of incidents
    when: Literal["always", "replica"] = "always"
    #: where they go, by id; without any, to every place that is set up
    sinks: tuple[str, ...] = ()
    #: seconds between two reads of a table
    every: Annotated[float, msgspec.Meta(ge=1)] = 300.0
    #: seconds that each read goes back: rows become visible late, and what is later still is lost
    overlap: Seconds = 1800.0
    #: seconds that the first read of a table goes back
    lookback: Seconds = 3600.0
    #: megabytes of one table that may wait to be taken in; then it is not read on
    spool_mb: Count = 256


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged, to standard error."""

    #: least severe level that is logged
    level: Literal["debug", "info", "warning", "error"] = "info"
    #: `text` for people, `json` for machines
    format: Literal["text", "json"] = "text"


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The small web door: health, readiness, metrics and webhooks."""

    #: address that it listens on; put a proxy with TLS before it to let others in
    bind: str = "127.0.0.1"
    #: port that it listens on; 0 for no web door
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Traces of runs, for those who installed the extra `otel`."""

    #: collector that takes OTLP over HTTP, e.g. `http://127.0.0.1:4318/v1/traces`; empty for none
    endpoint: str = ""
    #: headers sent with them, e.g. a key of the collector's
    headers: dict[str, Secret] = msgspec.field(default_factory=dict[str, Secret])


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one process takes on, and how it leaves."""

    #: runs that one process drives at once
    runs_in_flight: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 200
    #: seconds that steps in hand get to end after SIGTERM; a second signal ends them at once
    grace: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the fleet one tenant may have."""

    #: runs of a tenant in hand in the whole fleet, a fifth kept for containment; 0 for no limit
    runs_in_flight: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    #: the same for single playbooks, by name, e.g. `{enrich_user = 20}`
    by_playbook: dict[str, Count] = msgspec.field(default_factory=dict[str, Count])
    #: runs of a tenant that may wait for a worker; beyond it all but containment is held back
    queued_at_most: Count = 50_000


class IsolationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which actions run in child processes, besides those that ask for it, and within what limits."""

    #: actions by name, e.g. `["device.isolate"]`
    actions: tuple[str, ...] = ()
    #: plugins whose actions and look-ups all do, e.g. `["switch"]`
    plugins: tuple[str, ...] = ()
    #: child processes that may run at a time in one worker
    processes: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    #: megabytes that one call may take, beyond what its loaded plugin takes
    memory_mb: Annotated[int, msgspec.Meta(ge=16, le=1_000_000)] = 512
    #: seconds of processor time that one call may take
    cpu_seconds: Count = 60
    #: files and connections that one call may have open
    open_files: Annotated[int, msgspec.Meta(ge=16, le=1_000_000)] = 64


class CoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings outside of any section."""

    #: folder for the journal and everything else that quell writes
    state_dir: Path = DEFAULT_STATE_DIR
    #: database of the journal: `sqlite:///PATH` (default: in `state_dir`) or `postgresql://…`
    journal: Secret | None = None
    #: Redis that carries wake-ups and shared quota in a fleet, e.g. `redis://127.0.0.1:6379/0`
    redis_url: Secret | None = None
    guard: GuardSettings = GuardSettings()
    sync: SyncSettings = SyncSettings()
    events: EventSettings = EventSettings()
    logging: LoggingSettings = LoggingSettings()
    http: HttpSettings = HttpSettings()
    worker: WorkerSettings = WorkerSettings()
    limits: LimitSettings = LimitSettings()
    isolation: IsolationSettings = IsolationSettings()
    traces: TraceSettings = TraceSettings()


class TenantTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The core's own settings of one tenant; plugins add sections beside them."""

    #: the tenant is a simulator's: effects are armed from the start
    simulated: bool = False
    #: how many times faster than documented this tenant's products really may be called
    quota_scale: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    #: by system (`defender`, `sentinel`, …), the key that `/webhooks/SYSTEM` is signed with
    webhooks: dict[str, Secret] = msgspec.field(default_factory=dict[str, Secret])
    #: overrides of `[guard]` for this tenant
    guard: GuardSettings = GuardSettings()
    #: overrides of `[sync]` for this tenant
    sync: SyncSettings = SyncSettings()
    #: overrides of `[events]` for this tenant
    events: EventSettings = EventSettings()
    #: overrides of `[limits]` for this tenant
    limits: LimitSettings = LimitSettings()


class TenantSettings(TenantTable, frozen=True, kw_only=True):
    """Everything that is set for one tenant."""

    name: str
    #: plugins' sections by name, each a value of the model that the plugin declared
    sections: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    #: plugins' sections that are the same for all tenants
    shared: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    def section(self, model: type[T]) -> T:
        """Give the values of a plugin's section; without any, its defaults."""
        return _section({**self.shared, **self.sections}, model, f"tenant.{self.name}")


class Settings(CoreSettings, frozen=True, kw_only=True):
    """All settings of one process."""

    tenants: dict[str, TenantSettings] = msgspec.field(default_factory=dict[str, TenantSettings])
    #: plugins' sections that do not differ by tenant, by name
    sections: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    #: the file that was read, if any
    path: Path | None = None
    #: where each value that was set came from, by dotted name; what is missing is a default
    origins: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    #: sections that belong to no plugin that could be loaded
    ignored: tuple[str, ...] = ()

    @property
    def journal_url(self) -> str:
        """Give the journal's URL; it may hold a password, so hand it on and never print it."""
        return default_journal(self.state_dir) if self.journal is None else self.journal.reveal()

    def section(self, model: type[T]) -> T:
        """Give the values of a plugin's section that does not differ by tenant."""
        return _section(self.sections, model, "plugin")

    def tenant(self, name: str | None = None) -> TenantSettings:
        """Find a tenant by name; without a name, the only one there is."""
        if not self.tenants:
            raise SettingsError(
                name="tenant",
                problem="no tenant is configured",
                where=str(self.path or ""),
                remedy="Write a configuration with `quell config init`, or try `quell demo`, "
                "which needs none.",
            )
        if name is None and len(self.tenants) == 1:
            return next(iter(self.tenants.values()))
        if name is None or name not in self.tenants:
            known = ", ".join(sorted(self.tenants))
            problem = f"there is no tenant {name!r}" if name else "several tenants are configured"
            raise SettingsError(
                name="tenant", problem=problem, remedy=f"Choose one with --tenant: {known}."
            )
        return self.tenants[name]


def default_journal(state_dir: Path) -> str:
    """Give the URL of the journal of one host: a file in the state folder."""
    return f"sqlite:///{state_dir / 'quell.sqlite3'}"


def _section(sections: Mapping[str, Any], model: type[T], table: str) -> T:
    for value in sections.values():
        if type(value) is model:
            found: T = value
            return found
    try:
        return msgspec.convert({}, model)
    except msgspec.ValidationError as error:
        raise SettingsError(
            name=table,
            problem=f"has no section for {model.__name__}, and not all of it has defaults",
            remedy="Add the section; docs/reference/settings.md lists each with its settings.",
        ) from error
