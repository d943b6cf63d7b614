"""Sends what waits to one sink: taken in and forgotten, split, delayed, or put aside with a reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import structlog

from quell.domain.events import Delivery, EventSink
from quell.domain.ids import TenantId
from quell.domain.ports import Clock
from quell.errors import (
    AnswerNotFound,
    ConnectorError,
    PermissionMissing,
    QuellError,
    RequestRefused,
    SettingsError,
    Throttled,
)
from quell.journal import Journal, event_batches
from quell.journal.event_batches import Batch, NewBatch
from quell.stream.rows import halves

__all__ = ["SendReport", "Sender"]

logger = structlog.get_logger(__name__)

#: batches looked for in one go
LOOK = 16
#: wait after a failure, doubled each time up to the longest
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=15)
#: wait before a stream that was refused is tried again: a person has to do something first
REFUSED_WAIT = timedelta(minutes=5)
#: what is wrong with the stream and not with the rows
OF_THE_STREAM = (PermissionMissing, AnswerNotFound, SettingsError)
ALONE = (
    "a single row is larger than the service takes. It stays here until `quell events drop` "
    "gives it up."
)


class SendReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of sending came to."""

    batches: int = 0
    rows: int = 0
    #: batches that were put aside
    parked: int = 0
    #: what went wrong, with what to do
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """A report while it grows."""

    batches: int = 0
    rows: int = 0
    parked: int = 0
    #: the service as a whole cannot be used now
    is_over: bool = False
    problems: dict[str, None] = field(default_factory=dict[str, None])


class Sender:
    """Sends to one sink."""

    def __init__(
        self, *, journal: Journal, tenant_id: TenantId, sink: EventSink, clock: Clock
    ) -> None:
        self.sink = sink
        self._journal = journal
        self._tenant_id = tenant_id
        self._clock = clock

    async def send(self) -> SendReport:
        """Send all that is due, oldest first, until nothing is or the sink cannot be used.

        Dying anywhere in it costs at most a repeat, which the rows' keys make harmless.
        """
        tally = Tally()
        question = event_batches.due(self._tenant_id, self.sink.sink_id, limit=LOOK)
        while not tally.is_over and (found := await self._journal.ask(question)):
            refused: set[str] = set()
            for batch in found:
                if tally.is_over:
                    break
                # what else waits for a stream that was just refused would only be refused, too
                if batch.stream not in refused and not await self._send(batch, tally):
                    refused.add(batch.stream)
        return SendReport(
            batches=tally.batches,
            rows=tally.rows,
            parked=tally.parked,
            problems=tuple(tally.problems),
        )

    async def _send(self, batch: Batch, tally: Tally) -> bool:
        """Send one batch; False where its stream must not be used now."""
        try:
            delivery = await self.sink.send(batch.stream, batch.body)
        except QuellError as error:
            return await self._failed(batch, error, tally)
        if delivery is Delivery.TOO_LARGE:
            await self._split(batch, tally)
            return True
        await self._journal.commit(event_batches.taken(self._tenant_id, batch.id))
        tally.batches += 1
        tally.rows += batch.rows
        return True

    async def _split(self, batch: Batch, tally: Tally) -> None:
        parts = halves(batch.stream, batch.body)
        if parts is None:
            await self._park(batch, ALONE, tally, retry_after=None)
            return
        write = event_batches.replace(
            self._tenant_id,
            batch.id,
            [
                NewBatch(
                    id=f"{batch.id}.{place}",
                    sink_id=batch.sink_id,
                    **msgspec.structs.asdict(part),
                )
                for place, part in enumerate(parts)
            ],
        )
        await self._journal.commit(write)

    async def _failed(self, batch: Batch, error: QuellError, tally: Tally) -> bool:
        text = f"{error}. {error.remedy}"
        tally.problems[f"{batch.stream}: {text}"] = None
        if isinstance(error, OF_THE_STREAM):
            await self._park(batch, text, tally, retry_after=REFUSED_WAIT)
            return False
        if isinstance(error, RequestRefused):
            await self._park(batch, text, tally, retry_after=None)
            return True
        if not isinstance(error, ConnectorError):
            raise error
        await self._delay(batch, text, _wait(batch, error))
        # no answer, no token or no leave: the next batch would fare no better
        tally.is_over = True
        return False

    async def _park(
        self, batch: Batch, text: str, tally: Tally, *, retry_after: timedelta | None
    ) -> None:
        logger.warning(
            "Events for %s are refused: %s", batch.stream, text, event_name="events_refused"
        )
        retry_at = self._clock.now() + retry_after if retry_after is not None else None
        await self._journal.commit(event_batches.park(self._tenant_id, batch, text, retry_at))
        tally.parked += 1

    async def _delay(self, batch: Batch, text: str, wait: timedelta) -> None:
        until = self._clock.now() + wait
        await self._journal.commit(event_batches.delay(self._tenant_id, batch.id, text, until))


def _wait(batch: Batch, error: ConnectorError) -> timedelta:
    """Wait as long as the service asks for, or longer each time where it does not say."""
    asked: float | None = getattr(error, "retry_after", None)
    if isinstance(error, Throttled) and asked is not None:
        return timedelta(seconds=asked)
    doubled: timedelta = FIRST_WAIT * 2.0 ** min(batch.attempts, 10)
    return max(min(doubled, LONGEST_WAIT), timedelta(seconds=asked or 0))
