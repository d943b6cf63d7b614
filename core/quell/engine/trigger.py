"""Starting runs: active playbooks are asked about a revision, and one write begins what starts."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec
import structlog

from quell.domain.ids import IncidentId, RunId
from quell.domain.offers import Notice
from quell.domain.urgency import URGENT, is_urgent
from quell.domain.view import IncidentView, RevisionView
from quell.engine.match import Held, No, claims_of, decide_start
from quell.engine.match import Start as Fits
from quell.engine.pressure import Pressure
from quell.engine.shell import Shell
from quell.errors import PlaybookError
from quell.journal import incidents, playbooks, starts
from quell.journal.playbooks import StoredPlaybook
from quell.journal.runs import NewRun, RunOptions
from quell.journal.starts import Begun, NewHeld, Start
from quell.playbooks import PlaybookProgram, RunView, load_playbook

__all__ = ["Programs", "Trigger"]

logger = structlog.get_logger(__name__)

#: compiled playbooks kept in memory
KEPT = 256


@dataclass(slots=True, kw_only=True)
class Programs:
    """Compiled playbooks by digest."""

    shell: Shell
    _kept: OrderedDict[tuple[str, str], PlaybookProgram] = field(
        default_factory=OrderedDict[tuple[str, str], PlaybookProgram]
    )

    async def get(self, playbook_id: str, digest: str) -> PlaybookProgram:
        """Compile a stored version. Raises NotFoundError, PlaybookError."""
        key = (playbook_id, digest)
        if key not in self._kept:
            source = playbooks.source(self.shell.tenant_id, playbook_id, digest)
            self._keep(key, await self.shell.journal.ask(source))
        self._kept.move_to_end(key)
        return self._kept[key]

    def of(self, stored: StoredPlaybook) -> PlaybookProgram:
        """Compile a version that was read already. Raises PlaybookError."""
        key = (stored.id, stored.digest)
        if key not in self._kept:
            self._keep(key, stored.source)
        return self._kept[key]

    def _keep(self, key: tuple[str, str], source: str) -> None:
        catalogue = self.shell.calls.registry.catalogue
        playbook = load_playbook(source, name=key[0], catalogue=catalogue)
        self._kept[key] = PlaybookProgram(playbook, catalogue)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)


@dataclass(slots=True, kw_only=True)
class Trigger:
    """Matching of one tenant."""

    shell: Shell
    programs: Programs
    pressure: Pressure | None = None

    async def match(self, revision: RevisionView, view: IncidentView) -> list[NewRun]:
        """Decide what a revision starts and write it down, in one transaction."""
        tenant_id = self.shell.tenant_id
        active, begun = await self.shell.journal.ask(starts.asked_about(tenant_id, view.id))
        revision = await self._with_source(revision)
        begin: list[Start] = []
        held: list[NewHeld] = []
        full = await self.pressure.reason() if self.pressure is not None else None
        for stored in active:
            known = begun.get(stored.id, Begun(playbook_id=stored.id))
            match self._decide(stored, revision, view, known):
                case Fits() as start if full is not None and not is_urgent(start.priority):
                    held.append(self._held(stored, revision, view, Held(reason=full)))
                case Fits() as start:
                    begin.append(self._start(stored, revision, view, start))
                case Held() as one:
                    held.append(self._held(stored, revision, view, one))
                case No() as no:
                    _log(stored, revision, no)
        write = starts.begin(tenant_id, view.id, revision.revision, begin, held)
        run_ids = await self.shell.commit(write)
        if self.pressure is not None:
            self.pressure.note(len(run_ids))
        return [one.run for one in begin if one.run.id in run_ids]

    async def release(
        self, playbook_id: str, incident_id: IncidentId, *, by: str, priority: int = URGENT
    ) -> RunId | None:
        """Let a held start go, as a person decided. None when it was begun meanwhile.

        Raises NotFoundError when nothing is held, or the playbook is not active any more.
        """
        tenant_id = self.shell.tenant_id
        active = await self.shell.journal.ask(playbooks.active(tenant_id))
        stored = next((one for one in active if one.id == playbook_id), None)
        if stored is None:
            await self.shell.journal.ask(playbooks.source(tenant_id, playbook_id, "active"))
            return None
        view = await self.shell.journal.ask(incidents.view(tenant_id, incident_id))
        begun = await self.shell.journal.ask(starts.begun(tenant_id, incident_id))
        known = begun.get(playbook_id, Begun(playbook_id=playbook_id))
        claims = claims_of(self.programs.of(stored), RunView(incident=view), known)
        run = NewRun(
            id=RunId(self.shell.new_id()),
            playbook_id=playbook_id,
            digest=stored.digest,
            cause=f"{playbook_id}/{incident_id}" + (f"/{view.revision}" if claims else ""),
            incident_id=incident_id,
            revision=view.revision,
            priority=priority,
            scope=claims,
            options=RunOptions(released_by=by),
        )
        start = Start(run=run, claims=claims or (), needs_claims=claims is not None)
        write = starts.release(tenant_id, start, by=by, chain=self.shell.worker)
        return await self.shell.commit(write)

    async def explain(
        self, revision: RevisionView, view: IncidentView
    ) -> dict[str, Fits | Held | No]:
        """Say, for each active playbook, what it makes of a revision now. Writes nothing."""
        tenant_id = self.shell.tenant_id
        active, begun = await self.shell.journal.ask(starts.asked_about(tenant_id, view.id))
        revision = await self._with_source(revision)
        return {
            stored.id: self._decide(
                stored, revision, view, begun.get(stored.id, Begun(playbook_id=stored.id))
            )
            for stored in active
        }

    async def _with_source(self, revision: RevisionView) -> RevisionView:
        """Let what a run did count as done where that began which had started the run."""
        if revision.caused_by is None:
            return revision
        source_id = await self.shell.journal.ask(incidents.source_behind(revision))
        return msgspec.structs.replace(revision, source_id=source_id)

    def _decide(
        self, stored: StoredPlaybook, revision: RevisionView, view: IncidentView, begun: Begun
    ) -> Fits | Held | No:
        try:
            program = self.programs.of(stored)
        except PlaybookError:
            # a plugin that it needs is gone or has changed: seen by people, not guessed at
            problem = f"playbook {stored.id} does not fit the actions that are there any more"
            return Held(reason=problem, pages=True)
        return decide_start(
            program,
            revision,
            view,
            begun,
            now=self.shell.now(),
            max_age=self.shell.policy.max_age,
            authority=self.shell.policy.authority,
        )

    def _start(
        self,
        stored: StoredPlaybook,
        revision: RevisionView,
        view: IncidentView,
        start: Fits,
    ) -> Start:
        run = NewRun(
            id=RunId(self.shell.new_id()),
            playbook_id=stored.id,
            digest=stored.digest,
            cause=start.cause,
            incident_id=view.id,
            revision=revision.revision,
            origin=revision.origin.value,
            depth=revision.depth,
            priority=start.priority,
            scope=start.claims,
            options=RunOptions(happened_at=revision.happened_at),
        )
        return Start(run=run, claims=start.claims or (), needs_claims=start.claims is not None)

    def _held(
        self,
        stored: StoredPlaybook,
        revision: RevisionView,
        view: IncidentView,
        held: Held,
    ) -> NewHeld:
        notice = Notice(
            kind="page",
            tenant_id=self.shell.tenant_id,
            summary=f"{stored.id} was not started for incident {view.id}: {held.reason}",
            references={"playbook": stored.id, "incident": view.id},
        )
        return NewHeld(
            playbook_id=stored.id,
            incident_id=view.id,
            revision=revision.revision,
            reason=held.reason,
            notice=notice if held.pages else None,
        )


def _log(stored: StoredPlaybook, revision: RevisionView, no: No) -> None:
    logger.debug(
        "Playbook %s does not start at revision %s of %s: %s",
        stored.id,
        revision.revision,
        revision.incident_id,
        no.reason,
        event_name="not_started",
    )
