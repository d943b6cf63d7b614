"""What people order: one action on one entity, and taking effects back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from quell.domain.action import Action
from quell.domain.entity import Device, Entity, EntityKind, Mailbox, MailMessage, User
from quell.domain.hold import HoldOwner
from quell.domain.ids import EntityId, RunId
from quell.domain.run import EffectState
from quell.engine.order import target_body
from quell.engine.report import ActRequest, EffectReport
from quell.engine.shell import Shell
from quell.errors import NotFoundError, StateError
from quell.journal import entities, undo
from quell.journal import runs as journal_runs
from quell.journal.effects import EffectRow
from quell.journal.runs import ActOrder, NewRun, RunOptions, RunRef

__all__ = ["Orders", "Undoing"]

#: playbook ids of runs that people order
ACT = "act"
UNDO = "undo"


@dataclass(slots=True, kw_only=True)
class Undoing:
    """What taking back needs: the runs that were ordered for it, and what is kept."""

    refs: tuple[RunRef, ...]
    kept: tuple[EffectReport, ...]


@dataclass(slots=True, kw_only=True)
class Orders:
    """Turns people's orders into runs of one step, which go the same way as a playbook's."""

    shell: Shell

    async def order(self, request: ActRequest) -> RunRef:
        """Write an order down as a run. Raises NotFoundError, StateError."""
        action = self._action(request.action, request.system)
        kind = _kind(request.kind)
        if action.target is None:
            raise StateError(
                what=request.action,
                problem="acts on a run's incident, not on an entity",
                remedy="Use it in a playbook.",
            )
        target_id, entity = await self._find(kind, request.target)
        if not isinstance(entity, action.target):
            raise StateError(
                what=request.action,
                problem=f"does not act on a {kind.value}",
                remedy="`quell actions` lists what each acts on.",
            )
        body = target_body(
            target_id, entity, entity.aliases(), kind=kind.value, name=request.target
        )
        # what does not fit is refused before anything is on record
        params = msgspec.to_builtins(_fit(action, request.params))
        order = ActOrder(
            action=action.name,
            system=action.system,
            targets=(body,),
            params=params,
            reason=request.reason,
        )
        options = RunOptions(is_dry=request.is_dry, ordered_by=request.by, order=order)
        return await self._create(ACT, options)

    async def undo(self, rows: Sequence[EffectRow], *, by: str, reason: str) -> Undoing:
        """Order the reversal of effects; what others still want, or made, is kept."""
        kept: list[EffectReport] = []
        reversals: dict[tuple[str, str], list[EffectRow]] = {}
        for row in rows:
            action = self.shell.choose(row.action, row.system)
            reason_kept = await self._release(row, action, by)
            if action is None or action.reversal is None or reason_kept:
                kept.append(_kept(row, reason_kept or "nothing takes it back"))
            else:
                reversals.setdefault((action.reversal, row.system), []).append(row)
        refs = [
            await self._create(UNDO, self._undo_options(name, system, effects, by, reason))
            for (name, system), effects in reversals.items()
        ]
        return Undoing(refs=tuple(refs), kept=tuple(kept))

    def _undo_options(
        self, name: str, system: str, rows: Sequence[EffectRow], by: str, reason: str
    ) -> RunOptions:
        order = ActOrder(
            action=name,
            system=system,
            targets=tuple(row.target for row in rows),
            reason=reason,
            undoes=tuple(row.key for row in rows),
            ends_holds_of=tuple(sorted({_owner(row)[1] for row in rows})),
        )
        return RunOptions(ordered_by=by, order=order)

    async def _release(self, row: EffectRow, action: Action | None, by: str) -> str:
        """Drop our hold where that is all there is to do. Gives why the state is kept, if it is."""
        if row.state is EffectState.UNKNOWN:
            return "it is unclear whether it happened: settle it first"
        if row.state not in {EffectState.DONE, EffectState.ALREADY, EffectState.PENDING}:
            return f"it is {row.state.value}: there is nothing to take back"
        if action is None or action.makes is None:
            return "" if row.state is not EffectState.ALREADY else "it was so before"
        owner, owner_id = _owner(row)
        write = undo.let_go(
            self.shell.tenant_id,
            row.target_id,
            action.makes,
            owner=owner,
            owner_id=owner_id,
            is_already=row.state is EffectState.ALREADY,
            by=by,
            chain=self.shell.worker,
        )
        return await self.shell.commit(write)

    async def _create(self, playbook_id: str, options: RunOptions) -> RunRef:
        run_id = RunId(self.shell.new_id())
        run = NewRun(
            id=run_id,
            playbook_id=playbook_id,
            digest="",
            cause=f"{playbook_id}/{run_id}",
            priority=1,
            options=options,
        )
        await self.shell.commit(journal_runs.create(self.shell.tenant_id, run))
        return RunRef(self.shell.tenant_id, run_id)

    async def _find(self, kind: EntityKind, text: str) -> tuple[EntityId, Entity]:
        """Find an entity by any name, or enter it by the name given. Several are none."""
        tenant_id = self.shell.tenant_id
        found = await self.shell.journal.ask(entities.find(tenant_id, kind, text))
        if len(found) > 1:
            raise StateError(
                what=f"The {kind.value} {text!r}",
                problem=f"is not one but {len(found)}",
                remedy="Name it by an id that only one has.",
            )
        if found:
            entity = await self.shell.journal.ask(entities.get(tenant_id, found[0]))
            if entity is not None:
                return found[0], entity
        entity = _named(kind, text)
        return await self.shell.commit(entities.observe(tenant_id, entity)), entity

    def _action(self, name: str, system: str | None) -> Action:
        action = self.shell.choose(name, system)
        if action is None:
            raise NotFoundError(what="action", name=f"{name} {system or ''}".strip())
        return action


def _fit(action: Action, params: dict[str, object]) -> msgspec.Struct:
    try:
        return msgspec.convert(params, action.params, strict=False)
    except msgspec.ValidationError as error:
        raise StateError(
            what=action.name,
            problem=f"does not take these parameters: {error}",
            remedy=f"`quell actions show {action.name}` lists them.",
        ) from error


def _owner(row: EffectRow) -> tuple[HoldOwner, str]:
    """Tell in whose name an effect's hold was made: a person who ordered it, or its run."""
    is_ordered = row.incident_id is None
    return (HoldOwner.PERSON, row.by) if is_ordered else (HoldOwner.RUN, row.run_id or "")


def _kept(row: EffectRow, reason: str) -> EffectReport:
    return EffectReport(
        action=row.action,
        target_id=row.target_id,
        name=str(row.target.get("name") or row.target_id),
        result="kept",
        reason=reason,
        key=row.key,
        run_id=row.run_id,
    )


def _kind(text: str) -> EntityKind:
    try:
        return EntityKind(text)
    except ValueError:
        known = ", ".join(kind.value for kind in EntityKind)
        raise NotFoundError(what="kind of entity", name=text, remedy=f"Use {known}.") from None


def _device(text: str) -> Device:
    is_sensor_id = len(text) == 40 and all(char in "0123456789abcdef" for char in text.lower())
    if is_sensor_id:
        return Device(mde_id=text)
    return Device(dns_name=text) if "." in text else Device(host_name=text)


def _user(text: str) -> User:
    if "@" in text:
        return User(upn=text)
    if text.upper().startswith("S-1-"):
        return User(sid=text)
    if text.count("-") == 4:
        return User(object_id=text)
    return User(account_name=text)


def _mail(text: str) -> MailMessage:
    message, _, recipient = text.partition("|")
    return MailMessage(network_message_id=message, recipient=recipient or None)


NAMED: dict[EntityKind, Callable[[str], Entity]] = {
    EntityKind.DEVICE: _device,
    EntityKind.USER: _user,
    EntityKind.MAIL_MESSAGE: _mail,
    EntityKind.MAILBOX: lambda text: Mailbox(address=text),
}


def _named(kind: EntityKind, text: str) -> Entity:
    """Make an entity of the one name that a person gave."""
    make = NAMED.get(kind)
    if make is None:
        raise NotFoundError(what=kind.value, name=text, remedy="Name one that an incident has.")
    return make(text)
