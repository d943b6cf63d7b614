"""Putting one tenant together from its settings and from what plugins offer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from quell.domain.action import Action, Resolver
from quell.domain.ids import TenantId
from quell.domain.ports import IncidentDesk, IncidentSource, OperationClass, Rate
from quell.domain.urgency import USUAL
from quell.engine import Caps, Engine, GuardPolicy
from quell.engine.pressure import Pressure
from quell.isolation.isolation import Isolation
from quell.journal import keys, switches
from quell.journal.admission import Limits
from quell.playbooks import Catalogue
from quell.plugins import Registry
from quell.quota import MemoryQuota, WatchedQuota
from quell.runtime.connectors import Connectors
from quell.runtime.streaming import make_streams, replica_test
from quell.runtime.tenant import TenantRuntime
from quell.settings import GuardSettings, SyncSettings, TenantSettings
from quell.sync import Part, Sync, SyncPolicy, SyncRoute

if TYPE_CHECKING:
    from quell.runtime.process import Runtime

__all__ = ["TenantRegistry", "assemble"]

Close = Callable[[], Awaitable[None]]


class TenantRegistry:
    """What the engine asks for: actions, resolvers, and connectors of one tenant."""

    def __init__(self, registry: Registry, connectors: Connectors) -> None:
        self._registry = registry
        self._connectors = connectors
        self.catalogue = Catalogue(registry.actions)

    def actions(self, name: str, system: str | None = None) -> tuple[Action, ...]:
        """List the implementations of an action."""
        return self._registry.find_actions(name, system)

    def resolver(self, target: type) -> Resolver | None:
        """Find how entities of a class are looked up."""
        return next(iter(self._registry.find_resolvers(target)), None)

    def connectors(self, function: Callable[..., Any], identity: str) -> dict[str, Any]:
        """Give the connectors that a function asks for."""
        return self._connectors.for_function(function, identity)


def assemble(runtime: Runtime, settings: TenantSettings) -> TenantRuntime:
    """Build a tenant. Raises SettingsError where its settings do not do."""
    tenant_id = TenantId(settings.name)
    if settings.simulated:
        # nothing real can be hurt there; a real tenant starts disarmed
        armed = switches.arm_once(tenant_id, by="settings", reason="simulated = true")
        runtime.journal.commit_now(armed)
    quota = _make_quota(runtime, settings)
    connectors = Connectors(
        tenant_id,
        runtime.registry.connectors,
        settings.section,
        runtime.clock,
        quota,
    )
    connectors.at_end(quota.aclose)
    sources = _make_sources(runtime.registry, connectors)
    policy = _sync_policy(settings.sync)
    sync = Sync(
        journal=runtime.journal,
        tenant_id=tenant_id,
        sources=sources,
        policy=policy,
        clock=runtime.clock,
        worker=runtime.worker_id,
        wake=lambda: None,
        hmac_key=runtime.journal.commit_now(keys.comment_key(tenant_id)),
    )
    connectors.offer(IncidentDesk, sync.desk)
    pressure = Pressure(runtime.journal, tenant_id, settings.limits.queued_at_most)
    return TenantRuntime(
        tenant_id=tenant_id,
        journal=runtime.journal,
        connectors=connectors,
        quota=quota,
        sources=sources,
        sync=sync,
        streams=make_streams(
            journal=runtime.journal,
            tenant_id=tenant_id,
            registry=runtime.registry,
            connectors=connectors,
            settings=settings.events,
            clock=runtime.clock,
            is_replica=replica_test(runtime.journal, tenant_id, policy.mode_of),
        ),
        events_every=settings.events.every,
        engine=_make_engine(runtime, settings, connectors, sources, pressure),
        notifiers=runtime.registry.notifiers,
        limits=Limits(
            in_flight=settings.limits.runs_in_flight, by_playbook=settings.limits.by_playbook
        ),
        pressure=pressure,
    )


def _make_engine(
    runtime: Runtime,
    settings: TenantSettings,
    connectors: Connectors,
    sources: list[tuple[IncidentSource, Part]],
    pressure: Pressure,
) -> Engine:
    believed = frozenset(
        str(source.source_id)
        for source, part in sources
        if part == "detects" or source.system in settings.sync.authority
    )
    return Engine(
        journal=runtime.journal,
        tenant_id=TenantId(settings.name),
        registry=TenantRegistry(runtime.registry, connectors),
        policy=_guard_policy(settings.guard, believed),
        clock=runtime.clock,
        worker=runtime.worker_id,
        wake=lambda ref: runtime.wake(ref, USUAL),
        rouse=lambda ref, priority: runtime.wake(ref, priority),
        heartbeat=runtime.heartbeat,
        pressure=pressure,
        ended=runtime.ended,
        isolation=Isolation(
            runtime.child_processes,
            runtime.registry,
            connectors,
            TenantId(settings.name),
            runtime.clock,
        ),
    )


def _make_sources(registry: Registry, connectors: Connectors) -> list[tuple[IncidentSource, Part]]:
    context = connectors.context("reader")
    return [(source, spec.part) for spec in registry.sources for source in spec.build(context)]


def _make_quota(runtime: Runtime, settings: TenantSettings) -> WatchedQuota:
    rates: dict[OperationClass, Rate] = {}
    for spec in runtime.registry.connectors.values():
        rates |= spec.rates
    scale = settings.quota_scale
    if runtime.settings.redis_url is None:
        return MemoryQuota(rates, runtime.clock, scale=scale)
    from quell.quota.redis import RedisQuota  # costs 140 ms that one process alone never needs

    url = runtime.settings.redis_url.reveal()
    return RedisQuota(url, TenantId(settings.name), rates, runtime.clock, scale=scale)


def _sync_policy(settings: SyncSettings) -> SyncPolicy:
    return SyncPolicy(
        mode=settings.mode,
        modes=settings.modes,
        grace=timedelta(seconds=settings.grace),
        patience=timedelta(seconds=settings.patience),
        filter=settings.filter,
        routes=tuple(SyncRoute(to=one.to, when=one.when) for one in settings.routes),
        default=settings.default,
        fields=settings.fields,
        ignored=settings.ignored,
        accepted_per_minute=settings.accepted_per_minute,
        authority=settings.authority,
        mirror_native=settings.mirror_native,
    )


def _guard_policy(settings: GuardSettings, believed: frozenset[str]) -> GuardPolicy:
    caps = settings.caps
    return GuardPolicy(
        auto=frozenset(settings.auto),
        protected=settings.protected,
        systems=settings.systems,
        max_age=timedelta(seconds=settings.max_age),
        authority=believed,
        caps=Caps(per_run=caps.per_run, per_hour=caps.per_hour, in_flight=caps.in_flight),
    )
