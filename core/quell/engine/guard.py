"""The guard: may this effect happen on this target now? Pure; every no carries all its reasons.

It fails closed: what is not known counts against the effect. Reading, annotating and taking
back go on when a tenant is halted or not armed.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from quell.domain.action import Effect, Target, Trait
from quell.domain.decision import Allowed, AskFirst, Decision, Denied, NotYet, Reason
from quell.domain.entity import Alias
from quell.domain.hold import Hold, HoldOwner
from quell.engine.policy import GuardPolicy
from quell.journal.standing import Glance, Standing, TargetStanding

__all__ = ["GuardRequest", "decide", "decide_all"]

#: never touched by guarded effects, whatever the policy and whoever approves
FORBIDDEN: dict[Trait, str] = {
    Trait.DOMAIN_CONTROLLER: "is a domain controller",
    Trait.IDENTITY_SENSOR: "is a sensor that guards identities",
    Trait.SYNC_ACCOUNT: "is an account that synchronises the directory",
    Trait.BREAK_GLASS: "is a break-glass account",
    Trait.OWN_HOST: "is a host that quell itself runs on",
}
#: parts in an alert that make an entity a choice by evidence
CHOSEN_ROLES = frozenset(
    {
        "compromised",
        "attacked",
        "attacker",
        "source",
        "suspicious",
        "command_and_control",
        "policy_violator",
        "created",
        "added",
    }
)
CHOSEN_VERDICTS = frozenset({"suspicious", "malicious"})
#: what a person who orders an action has answered by ordering it
ANSWERED_BY_ORDER = frozenset({"default", "no_evidence", "stale"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRequest:
    """One effect on one target, as the guard looks at it."""

    action: str
    effect: Effect
    target: Target
    #: parts and verdict of the target in the run's incident; empty when it is not in it
    roles: frozenset[str] = frozenset()
    verdict: str = "unknown"
    is_in_incident: bool = True
    #: why the target could not be told, or not for certain
    unresolved: str = ""
    #: the playbook wants this to be asked
    step_asks: bool = False
    #: codes that an approval for exactly this target covers
    approved: frozenset[str] = frozenset()
    #: a person said no, or nobody answered
    refusal: str = ""
    #: how old the run's cause may be
    max_age: timedelta | None = None
    #: owner ids of the holds that this effect is to end
    own_holds: frozenset[str] = frozenset()
    #: how far the effects on the target were when it was looked at; None when it was not
    glance: Glance | None = None
    #: whether it takes earlier effects back: then only holds that are its own
    is_undo: bool = False

    @property
    def is_guarded(self) -> bool:
        """Tell whether arming, halt and caps apply."""
        return self.effect in {Effect.CONTAIN, Effect.DENY, Effect.REMEDIATE}

    @property
    def is_above_annotate(self) -> bool:
        """Tell whether it touches more than remarks."""
        return self.is_guarded or self.effect is Effect.RESTORE


def decide_all(
    requests: Sequence[GuardRequest], policy: GuardPolicy, standing: Standing
) -> list[Decision]:
    """Decide about a set; each effect that is allowed counts towards the caps of the next."""
    decisions: list[Decision] = []
    taken = 0
    for request in requests:
        decision = decide(request, policy, standing, taken=taken)
        taken += isinstance(decision, Allowed)
        decisions.append(decision)
    return decisions


def decide(
    request: GuardRequest, policy: GuardPolicy, standing: Standing, *, taken: int = 0
) -> Decision:
    """Decide about one effect; `taken` were allowed before it in the same transaction."""
    target = standing.targets.get(request.target.id)
    if target is None:
        return Denied(reasons=(_reason("unresolved", "it is not known how the target stands"),))
    if refusals := tuple(_refusals(request, policy, standing, target)):
        return Denied(reasons=refusals)
    if rivals := tuple(_rivals(request, target)):
        return NotYet(reasons=rivals)
    asks = tuple(_asks(request, policy, standing, target, taken))
    if all(reason.code in request.approved for reason in asks):
        return Allowed()
    return AskFirst(reasons=asks, pages=any(reason.code.startswith("cap_") for reason in asks))


def _refusals(
    request: GuardRequest, policy: GuardPolicy, standing: Standing, target: TargetStanding
) -> Iterator[Reason]:
    if request.is_guarded and standing.is_halted:
        yield _reason("halted", "the tenant is halted (`quell resume`)")
    if request.is_guarded and not standing.is_armed:
        yield _reason("disarmed", "the tenant is not armed (`quell arm`)")
    if request.is_above_annotate and standing.run.options.is_dry:
        yield _reason("dry_run", "this is a dry run")
    if request.effect is not Effect.READ and standing.merged_into is not None:
        yield _reason("merged", f"the incident was merged into {standing.merged_into}")
    if request.is_above_annotate and request.unresolved:
        yield _reason("unresolved", request.unresolved)
    if request.refusal:
        yield _reason("refused", request.refusal)
    if target.overtaken_by is not None:
        yield _reason("overtaken", "a newer effect on the same target has been decided")
    yield from _protections(request, policy, target)
    yield from _origin(request, standing)
    if target.acted_by is not None and request.is_guarded:
        yield _reason("acted_before", f"run {target.acted_by} acted on it for this incident")
    if request.effect is Effect.RESTORE:
        yield from _still_wanted(request, standing, target.holds)


def _protections(
    request: GuardRequest, policy: GuardPolicy, target: TargetStanding
) -> Iterator[Reason]:
    if not request.is_guarded:
        return
    for trait in sorted(request.target.traits & FORBIDDEN.keys()):
        yield _reason("protected", f"the target {FORBIDDEN[trait]}")
    names = {*request.target.aliases, *target.aliases}
    for pattern in policy.protected:
        if _matches(pattern, names):
            yield _reason("protected", f"the target is on the protected list ({pattern})")


def _matches(pattern: str, names: Iterable[Alias]) -> bool:
    kind, colon, value = pattern.lower().partition(":")
    if not colon:
        kind, value = "", kind
    return any(
        fnmatch.fnmatchcase(alias.value.lower(), value)
        for alias in names
        if kind in {"", alias.kind.lower()}
    )


def _origin(request: GuardRequest, standing: Standing) -> Iterator[Reason]:
    options = standing.run.options
    if not request.is_above_annotate or options.released_by or options.ordered_by:
        return
    if standing.run.origin != "live":
        yield _reason("not_live", f"the run's cause is not live but {standing.run.origin}")


def _still_wanted(
    request: GuardRequest, standing: Standing, holds: Sequence[Hold]
) -> Iterator[Reason]:
    is_order = bool(standing.run.options.ordered_by)
    for hold in holds:
        if hold.owner is HoldOwner.SUPPRESS or hold.owner_id in request.own_holds:
            continue
        if is_order and not request.is_undo:
            continue  # a person who orders it outranks them all; a vendor's hold is asked about
        owner = f"{hold.owner.value} {hold.owner_id}".strip()
        yield _reason("held", f"the state is still wanted by {owner}")


def _rivals(request: GuardRequest, target: TargetStanding) -> Iterator[Reason]:
    if request.glance is not None and request.glance.seq != target.seq:
        yield _reason("stale_look", "an effect on the target was decided after it was looked at")
    elif request.glance is not None and request.glance.has_rivals:
        yield _reason("stale_look", "an effect on the target was open while it was looked at")
    for key in target.sending_rivals:
        yield _reason("rival", f"effect {key} on the same target is on its way")
    if request.effect is Effect.RESTORE:
        return  # taking back cancels what the vendor has not finished
    for key in target.pending_rivals:
        yield _reason("rival", f"effect {key} on the same target is not finished")


def _asks(
    request: GuardRequest,
    policy: GuardPolicy,
    standing: Standing,
    target: TargetStanding,
    taken: int,
) -> Iterator[Reason]:
    is_order = bool(standing.run.options.ordered_by)
    for reason in _all_asks(request, policy, standing, target, taken):
        if not (is_order and reason.code in ANSWERED_BY_ORDER):
            yield reason


def _all_asks(
    request: GuardRequest,
    policy: GuardPolicy,
    standing: Standing,
    target: TargetStanding,
    taken: int,
) -> Iterator[Reason]:
    if request.step_asks:
        yield _reason("step", "the playbook asks before this step")
    if request.effect is Effect.RESTORE and _is_vendors(target.holds):
        yield _reason("vendor", "the state was made by somebody else")
    if not request.is_guarded:
        return
    yield from _sensitive(request, target)
    if target.unclear_rivals:
        yield _reason("unclear", "it is unclear whether an earlier effect on it happened")
    for hold in target.holds:
        if hold.owner is HoldOwner.SUPPRESS:
            yield _reason("suppressed", f"{hold.owner_id or 'a person'} took this state back")
    yield from _caps(policy, standing, taken)
    yield from _age(request, policy, standing)
    if request.action not in policy.auto:
        yield _reason("default", f"{request.action} is asked about (guard.auto does not list it)")


def _is_vendors(holds: Sequence[Hold]) -> bool:
    return any(hold.owner is HoldOwner.VENDOR for hold in holds)


def _sensitive(request: GuardRequest, target: TargetStanding) -> Iterator[Reason]:
    traits = request.target.traits
    if Trait.ADMIN in traits:
        yield _reason("admin", "the target has an administrator's rights")
    if Trait.SERVICE_ACCOUNT in traits:
        yield _reason("service_account", "the target is a service's account")
    if Trait.SERVER in traits:
        yield _reason("server", "the target is a server")
    elif not request.target.is_classified:
        yield _reason("unclassified", "it is not known what kind of thing the target is")
    if not request.is_in_incident or target.is_outside:
        yield _reason("no_evidence", "the target is not part of the incident")
    elif not (request.roles & CHOSEN_ROLES or request.verdict in CHOSEN_VERDICTS):
        yield _reason("no_evidence", "neither role nor verdict of the target speak against it")


def _caps(policy: GuardPolicy, standing: Standing, taken: int) -> Iterator[Reason]:
    caps = policy.caps
    if standing.in_run + taken >= caps.per_run:
        yield _reason("cap_run", f"the run has reached its cap of {caps.per_run}")
    if standing.in_hour + taken >= caps.per_hour:
        yield _reason("cap_hour", f"the cap of {caps.per_hour} an hour is reached")
    if standing.in_flight + taken >= caps.in_flight:
        yield _reason("cap_in_flight", f"{caps.in_flight} are under way already")


def _age(request: GuardRequest, policy: GuardPolicy, standing: Standing) -> Iterator[Reason]:
    options = standing.run.options
    if options.happened_at is None or options.released_by:
        return
    limit = request.max_age or policy.max_age
    if standing.now - options.happened_at > limit:
        yield _reason("stale", f"what started the run is older than {limit}")


def _reason(code: str, text: str) -> Reason:
    return Reason(code=code, text=text)
