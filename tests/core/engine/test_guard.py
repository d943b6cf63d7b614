"""The guard: every no has all its reasons, and nothing unknown is a yes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.domain.action import Effect, Target, Trait
from quell.domain.decision import Allowed, AskFirst, Denied, NotYet
from quell.domain.entity import Alias
from quell.domain.hold import Hold, HoldOwner
from quell.domain.ids import RunId, TenantId
from quell.domain.run import RunState
from quell.engine import Caps, GuardPolicy
from quell.engine.guard import FORBIDDEN, GuardRequest, decide, decide_all
from quell.journal.intents import Standing, TargetStanding
from quell.journal.run_rows import RunOptions, RunRow

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
AUTO = GuardPolicy(auto=frozenset({"device.isolate"}))
STATE = "device.isolated"
GUARDED = (Effect.CONTAIN, Effect.DENY, Effect.REMEDIATE)


def run_row(origin: str = "live", **options: object) -> RunRow:
    return RunRow(
        tenant_id=TenantId("contoso"),
        id=RunId("run1"),
        playbook_id="contain",
        digest="",
        incident_id=None,
        revision=1,
        cause="c",
        origin=origin,
        depth=0,
        state=RunState.RUNNING,
        priority=5,
        scope=None,
        options=RunOptions(**{"happened_at": NOW, **options}),  # type: ignore[arg-type] # by name
        owner=None,
        fence=1,
        lease_until=None,
        wake_at=None,
        cancel_requested=False,
        takeovers=0,
        error="",
        created_at=NOW,
        finished_at=None,
    )


def standing(target: TargetStanding | None = None, **fields: object) -> Standing:
    base: dict[str, object] = {
        "now": NOW,
        "run": run_row(),
        "is_armed": True,
        "is_halted": False,
        "targets": {"t": target or TargetStanding()},
    }
    return Standing(**{**base, **fields})  # type: ignore[arg-type] # by name


def request(**fields: object) -> GuardRequest:
    base: dict[str, object] = {
        "action": "device.isolate",
        "effect": Effect.CONTAIN,
        "target": target(),
        "roles": frozenset({"compromised"}),
        "verdict": "malicious",
    }
    return GuardRequest(**{**base, **fields})  # type: ignore[arg-type] # by name


def target(*traits: Trait, is_classified: bool = True, name: str = "pc1") -> Target:
    return Target(
        id="t",
        kind="device",
        aliases=(Alias("host", name, False), Alias("mde", "d" * 40)),
        traits=frozenset(traits or {Trait.WORKSTATION}),
        is_classified=is_classified,
    )


def codes(decision: object) -> list[str]:
    assert isinstance(decision, Denied | AskFirst | NotYet)
    return [reason.code for reason in decision.reasons]


def test_what_policy_allows_and_evidence_chose_is_allowed() -> None:
    assert decide(request(), AUTO, standing()) == Allowed()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"is_halted": True}, "halted"),
        ({"is_armed": False}, "disarmed"),
        ({"merged_into": "inc9"}, "merged"),
        ({"targets": {}}, "unresolved"),
        ({"run": run_row("backfill")}, "not_live"),
        ({"run": run_row(is_dry=True)}, "dry_run"),
    ],
)
def test_how_the_tenant_stands_can_deny(changes: dict[str, object], code: str) -> None:
    assert codes(decide(request(), AUTO, standing(None, **changes))) == [code]


@pytest.mark.parametrize("trait", sorted(FORBIDDEN))
def test_built_in_protections_hold_whatever_was_approved(trait: Trait) -> None:
    # given
    every = frozenset({"admin", "server", "unclassified", "default", "step", "protected"})

    # when
    decision = decide(request(target=target(trait), approved=every), AUTO, standing())

    # then
    assert codes(decision) == ["protected"]


@pytest.mark.parametrize("pattern", ["host:PC1", "host:pc*", "mde:ddd*", "pc1", "p?1"])
def test_a_protected_name_denies_by_any_alias(pattern: str) -> None:
    policy = GuardPolicy(auto=AUTO.auto, protected=(pattern,))
    assert codes(decide(request(), policy, standing())) == ["protected"]


def test_a_name_that_only_the_journal_knows_protects_as_well() -> None:
    policy = GuardPolicy(auto=AUTO.auto, protected=("dns:vip.example.com",))
    known = TargetStanding(aliases=(Alias("dns", "vip.example.com", False),))
    assert codes(decide(request(), policy, standing(known))) == ["protected"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target": target(Trait.ADMIN, Trait.WORKSTATION)}, "admin"),
        ({"target": target(Trait.SERVER)}, "server"),
        ({"target": target(is_classified=False)}, "unclassified"),
        ({"target": target(Trait.SERVICE_ACCOUNT)}, "service_account"),
        ({"roles": frozenset[str](), "verdict": "no_threats_found"}, "no_evidence"),
        ({"is_in_incident": False}, "no_evidence"),
        ({"step_asks": True}, "step"),
        ({"action": "device.wipe"}, "default"),
    ],
)
def test_what_must_be_asked_is_asked_and_an_approval_of_it_is_enough(
    changes: dict[str, object], code: str
) -> None:
    assert codes(decide(request(**changes), AUTO, standing())) == [code]
    approved = request(**changes, approved=frozenset({code}))
    assert decide(approved, AUTO, standing()) == Allowed()


def test_a_suppressed_state_is_made_again_only_with_leave() -> None:
    hold = Hold(entity_id="t", state=STATE, owner=HoldOwner.SUPPRESS, owner_id="ann")
    assert codes(decide(request(), AUTO, standing(TargetStanding(holds=(hold,))))) == ["suppressed"]


def test_an_old_cause_is_asked_about() -> None:
    old = run_row(happened_at=NOW - timedelta(hours=3))
    assert codes(decide(request(), AUTO, standing(run=old))) == ["stale"]
    assert decide(request(max_age=timedelta(hours=4)), AUTO, standing(run=old)) == Allowed()


def test_a_rival_on_its_way_makes_us_wait_and_an_unclear_one_makes_us_ask() -> None:
    on_its_way = standing(TargetStanding(sending_rivals=("k",)))
    assert isinstance(decide(request(), AUTO, on_its_way), NotYet)
    unclear = standing(TargetStanding(unclear_rivals=("k",)))
    assert codes(decide(request(), AUTO, unclear)) == ["unclear"]


def test_an_effect_never_outranks_a_newer_one() -> None:
    newer = standing(TargetStanding(overtaken_by="k"))
    assert codes(decide(request(), AUTO, newer)) == ["overtaken"]


def test_taking_back_goes_on_when_halted_and_leaves_what_others_want() -> None:
    # given
    release = request(effect=Effect.RESTORE, action="device.release", own_holds=frozenset({"run1"}))
    own = Hold(entity_id="t", state=STATE, owner=HoldOwner.RUN, owner_id="run1")
    other = Hold(entity_id="t", state=STATE, owner=HoldOwner.RUN, owner_id="run2")

    # when
    brake = {"is_halted": True, "is_armed": False}
    alone = decide(release, AUTO, standing(TargetStanding(holds=(own,)), **brake))
    shared = decide(release, AUTO, standing(TargetStanding(holds=(own, other)), **brake))

    # then
    assert alone == Allowed()
    assert codes(shared) == ["held"]


def test_a_person_who_orders_has_answered_what_is_asked_by_default_and_no_more() -> None:
    ordered = standing(run=run_row("replay", ordered_by="ann"))
    plain = request(is_in_incident=False, action="device.wipe")
    assert decide(plain, AUTO, ordered) == Allowed()
    server = request(target=target(Trait.SERVER))
    assert codes(decide(server, AUTO, ordered)) == ["server"]


def test_a_set_is_counted_as_it_is_allowed() -> None:
    # given
    policy = GuardPolicy(auto=AUTO.auto, caps=Caps(per_run=3, per_hour=100, in_flight=100))

    # when
    decisions = decide_all([request()] * 5, policy, standing(in_run=1))

    # then
    assert [type(one) for one in decisions] == [Allowed, Allowed, AskFirst, AskFirst, AskFirst]
    assert all(one.pages for one in decisions if isinstance(one, AskFirst))


flags = st.booleans()
effects = st.sampled_from(list(Effect))
trait_sets = st.frozensets(st.sampled_from(list(Trait)), max_size=4)
any_codes = st.frozensets(
    st.sampled_from(
        ["default", "step", "server", "admin", "unclassified", "no_evidence", "stale", "cap_run",
         "cap_hour", "cap_in_flight", "suppressed", "unclear", "service_account"]
    )
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> GuardRequest:
    return GuardRequest(
        action=draw(st.sampled_from(["device.isolate", "device.wipe"])),
        effect=draw(effects),
        target=target(*draw(trait_sets), is_classified=draw(flags)),
        roles=draw(st.frozensets(st.sampled_from(["compromised", "contextual"]))),
        verdict=draw(st.sampled_from(["unknown", "malicious", "no_threats_found"])),
        is_in_incident=draw(flags),
        unresolved=draw(st.sampled_from(["", "two answer"])),
        step_asks=draw(flags),
        approved=draw(any_codes),
        refusal=draw(st.sampled_from(["", "bob said no"])),
    )


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    keys = st.sampled_from([(), ("k",)])
    owners = st.lists(st.sampled_from(list(HoldOwner)), max_size=2)
    held = tuple(Hold(entity_id="t", state=STATE, owner=one, owner_id="x") for one in draw(owners))
    known = TargetStanding(
        holds=held,
        sending_rivals=draw(keys),
        pending_rivals=draw(keys),
        unclear_rivals=draw(keys),
        overtaken_by=draw(st.sampled_from([None, "k"])),
        acted_by=draw(st.sampled_from([None, "run9"])),
    )
    return standing(
        known,
        is_armed=draw(flags),
        is_halted=draw(flags),
        merged_into=draw(st.sampled_from([None, "inc9"])),
        run=run_row(
            draw(st.sampled_from(["live", "backfill", "replay"])),
            is_dry=draw(flags),
            ordered_by=draw(st.sampled_from(["", "ann"])),
            happened_at=NOW - draw(st.sampled_from([timedelta(), timedelta(hours=9)])),
        ),
        in_run=draw(st.integers(0, 30)),
        in_hour=draw(st.integers(0, 90)),
        in_flight=draw(st.integers(0, 30)),
    )


@given(requests(), standings())
def test_no_guarded_effect_passes_a_brake_a_protection_or_a_doubt(
    asked: GuardRequest, now: Standing
) -> None:
    decision = decide(asked, AUTO, now)
    if not isinstance(decision, Allowed) or not asked.is_guarded:
        return
    assert now.is_armed
    assert not now.is_halted
    assert now.merged_into is None
    assert not asked.unresolved
    assert not asked.refusal
    assert not asked.target.traits & FORBIDDEN.keys()
    assert now.run.origin == "live" or now.run.options.ordered_by
    assert not now.run.options.is_dry
    assert not now.targets["t"].sending_rivals
    if Trait.SERVER in asked.target.traits:
        assert "server" in asked.approved


@given(requests(), standings())
def test_every_no_says_why_and_the_same_question_has_the_same_answer(
    asked: GuardRequest, now: Standing
) -> None:
    decision = decide(asked, AUTO, now)
    assert decide(asked, AUTO, now) == decision
    if not isinstance(decision, Allowed):
        assert decision.reasons
        assert all(reason.text for reason in decision.reasons)


@given(requests(), standings())
def test_more_approval_never_makes_a_denial_of_what_was_allowed(
    asked: GuardRequest, now: Standing
) -> None:
    if isinstance(decide(asked, AUTO, now), Allowed):
        more = dataclasses.replace(asked, approved=asked.approved | {"server", "default"})
        assert decide(more, AUTO, now) == Allowed()


@given(requests(), standings(), st.integers(0, 40))
def test_the_more_was_done_the_less_is_allowed(
    asked: GuardRequest, now: Standing, taken: int
) -> None:
    if isinstance(decide(asked, AUTO, now, taken=taken), Allowed):
        assert isinstance(decide(asked, AUTO, now, taken=0), Allowed)
