"""A small world for tests of the engine: a lab of devices, users and mail, and a clock that obeys."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from quell.domain.action import (
    Action,
    Call,
    Effect,
    NoParams,
    Resolution,
    Resolver,
    Target,
    Trait,
    Unresolved,
    action,
    connector_types,
    resolver,
)
from quell.domain.entity import Device, Entity, MailMessage, User
from quell.domain.hub import Bounds, Mark
from quell.domain.ids import IncidentId, RunId, TenantId, WorkerId
from quell.domain.incident import IncidentFields, Origin, Severity, Status
from quell.domain.offers import Notice
from quell.domain.outcome import (
    Failed,
    Observation,
    Operation,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
    cannot_tell,
    not_so,
    so,
)
from quell.domain.playbook import IncidentEvent
from quell.domain.run import RunState
from quell.domain.view import IncidentView, RevisionView
from quell.engine import Engine, GuardPolicy, RunRef
from quell.journal import (
    Journal,
    Write,
    effects,
    entities,
    incidents,
    notices,
    playbooks,
    runs,
    steps,
    switches,
)
from quell.journal.effects import EffectRow
from quell.journal.runs import RunRow
from quell.journal.steps import StepRow
from quell.journal.tables import incident_entities, revisions
from quell.journal.tables import incidents as incident_table
from quell.journal.writer import Transaction
from quell.playbooks import Catalogue, digest_of, load_playbook

__all__ = ["TENANT", "Crash", "JournalClock", "Lab", "LabRegistry", "TestClock", "World"]

TENANT = TenantId("contoso")
BEGIN = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
OPERATOR = WorkerId("operator")


class Crash(BaseException):
    """The process dies here; nothing that runs may catch it."""


class TestClock:
    """Time that stands still until somebody sleeps or moves it."""

    __test__ = False

    def __init__(self) -> None:
        self.moment = BEGIN

    def now(self) -> datetime:
        """Tell the time."""
        return self.moment

    async def sleep(self, seconds: float) -> None:
        """Let that time pass at once."""
        self.moment += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    def pass_by(self, **parts: float) -> None:
        """Let time pass."""
        self.moment += timedelta(**parts)


class JournalClock(TestClock):
    """The time as a journal tells it: real, as in a fleet."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def now(self) -> datetime:
        """Tell the time."""
        return self._journal.now()


@dataclass
class Lab:
    """A product that counts what is asked of it. Its functions are the actions below."""

    #: accepted effects: (verb, name of the target)
    accepted: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    isolated: dict[str, tuple[str, tuple[str, ...]]] = field(
        default_factory=dict[str, tuple[str, tuple[str, ...]]]
    )
    disabled: set[str] = field(default_factory=set[str])
    purged: dict[str, str] = field(default_factory=dict[str, str])
    comments: dict[str, str] = field(default_factory=dict[str, str])
    operations: dict[str, Callable[[], Outcome]] = field(
        default_factory=dict[str, Callable[[], Outcome]]
    )
    cancelled: list[str] = field(default_factory=list[str])
    calls: list[tuple[str, tuple[str, ...]]] = field(
        default_factory=list[tuple[str, tuple[str, ...]]]
    )
    notes: list[str] = field(default_factory=list[str])
    #: what the next calls of a verb answer instead; "then" means: after it took effect
    instead: dict[str, list[Outcome | Exception]] = field(
        default_factory=dict[str, list[Outcome | Exception]]
    )
    instead_after: dict[str, list[Outcome | Exception]] = field(
        default_factory=dict[str, list[Outcome | Exception]]
    )
    traits: dict[str, frozenset[Trait]] = field(default_factory=dict[str, frozenset[Trait]])
    #: which sensor a machine has, by its other names
    machines: dict[str, str] = field(default_factory=dict[str, str])
    ambiguous: set[str] = field(default_factory=set[str])
    is_blind: bool = False
    #: called at each await of an action's call: before the effect, and after it
    at_await: Callable[[str], None] = lambda _: None

    def request(self, verb: str, names: Sequence[str]) -> None:
        """Take a request that has not had its effect yet."""
        self.calls.append((verb, tuple(names)))
        self.at_await(f"{verb} before")
        if queued := self.instead.get(verb):
            _answer(queued.pop(0))

    def accept(self, verb: str, names: Sequence[str]) -> None:
        """Let the effect happen, and perhaps say something else about it."""
        self.accepted.update((verb, name) for name in names)
        self.at_await(f"{verb} after")
        if queued := self.instead_after.get(verb):
            _answer(queued.pop(0))

    def repeated(self) -> dict[tuple[str, str], int]:
        """List what was done more than once to the same target."""
        return {what: count for what, count in self.accepted.items() if count > 1}


class Instead(Exception):
    """Carries an outcome out of the lab."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("instead")
        self.outcome = outcome


def _answer(queued: Outcome | Exception) -> None:
    if isinstance(queued, Exception):
        raise queued
    raise Instead(queued)


def name_of(target: Target) -> str:
    """Give the lab's name of a target."""
    entity = target.entity
    if isinstance(entity, Device):
        return entity.mde_id or ""
    if isinstance(entity, User):
        return entity.upn or ""
    if isinstance(entity, MailMessage):
        return entity.network_message_id or ""
    return target.id


class CommentParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    text: str


class UserFacts(msgspec.Struct, kw_only=True):
    upn: str = ""
    is_person: bool = True


class PurgeParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    how: str = "soft"


@action(
    "device.isolate",
    system="lab",
    target=Device,
    effect=Effect.CONTAIN,
    identity="device",
    reversal="device.release",
    makes="device.isolated",
)
async def isolate(call: Call[NoParams], lab: Lab) -> Outcome:
    """Cut a device off."""
    name = name_of(call.target)
    lab.notes.append(call.note)
    try:
        lab.request("isolate", [name])
        await asyncio.sleep(0)
        lab.isolated[name] = ("quell", (call.key,))
        lab.accept("isolate", [name])
    except Instead as answer:
        return answer.outcome
    await asyncio.sleep(0)
    return Succeeded(proof=f"isolated {name}")


@isolate.observe
async def is_isolated(target: Target, lab: Lab) -> Observation:
    if lab.is_blind:
        return cannot_tell("the lab is dark")
    made = lab.isolated.get(name_of(target))
    return so(made_by=made[0], keys=made[1]) if made is not None else not_so()


@isolate.poll
async def poll_isolation(operation: Operation, lab: Lab) -> Outcome:
    return lab.operations[operation.id]()


@isolate.cancel
async def cancel_isolation(operation: Operation, lab: Lab) -> None:
    lab.cancelled.append(operation.id)


@action(
    "device.release",
    system="lab",
    target=Device,
    effect=Effect.RESTORE,
    identity="device",
    ends="device.isolated",
)
async def release(call: Call[NoParams], lab: Lab) -> Outcome:
    """Let a device back."""
    name = name_of(call.target)
    try:
        lab.request("release", [name])
        lab.isolated.pop(name, None)
        lab.accept("release", [name])
    except Instead as answer:
        return answer.outcome
    return Succeeded()


@release.observe
async def is_released(target: Target, lab: Lab) -> Observation:
    return not_so() if name_of(target) in lab.isolated else so()


@action("user.get", system="lab", target=User, effect=Effect.READ, result=UserFacts)
async def get_user(call: Call[NoParams], lab: Lab) -> Outcome:
    """Read an account."""
    name = name_of(call.target)
    try:
        lab.request("get", [name])
    except Instead as answer:
        return answer.outcome
    await asyncio.sleep(0)
    return Succeeded(data={"upn": name, "is_person": not name.startswith("svc-")})


@action(
    "user.disable",
    system="lab",
    target=User,
    effect=Effect.CONTAIN,
    identity="user",
    reversal="user.enable",
    makes="user.disabled",
    is_idempotent=True,
)
async def disable(call: Call[NoParams], lab: Lab) -> Outcome:
    """Disable an account."""
    name = name_of(call.target)
    try:
        lab.request("disable", [name])
        lab.disabled.add(name)
        lab.accept("disable", [name])
    except Instead as answer:
        return answer.outcome
    return Succeeded()


@disable.observe
async def is_disabled(target: Target, lab: Lab) -> Observation:
    return so() if name_of(target) in lab.disabled else not_so()


@action("user.revoke", system="lab", target=User, effect=Effect.CONTAIN, identity="user")
async def revoke(call: Call[NoParams], lab: Lab) -> Outcome:
    """Do what can neither be seen afterwards nor be repeated."""
    name = name_of(call.target)
    try:
        lab.request("revoke", [name])
        lab.accept("revoke", [name])
    except Instead as answer:
        return answer.outcome
    return Succeeded()


@action(
    "mail.purge",
    system="lab",
    target=MailMessage,
    effect=Effect.REMEDIATE,
    identity="mail",
    params=PurgeParams,
    makes="mail.purged",
    batch=100,
)
async def purge(call: Call[PurgeParams], lab: Lab) -> Sequence[Outcome]:
    """Take mail away, many at a time."""
    names = [name_of(target) for target in call.targets]
    lab.request("purge", names)
    lab.purged.update(dict.fromkeys(names, call.key))
    lab.accept("purge", names)
    return [Succeeded(proof=call.key) for _ in names]


@purge.observe
async def is_purged(target: Target, lab: Lab) -> Observation:
    key = lab.purged.get(name_of(target))
    return so(keys=(key,)) if key is not None else not_so()


@action(
    "incident.comment",
    system="lab",
    target=None,
    effect=Effect.ANNOTATE,
    params=CommentParams,
    is_idempotent=True,
)
async def comment(call: Call[CommentParams], lab: Lab) -> Outcome:
    """Add a remark."""
    lab.request("comment", [call.target.id])
    await asyncio.sleep(0)
    if call.key not in lab.comments:
        lab.comments[call.key] = call.params.text
        lab.accept("comment", [call.key])
    return Succeeded()


@action("lab.look", system="lab", target=None, effect=Effect.READ)
async def look(call: Call[NoParams], lab: Lab) -> Outcome:
    """Read nothing much."""
    try:
        lab.request("look", [call.target.id])
    except Instead as answer:
        return answer.outcome
    return Succeeded(data={"seen": True})


@resolver(Device, system="lab")
async def resolve_device(entity: Device, lab: Lab) -> Resolution | Unresolved:
    other = entity.host_name or entity.entra_id or ""
    if (sensor := lab.machines.get(other)) and entity.mde_id is None:
        entity = msgspec.structs.replace(entity, mde_id=sensor)
    return _resolve(entity, entity.mde_id or "", lab, Trait.WORKSTATION)


@resolver(User, system="lab")
async def resolve_user(entity: User, lab: Lab) -> Resolution | Unresolved:
    return _resolve(entity, entity.upn or "", lab, Trait.PERSON)


@resolver(MailMessage, system="lab")
async def resolve_mail(entity: MailMessage, lab: Lab) -> Resolution | Unresolved:
    return _resolve(entity, entity.network_message_id or "", lab, Trait.PERSON)


def _resolve(entity: Entity, name: str, lab: Lab, usual: Trait) -> Resolution | Unresolved:
    if name in lab.ambiguous:
        return Unresolved(reason=f"two things answer to {name}")
    return Resolution(entity=entity, traits=lab.traits.get(name, frozenset({usual})))


ACTIONS: tuple[Action, ...] = (
    isolate, release, get_user, disable, revoke, purge, comment, look
)  # fmt: skip
RESOLVERS: tuple[Resolver, ...] = (resolve_device, resolve_user, resolve_mail)


class LabRegistry:
    """What a runtime would offer, with the lab as the only connector."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.catalogue = Catalogue(ACTIONS)

    def actions(self, name: str, system: str | None = None) -> Sequence[Action]:
        return self.catalogue.find(name, system)

    def resolver(self, target: type) -> Resolver | None:
        return next((one for one in RESOLVERS if one.target is target), None)

    def connectors(self, function: Callable[..., Any], identity: str) -> Mapping[str, Any]:
        return dict.fromkeys(connector_types(function), self.lab)


def inserting(statement: sa.Executable) -> Write[None]:
    """Give a write of one statement."""

    def apply(tx: Transaction) -> None:
        tx.execute(statement)

    return Write(apply)


DEVICE = Device(mde_id="d" * 40, dns_name="pc1.example.com", name="pc1")


@dataclass
class World:
    """A journal with an incident, a lab, and an engine to drive runs with."""

    journal: Journal
    clock: TestClock = field(default_factory=TestClock)
    lab: Lab = field(default_factory=Lab)
    policy: GuardPolicy = field(
        default_factory=lambda: GuardPolicy(
            auto=frozenset({"device.isolate", "user.disable", "user.revoke", "mail.purge"})
        )
    )
    woken: list[RunRef] = field(default_factory=list[RunRef])
    told: list[Notice] = field(default_factory=list[Notice])
    ids: Any = field(default_factory=lambda: itertools.count(1))
    engines: list[Engine] = field(default_factory=list[Engine])

    def __post_init__(self) -> None:
        self.engine = self.new_engine()

    def new_engine(self, journal: Journal | None = None, **options: Any) -> Engine:
        """Start a worker, as another process would be."""
        number = len(self.engines) + 1
        settings: dict[str, Any] = {
            "journal": journal or self.journal,
            "tenant_id": TENANT,
            "registry": LabRegistry(self.lab),
            "policy": self.policy,
            "clock": self.clock,
            "worker": WorkerId(f"worker-{number}"),
            "wake": self.woken.append,
            "notify": self.told.append,
            "new_id": lambda: f"id{next(self.ids):06}",
        }
        engine = Engine(**{**settings, **options})
        self.engines.append(engine)
        self.engine = engine
        return engine

    def close(self) -> None:
        for engine in self.engines:
            engine.close()

    # -- what is there -----------------------------------------------------------------------

    def arm(self) -> None:
        write = switches.arm(TENANT, by="ann", reason="test", chain=OPERATOR)
        self.journal.commit_now(write)

    def halt(self) -> None:
        write = switches.halt(TENANT, by="ann", reason="test", chain=OPERATOR)
        self.journal.commit_now(write)

    def add_incident(
        self,
        *members: Entity,
        roles: Sequence[str] = ("compromised",),
        name: str = "inc1",
        vouched: Severity | None = Severity.HIGH,
    ) -> IncidentId:
        """Put an incident with entities on record; None where nobody who is believed spoke."""
        incident_id = IncidentId(name)
        fields = IncidentFields(title="Attack", severity=Severity.HIGH, status=Status.NEW)
        said = {"title": "Attack", "severity": vouched, "status": "new"} if vouched else {}
        bounds = Bounds(since=self.clock.now())
        marks = {one: Mark(bounds=bounds, vouched=value) for one, value in said.items()}

        def apply(tx: Transaction) -> None:
            row: dict[str, Any] = {
                "tenant_id": TENANT,
                "id": incident_id,
                "fields": msgspec.to_builtins(fields),
                "revision": 0,
                "marks": msgspec.to_builtins(marks),
                "severity": "high",
                "status": "new",
                "created_at": tx.now,
                "updated_at": tx.now,
            }
            tx.execute(sa.insert(incident_table).values(**row))

        self.journal.commit_now(Write(apply))
        self.add_entities(incident_id, *members, roles=roles)
        return incident_id

    def add_entities(
        self, incident_id: IncidentId, *members: Entity, roles: Sequence[str] = ("compromised",)
    ) -> list[str]:
        """Let an incident name further entities."""
        ids: list[str] = []
        for member in members:
            entity_id = self.journal.commit_now(entities.observe(TENANT, member))
            ids.append(entity_id)
            row = {
                "tenant_id": TENANT,
                "incident_id": incident_id,
                "entity_id": entity_id,
                "kind": str(member.__struct_config__.tag),
                "roles": list(roles),
                "verdict": "suspicious",
                "alerts": [],
                "first_seen_at": self.clock.now() + timedelta(microseconds=len(ids)),
            }
            self.journal.commit_now(inserting(sa.insert(incident_entities).values(**row)))
        return ids

    def revise(
        self,
        incident_id: IncidentId,
        *events: IncidentEvent,
        origin: Origin = Origin.LIVE,
        age: timedelta = timedelta(),
        caused_by: str | None = None,
        depth: int = 0,
        source_id: str | None = None,
    ) -> RevisionView:
        """Put a change of an incident on record."""

        def apply(tx: Transaction) -> int:
            mine = sa.and_(incident_table.c.tenant_id == TENANT, incident_table.c.id == incident_id)
            number = tx.execute(
                sa.update(incident_table)
                .where(mine)
                .values(revision=incident_table.c.revision + 1)
                .returning(incident_table.c.revision)
            ).scalar_one()
            row: dict[str, Any] = {
                "tenant_id": TENANT,
                "incident_id": incident_id,
                "revision": number,
                "origin": origin.value,
                "changes": {},
                "events": [event.value for event in events],
                "stamp": "",
                "happened_at": tx.now - age,
                "caused_by": caused_by,
                "source_id": source_id,
                "depth": depth,
                "actor": "",
                "at": tx.now,
            }
            tx.execute(sa.insert(revisions).values(**row))
            return int(number)

        number = self.journal.commit_now(Write(apply))
        found = self.journal.ask_now(incidents.revisions_of(TENANT, incident_id))
        return next(one for one in found if one.revision == number)

    def merge(self, loser: IncidentId, winner: IncidentId) -> None:
        mine = sa.and_(incident_table.c.tenant_id == TENANT, incident_table.c.id == loser)
        update = sa.update(incident_table).where(mine).values(merged_into=winner)
        self.journal.commit_now(Write(lambda tx: tx.changed(update)))

    def view(self, incident_id: IncidentId) -> IncidentView:
        return self.journal.ask_now(incidents.view(TENANT, incident_id))

    def activate(self, text: str) -> str:
        """Check a playbook, keep it, and let it start runs."""
        catalogue = LabRegistry(self.lab).catalogue
        playbook = load_playbook(text, name="test.yml", catalogue=catalogue)
        digest = digest_of(text)
        self.journal.commit_now(playbooks.store(TENANT, playbook.id, digest, text, name="test.yml"))
        self.journal.commit_now(
            playbooks.activate(TENANT, playbook.id, digest, by="ann", chain=OPERATOR)
        )
        return playbook.id

    # -- what happens ------------------------------------------------------------------------

    async def match(
        self, incident_id: IncidentId, *events: IncidentEvent, **how: Any
    ) -> list[RunId]:
        """Let a change happen and match it."""
        revision = self.revise(incident_id, *(events or (IncidentEvent.CREATED,)), **how)
        return await self.engine.match(revision, self.view(incident_id))

    async def start(self, text: str, *members: Entity, **how: Any) -> RunRef:
        """Activate a playbook, and let an incident start it."""
        self.activate(text)
        incident_id = self.add_incident(*members, **how)
        (run_id,) = await self.match(incident_id)
        return RunRef(TENANT, run_id)

    async def run(self, text: str, *members: Entity, **how: Any) -> RunRef:
        """Activate a playbook, let an incident start it, and drive the run to its end."""
        ref = await self.start(text, *members, **how)
        await self.finish(ref)
        return ref

    async def finish(self, ref: RunRef, *, turns: int = 60) -> RunState:
        """Drive a run again and again, as the sweep would, until it ends or waits for people."""
        state = RunState.QUEUED
        for _ in range(turns):
            state = await self.engine.drive(ref)
            if state.is_final or state is RunState.PARKED:
                return state
            row = self.row(ref)
            until = row.wake_at or row.lease_until
            if any(one.state.value == "open" for one in self.snapshot(ref).approvals):
                return state
            if until is not None and until >= self.clock.now():
                self.clock.moment = until + timedelta(microseconds=1)
        return state

    def row(self, ref: RunRef) -> RunRow:
        return self.journal.ask_now(runs.get(ref))

    def snapshot(self, ref: RunRef) -> runs.Claim:
        return self.journal.ask_now(runs.snapshot(ref))

    def step(self, ref: RunRef, key: str) -> StepRow:
        found = self.journal.ask_now(steps.listed(ref.tenant_id, ref.run_id))
        return next(one for one in found if one.key == key)

    def results(self, ref: RunRef, key: str) -> dict[str, list[str]]:
        """Give a step's result lists, by the lab's names of the targets."""
        lists: dict[str, list[str]] = {}
        for entry in self.step(ref, key).results:
            lists.setdefault(entry.result.value, []).append(entry.target_id)
        return lists

    def effects(self, ref: RunRef | None = None) -> list[EffectRow]:
        run_id = ref.run_id if ref is not None else None
        found = self.journal.ask_now(effects.listed(TENANT, run_id=run_id, limit=1000))
        return sorted(found, key=lambda row: (row.decided_at, row.key))

    def notices(self) -> list[Notice]:
        return [one.notice for one in self.journal.ask_now(notices.listed(TENANT))]

    def event_kinds(self, ref: RunRef) -> list[str]:
        return [one.kind for one in self.journal.ask_now(runs.events(ref))]


def unknown(reason: str = "no answer") -> Unknown:
    return Unknown(reason=reason)


def failed(reason: str = "refused", **fields: Any) -> Failed:
    return Failed(reason=reason, **fields)


def pending(number: str, **fields: Any) -> Pending:
    return Pending(operation=Operation(id=number, **fields))
