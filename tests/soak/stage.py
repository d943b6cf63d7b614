"""Where a sequence is played: two queues, a journal that may die, and quell between them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Literal, TypeVar

from tests.soak.acts import PEOPLE, Act, Scene
from tests.soak.copier import CARRIED, Copier
from tests.soak.ledger import Ledger
from tests.soak.people import People
from tests.soak.products import (
    LiveDetector,
    LiveMirror,
    LiveSource,
    SkewedClock,
    Surroundings,
    Trouble,
)
from tests.sync_model import ManualClock

from quell.domain.ids import TenantId, WorkerId
from quell.errors import (
    ConnectorError,
    ServerFailure,
    StateError,
    Throttled,
    Unreachable,
    WriteConflict,
)
from quell.journal import Journal, Question, Write, incident_writes, links
from quell.sync import Sync, SyncPolicy, SyncReport
from quell.sync.sides import Part

__all__ = ["Died", "NeverQuiet", "Stage"]

T = TypeVar("T")
#: passes after which everything must be quiet
PATIENCE = 12
FAULTS: list[Callable[[], ConnectorError]] = [
    lambda: Unreachable(endpoint="model"),
    lambda: ServerFailure(endpoint="model", status=503),
    lambda: Throttled(endpoint="model", status=429, retry_after=30.0),
    lambda: WriteConflict(endpoint="model", status=409),
]
FAILING = (
    "update",
    "comment",
    "create",
    "fetch",
    "poll",
    "find_comment",
    "edit_comment",
    "put_task",
    "sweep",
)


class Died(BaseException):
    """The process is gone. No `except` of the program may catch it."""


class NeverQuiet(AssertionError):
    """Nobody does anything any more, and sync still goes on."""


class StageJournal:
    """The journal, taken in turns that repeat; it is gone when the process is."""

    def __init__(self, journal: Journal, moment: Callable[[str], None]) -> None:
        self._journal = journal
        self._moment = moment

    async def commit(self, write: Write[T]) -> T:
        await asyncio.sleep(0)
        self._moment("before a commit")
        result = self._journal.commit_now(write)
        self._moment("after a commit")
        return result

    async def ask(self, question: Question[T]) -> T:
        await asyncio.sleep(0)
        return self._journal.ask_now(question)


class Stage:
    """One tenant, from its first incident to the end of its sequence."""

    def __init__(self, journal: Journal, clock: ManualClock, tenant: str, scene: Scene) -> None:
        self.journal = journal
        self.clock = clock
        self.tenant_id = TenantId(tenant)
        self.scene = scene
        self.ledger = Ledger()
        around = Surroundings(self.ledger, clock, self.moment)
        self.origin = LiveDetector(SkewedClock(clock, scene.skew[0]), "origin", around)
        names = ["mirror", "second"][: scene.mirrors]
        self.mirrors = [
            LiveMirror(SkewedClock(clock, scene.skew[1]), name, around) for name in names
        ]
        for source in self.sources:
            self._equip(source)
        self.copier: Copier | None = None
        if scene.has_copier:
            self.mirrors[0].carried = CARRIED
            lag = timedelta(minutes=scene.copier_lag)
            self.copier = Copier(self.origin, self.mirrors[0], lag)
        self.people = People(self)
        self._moments = 0
        self._during: list[tuple[int, Act]] = []
        self._dies_at = 0
        self._is_dead = False
        self._workers = itertools.count()
        self._wall = StageJournal(journal, self.moment)
        self.sync = self.fresh_sync()

    @property
    def sources(self) -> list[LiveSource]:
        """List the products, where incidents begin first."""
        return [self.origin, *self.mirrors]

    def _equip(self, source: LiveSource) -> None:
        source.page_size = self.scene.page_size
        source.has_counts = self.scene.has_counts
        source.comments_at_most = self.scene.comments_at_most
        if isinstance(source, LiveMirror):
            source.comment_limit = self.scene.comment_limit
        else:
            source.tells_news = self.scene.tells_news
            source.tasks_at_most = 0  # it knows of none

    def fresh_sync(self) -> Sync:
        """Make a sync as another process would: nothing is shared but journal and products."""
        mirrors: list[tuple[LiveSource, Part]] = [(one, "mirrors") for one in self.mirrors]
        return Sync(
            journal=self._wall,  # type: ignore[arg-type] # a journal but for its death
            tenant_id=self.tenant_id,
            sources=[(self.origin, "detects"), *mirrors],
            policy=SyncPolicy(mode=self.scene.mode, default=self.scene.winner),  # type: ignore[arg-type] # one of its modes
            clock=self.clock,
            worker=WorkerId(f"{self.tenant_id}-{next(self._workers)}"),
            wake=lambda: None,
            hmac_key=b"0123456789abcdef",
        )

    # -- moments -------------------------------------------------------------------------------

    def moment(self, name: str) -> None:
        """Let happen what is due at this call or journal write, the end of the process too."""
        if self._is_dead:
            raise Died
        self._moments += 1
        while self._during and self._during[0][0] <= self._moments:
            self.people.act(self._during.pop(0)[1])
        if self._dies_at and self._moments >= self._dies_at:
            self._is_dead = True
            self.ledger.counts["crashes"] += 1
            raise Died

    # -- acts ----------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Sweep once while there is nothing: from here on sweeps look closely at what changed."""
        for source in self.sources:
            await self.sync.sweep(source.source_id)

    async def play(self, act: Act) -> None:
        """Let one thing happen."""
        if act.kind in {"ask desk", "tell desk"}:
            await self._survive(self.people.at_desk(act))
        elif act.kind in PEOPLE:
            self.people.act(act)
        elif act.kind in {"pass", "two passes"}:
            await self.run_pass(act)
        else:
            await self._fate(act)

    async def _fate(self, act: Act) -> None:
        source = self.sources[act.a % len(self.sources)]
        if act.kind == "wait":
            self.clock.advance(minutes=(0.1, 1, 6, 20)[act.a % 4])
        elif act.kind == "fail":
            call = FAILING[act.b % len(FAILING)]
            trouble = Trouble(call, FAULTS[act.c % len(FAULTS)](), is_after=bool(act.d % 2))
            if not (trouble.is_after and isinstance(trouble.error, WriteConflict)):
                source.troubles.append(trouble)
        elif act.kind == "hide" and source.records:
            native_id = list(source.records)[act.b % len(source.records)]
            source.hide(native_id, 1 + act.c % 8, wholly=bool(act.d % 2))
        elif act.kind == "poll":
            await self._survive(self.sync.poll(source.source_id))
        elif act.kind == "write":
            await self._survive(self.sync.apply_writes())
        elif act.kind == "copy" and self.copier is not None:
            self.copier.work()
        elif act.kind == "accept":
            await self._survive(self.sync.accept(None, "somebody"))
        elif act.kind == "mode" and self.scene.mode == "auto":
            mirror = self.mirrors[act.a % len(self.mirrors)]
            mode: Literal["overlay", "replica"] = "overlay" if act.b % 2 else "replica"
            await self._survive(self.sync.switch_mode(mirror.source_id, mode, "somebody"))
        elif act.kind == "sweep":
            await self._survive(self.sync.sweep(source.source_id))

    async def run_pass(self, act: Act) -> None:
        """Run a pass, or two beside each other, with what happens meanwhile."""
        self._moments, self._during, self._dies_at = 0, sorted(act.during, key=_when), act.dies_at
        self.ledger.counts["passes"] += 1
        if act.kind == "two passes":
            await self._survive(_together(self.sync.pass_once(), self.fresh_sync().pass_once()))
        else:
            await self._survive(self.sync.pass_once())
        late, self._during, self._dies_at = self._during, [], 0
        for _, what in late:
            self.people.act(what)

    async def _survive(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """Go on as another process does where this one dies, and whatever a product answers."""
        try:
            return await doing
        except (ConnectorError, StateError):
            return None  # a product answered badly, or another worker polled meanwhile
        except Died:
            self._revive()
        except BaseExceptionGroup as group:
            if group.split(Died)[1] is not None:
                raise
            self._revive()
        return None

    def _revive(self) -> None:
        self._is_dead = False
        self._dies_at = 0
        self.sync = self.fresh_sync()

    # -- the end -------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Let nobody do anything any more, all faults and delays end, and go on until it is quiet."""
        for source in self.sources:
            source.troubles.clear()
            source.hidden.clear()
        self.clock.advance(minutes=2)
        await self._until_quiet()
        # what polls may miss by their nature is what the sweep is there for
        for source in self.sources:
            await self.sync.sweep(source.source_id)
        await self._until_quiet()

    async def _until_quiet(self) -> None:
        report, left = SyncReport(), ""
        for _ in range(PATIENCE):
            carried = self.copier.work() if self.copier else 0
            await self.sync.accept(None, "somebody")
            report = await self.sync.pass_once()
            has_open = self.journal.ask_now(incident_writes.has_open(self.tenant_id))
            waiting = len(self.journal.ask_now(links.pending(self.tenant_id)))
            carried += self.copier.work() if self.copier else 0
            if report.is_quiet and not has_open and not waiting and not carried:
                return
            left = f"open writes: {has_open}; not accepted: {waiting}; carried: {carried}"
            self.clock.advance(minutes=20)
        raise NeverQuiet(f"after {PATIENCE} passes: {report}; {left}")


def _when(item: tuple[int, Act]) -> int:
    return item[0]


async def _together(*doings: Coroutine[Any, Any, Any]) -> None:
    """Do things beside each other, to the end of each; raises what any of them raised."""
    ends = await asyncio.gather(*doings, return_exceptions=True)
    # a death is told before anything else: the process is gone with all that it did
    for error in sorted((one for one in ends if isinstance(one, BaseException)), key=_is_mild):
        raise error


def _is_mild(error: BaseException) -> bool:
    return isinstance(error, Exception)
