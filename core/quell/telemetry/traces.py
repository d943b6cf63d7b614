"""Sending traces to a collector, for those who installed the extra `otel` and named one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from quell.errors import QuellError, SettingsError
from quell.journal import Journal
from quell.journal.runs import RunRef
from quell.journal.stories import story
from quell.telemetry.spans import Span, spans_of

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Traces", "otlp_exporter"]

logger = structlog.get_logger(__name__)

#: seconds that the last spans get at the end of the process
LAST_WORDS = 3.0
#: seconds that one sending may take, with its repeats
PATIENCE = 5.0
#: stories that are being read at a time; a run more is not told: traces are pictures, not records
AT_ONCE = 200


def otlp_exporter(endpoint: str, headers: Mapping[str, str]) -> SpanExporter:
    """Build what sends spans over OTLP. Raises SettingsError where the extra is missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise SettingsError(
            name="traces.endpoint",
            problem="is set, and what sends traces is not installed",
            remedy="Install it: pip install 'quell[otel]'. Or remove the setting.",
        ) from error
    return OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=PATIENCE)


class Traces:
    """Tells a collector about runs that have ended, from the journal and beside the work."""

    def __init__(
        self,
        journal: Journal,
        exporter: SpanExporter,
        *,
        worker: str,
        clean: Callable[[str], str],
    ) -> None:
        # loaded only here: without traces, nobody pays for the library
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._journal = journal
        self._clean = clean
        self._exporter = exporter
        self._processor: SpanProcessor = BatchSpanProcessor(exporter)
        self._resource = Resource(
            {
                "service.name": "quell",
                "service.version": version("quell"),
                "service.instance.id": worker,
            }
        )
        self._telling: set[asyncio.Task[None]] = set()

    def ended(self, ref: RunRef) -> None:
        """Tell about a run that has just ended; on the event loop, and without waiting."""
        if len(self._telling) >= AT_ONCE:
            logger.debug("A trace was left out", event_name="trace_left_out")
            return
        telling = asyncio.create_task(self._tell(ref))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def aclose(self) -> None:
        """Send what is left, for a few seconds at most."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=LAST_WORDS)
        # the library's own flush waits for as long as the sender tries
        flushing = asyncio.ensure_future(asyncio.to_thread(self._processor.force_flush))
        _, late = await asyncio.wait({flushing}, timeout=LAST_WORDS)
        if late:
            self._exporter.shutdown()  # ends the pause between two tries
        await asyncio.to_thread(self._processor.shutdown)

    async def _tell(self, ref: RunRef) -> None:
        try:
            told = await self._journal.ask(story(ref))
        except QuellError:
            logger.debug("A trace was left out", event_name="trace_left_out")
            return
        for span in spans_of(told):
            self._processor.on_end(_readable(span, self._resource, self._clean))


def _readable(span: Span, resource: Resource, clean: Callable[[str], str]) -> ReadableSpan:
    """Put a span into the library's form, with everything of a secret's shape cut out."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id: int) -> SpanContext:
        sampled = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(span.trace_id, span_id, is_remote=False, trace_flags=sampled)

    return ReadableSpan(
        name=clean(span.name),
        context=context(span.span_id),
        parent=context(span.parent_id) if span.parent_id is not None else None,
        resource=resource,
        attributes={
            key: clean(value) if isinstance(value, str) else value
            for key, value in span.attributes.items()
        },
        events=[Event(name, timestamp=_nanos(at)) for name, at in span.moments.items()],
        kind=SpanKind.CLIENT if span.is_call else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR if span.is_error else StatusCode.UNSET),
        start_time=_nanos(span.start),
        end_time=_nanos(span.end),
        instrumentation_scope=InstrumentationScope("quell"),
    )


def _nanos(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * 1000
