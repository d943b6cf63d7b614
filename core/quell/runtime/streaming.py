"""Streams of events of one tenant: put together from settings and plugins, kept by duties."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from quell.domain.ids import SourceId, TenantId
from quell.domain.ports import Clock
from quell.journal import Journal, sync_switches
from quell.plugins import Registry
from quell.runtime.connectors import Connectors
from quell.runtime.duty import Duty
from quell.settings import EventSettings
from quell.stream import StreamPolicy, Streams
from quell.stream.read import TableReader
from quell.stream.send import Sender

__all__ = ["make_streams", "replica_test", "stream_duties"]

logger = structlog.get_logger(__name__)

#: seconds between two looks for what waits to be sent; reading hastens it
SEND_EVERY = 5.0

IsReplica = Callable[[SourceId], Awaitable[bool]]


def make_streams(
    *,
    journal: Journal,
    tenant_id: TenantId,
    registry: Registry,
    connectors: Connectors,
    settings: EventSettings,
    clock: Clock,
    is_replica: IsReplica,
) -> Streams:
    """Build a tenant's streams. Raises SettingsError where its settings do not do."""
    reader, writer = connectors.context("reader"), connectors.context("sync")
    return Streams.build(
        journal=journal,
        tenant_id=tenant_id,
        # nothing is built for tenants that stream nothing, whose identities may not reach that far
        sources=[
            (source, spec.tables())
            for spec in registry.event_sources
            if settings.tables
            for source in spec.build(reader)
        ],
        sinks=[sink for spec in registry.event_sinks for sink in spec.build(writer)],
        policy=_policy(settings),
        clock=clock,
        is_replica=is_replica,
    )


def replica_test(journal: Journal, tenant_id: TenantId, mode_of: Callable[[str], str]) -> IsReplica:
    """Give the test whether quell makes the copies of incidents in a source, as settled now."""

    async def is_replica(source_id: SourceId) -> bool:
        mode = mode_of(source_id)
        if mode == "auto":
            settled = await journal.ask(sync_switches.modes(tenant_id))
            mode, _ = settled.get(source_id, (mode, ""))
        return mode == "replica"

    return is_replica


def stream_duties(
    streams: Streams, tenant_id: TenantId, every: float, hasten: Callable[[str], None]
) -> list[Duty]:
    """List the standing work: one duty for each table read and for each sink."""
    if not streams.readers and not streams.senders:
        return []
    senders = [f"events/send/{sender.sink.sink_id}" for sender in streams.senders]
    reading = [
        Duty(
            tenant_id=tenant_id,
            name=str(reader.cursor_id),
            work=_reading(streams, reader, senders, hasten),
            every=every,
        )
        for reader in streams.readers
    ]
    sending = [
        Duty(tenant_id=tenant_id, name=name, work=_sending(streams, sender), every=SEND_EVERY)
        for name, sender in zip(senders, streams.senders, strict=True)
    ]
    return [*reading, *sending]


def _reading(
    streams: Streams, reader: TableReader, senders: list[str], hasten: Callable[[str], None]
) -> Callable[[], Awaitable[None]]:
    async def read() -> None:
        report = await streams.read(reader)
        if report.is_held:
            logger.warning(
                "Table %s is not read on: too much of it waits to be taken in",
                reader.table.name,
                event_name="events_held",
            )
        if report.batches:
            for name in senders:
                hasten(name)

    return read


def _sending(streams: Streams, sender: Sender) -> Callable[[], Awaitable[None]]:
    async def send() -> None:
        await streams.send(sender)

    return send


def _policy(settings: EventSettings) -> StreamPolicy:
    return StreamPolicy(
        tables=settings.tables,
        when=settings.when,
        sinks=settings.sinks,
        overlap=timedelta(seconds=settings.overlap),
        lookback=timedelta(seconds=settings.lookback),
        spool_bytes=settings.spool_mb * 1024 * 1024,
    )
