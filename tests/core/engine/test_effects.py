"""Effects: already so, pending, unclear, halted, asked, held, taken back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from tests.engine_world import DEVICE, OPERATOR, TENANT, World, failed, pending, unknown

from quell.domain.action import Trait
from quell.domain.approval import Answer
from quell.domain.entity import Device, MailMessage, User
from quell.domain.hold import HoldOwner
from quell.domain.outcome import Outcome, Succeeded
from quell.domain.run import EffectState, RunState
from quell.engine import ActRequest, Caps, GuardPolicy, RunRef
from quell.errors import StateError
from quell.journal import approvals, audit, effects, holds, runs, switches

pytestmark = pytest.mark.anyio

PC = "d" * 40
PC2 = Device(mde_id="e" * 40, dns_name="pc2.example.com", name="pc2")
ANN = User(upn="ann@example.com", name="Ann")
ISOLATE = """\
quell: 1
playbook: contain
trigger: {incident: created}
steps:
  - {id: isolate, do: device.isolate, to: incident.devices}
"""
DISABLE = ISOLATE.replace("device.isolate", "user.disable").replace("devices", "users")
ASKING = ISOLATE.replace(
    "to: incident.devices}",
    "to: incident.devices, ask: {who: soc, within: 15m, otherwise: page}}",
)


def answer(world: World, decision: Answer) -> RunRef:
    (question,) = world.journal.ask_now(approvals.listed(TENANT))
    write = approvals.answer(TENANT, question.id, decision, by="bob", chain=OPERATOR)
    return world.journal.commit_now(write)


def states(world: World, ref: RunRef) -> list[str]:
    return sorted(row.state.value for row in world.effects(ref))


async def test_what_is_so_already_is_held_and_nothing_is_sent(world: World) -> None:
    # given
    world.lab.isolated[PC] = ("portal", ())

    # when
    ref = await world.run(ISOLATE, DEVICE)

    # then
    assert world.lab.calls == []
    assert states(world, ref) == ["already"]
    owners = [hold.owner for hold in world.journal.ask_now(holds.listed(TENANT))]
    assert sorted(owners) == [HoldOwner.RUN, HoldOwner.VENDOR]


async def test_a_vendor_operation_is_polled_and_the_run_waits_meanwhile(world: World) -> None:
    # given
    world.lab.instead["isolate"] = [pending("op1")]
    answers: list[Outcome] = [*[pending("op1")] * 5, Succeeded(proof="op1")]
    world.lab.operations["op1"] = lambda: answers.pop(0)
    ref = await world.start(ISOLATE, DEVICE)

    # when
    assert await world.engine.drive(ref) is RunState.WAITING

    # then
    assert world.row(ref).owner is None
    assert states(world, ref) == ["pending"]
    assert await world.finish(ref) is RunState.DONE
    assert states(world, ref) == ["done"]


async def test_a_vendor_operation_is_asked_about_soon_at_first_and_then_less_often(
    world: World,
) -> None:
    # given
    asked: list[float] = []
    answers: list[Outcome] = [*[pending("op1")] * 6, Succeeded(proof="op1")]

    def ask() -> Outcome:
        asked.append((world.clock.now() - begun).total_seconds())
        return answers.pop(0)

    world.lab.instead["isolate"] = [pending("op1")]
    world.lab.operations["op1"] = ask
    begun = world.clock.now()

    # when
    await world.run(ISOLATE, DEVICE)

    # then
    pauses = [round(after - before) for before, after in pairwise([0.0, *asked])]
    assert asked[0] <= 3
    assert pauses == sorted(pauses)
    assert 9 <= pauses[-1] <= 12


async def test_an_operation_that_takes_too_long_is_cancelled_at_the_vendor(world: World) -> None:
    # given
    world.lab.instead["isolate"] = [pending("op1", expires_after=timedelta(minutes=2))]
    world.lab.operations["op1"] = lambda: pending("op1", expires_after=timedelta(minutes=2))

    # when
    ref = await world.run(ISOLATE, DEVICE)

    # then
    assert world.lab.cancelled == ["op1"]
    assert states(world, ref) == ["failed"]


async def test_an_unclear_call_is_asked_about_and_found_to_be_ours(world: World) -> None:
    # given
    world.lab.instead_after["isolate"] = [unknown()]

    # when
    ref = await world.run(ISOLATE, DEVICE)

    # then
    assert states(world, ref) == ["done"]
    assert world.lab.accepted[("isolate", PC)] == 1


async def test_an_unclear_call_that_did_not_happen_is_never_sent_again_by_itself(
    world: World,
) -> None:
    # given
    world.lab.instead["isolate"] = [unknown()]

    # when
    ref = await world.run(ISOLATE, DEVICE)

    # then
    assert states(world, ref) == ["failed"]
    assert len(world.lab.calls) == 1


async def test_what_cannot_be_known_goes_to_a_person_who_settles_it(world: World) -> None:
    # given
    world.lab.instead["isolate"] = [unknown()]
    ref = await world.start(ISOLATE, DEVICE)
    world.lab.at_await = lambda _: setattr(world.lab, "is_blind", True)

    # when
    await world.finish(ref)

    # then
    (effect,) = world.effects(ref)
    assert effect.state is EffectState.UNKNOWN
    assert [notice.kind for notice in world.notices()] == ["page"]

    # when
    settle = effects.settle_unknown(
        TENANT, effect.key, happened=True, by="ann", chain=OPERATOR, reason="seen in the portal"
    )
    world.journal.commit_now(settle)

    # then
    assert states(world, ref) == ["done"]
    with pytest.raises(StateError):
        world.journal.commit_now(settle)


@pytest.mark.parametrize("brake", ["disarmed", "halted"])
async def test_the_brake_stops_containment_and_not_remarks(world: World, brake: str) -> None:
    # given
    if brake == "halted":
        world.halt()
    else:
        world.journal.commit_now(switches.disarm(TENANT, by="a", reason="", chain=OPERATOR))
    text = ISOLATE + "  - {id: note, do: incident.comment, with: {text: hello}}\n"

    # when
    ref = await world.run(text, DEVICE)

    # then
    assert world.lab.isolated == {}
    assert states(world, ref) == ["denied", "done"]
    assert any(brake[:4] in row.reason or "armed" in row.reason for row in world.effects(ref))


async def test_a_halt_between_intent_and_retry_stops_the_retry(world: World) -> None:
    # given
    world.lab.instead["isolate"] = [failed("busy", retryable=True, retry_after=60.0)]
    ref = await world.start(ISOLATE, DEVICE)
    await world.engine.drive(ref)

    # when
    world.halt()
    await world.finish(ref)

    # then
    assert states(world, ref) == ["denied"]
    assert world.lab.isolated == {}


async def test_an_answer_covers_the_set_that_was_shown_and_lets_the_run_go_on(
    world: World,
) -> None:
    # given
    ref = await world.start(ASKING, DEVICE, PC2)
    assert await world.engine.drive(ref) is RunState.WAITING
    (question,) = world.journal.ask_now(approvals.listed(TENANT))
    assert len(question.question.targets) == 2
    assert world.lab.calls == []

    # when
    assert answer(world, Answer.APPROVED) == ref
    assert await world.engine.drive(ref) is RunState.DONE

    # then
    assert len(world.lab.isolated) == 2
    assert "answered" in world.event_kinds(ref)
    again = approvals.answer(TENANT, question.id, Answer.DENIED, by="eve", chain=OPERATOR)
    with pytest.raises(StateError):
        world.journal.commit_now(again)


async def test_a_no_denies_every_target_that_was_shown(world: World) -> None:
    # given
    ref = await world.start(ASKING, DEVICE)
    await world.engine.drive(ref)

    # when
    answer(world, Answer.DENIED)
    await world.finish(ref)

    # then
    assert states(world, ref) == ["denied"]
    assert "bob said no" in world.effects(ref)[0].reason
    assert world.lab.calls == []


async def test_when_nobody_answers_nothing_is_done_and_somebody_is_paged(world: World) -> None:
    # given
    ref = await world.start(ASKING, DEVICE)
    await world.engine.drive(ref)

    # when
    world.clock.pass_by(minutes=16)
    assert await world.engine.drive(ref) is RunState.DONE

    # then
    assert states(world, ref) == ["denied"]
    assert sorted(notice.kind for notice in world.notices()) == ["approval", "page"]
    (question,) = world.journal.ask_now(approvals.listed(TENANT, state=None))
    assert question.state is Answer.EXPIRED
    late = approvals.answer(TENANT, question.id, Answer.APPROVED, by="bob", chain=OPERATOR)
    with pytest.raises(StateError):
        world.journal.commit_now(late)


async def test_an_approval_does_not_cover_what_came_up_after_it(world: World) -> None:
    # given
    ref = await world.start(ASKING, DEVICE)
    await world.engine.drive(ref)
    answer(world, Answer.APPROVED)

    # when: it turns out to be a server
    world.lab.traits[PC] = frozenset({Trait.SERVER})
    await world.finish(ref)

    # then
    (again,) = world.journal.ask_now(approvals.listed(TENANT))
    assert [one.code for one in again.question.targets[0].reasons] == ["step", "server"]
    assert world.lab.calls == []
    answer(world, Answer.APPROVED)
    await world.finish(ref)
    assert states(world, ref) == ["done"]


async def test_an_approval_does_not_lift_a_halt(world: World) -> None:
    # given
    ref = await world.start(ASKING, DEVICE)
    await world.engine.drive(ref)
    answer(world, Answer.APPROVED)

    # when
    world.halt()
    await world.finish(ref)

    # then
    assert world.lab.calls == []
    assert states(world, ref) == ["denied"]


async def test_at_a_cap_people_are_asked_and_paged_and_nothing_is_skipped(world: World) -> None:
    # given
    world.policy = GuardPolicy(auto=frozenset({"device.isolate"}), caps=Caps(per_run=1))
    world.new_engine()
    ref = await world.start(ISOLATE, DEVICE, PC2)

    # when
    await world.engine.drive(ref)

    # then
    (question,) = world.journal.ask_now(approvals.listed(TENANT))
    assert [one.code for one in question.question.targets[0].reasons] == ["cap_run"]
    assert [notice.kind for notice in world.notices()] == ["page"]
    answer(world, Answer.APPROVED)
    assert await world.finish(ref) is RunState.DONE
    assert states(world, ref) == ["done", "done"]


async def test_runs_at_once_share_the_cap_of_the_hour(world: World) -> None:
    # given
    world.policy = GuardPolicy(auto=frozenset({"device.isolate"}), caps=Caps(per_hour=3))
    world.new_engine()
    world.activate(ISOLATE)
    refs: list[RunRef] = []
    for number in range(6):
        device = Device(mde_id=f"{number}" * 40, name=f"pc{number}")
        incident_id = world.add_incident(device, name=f"inc{number}")
        refs += [RunRef(TENANT, run_id) for run_id in await world.match(incident_id)]

    # when
    for ref in refs:
        await world.engine.drive(ref)

    # then
    assert len(world.lab.isolated) == 3
    assert len(world.journal.ask_now(approvals.listed(TENANT))) == 3

    # when: an hour later there is room again, for others
    world.clock.pass_by(minutes=61)
    incident_id = world.add_incident(PC2, name="later")
    (run_id,) = await world.match(incident_id)
    await world.engine.drive(RunRef(TENANT, run_id))

    # then
    assert len(world.lab.isolated) == 4


async def test_a_batch_is_one_call_with_one_outcome_each(world: World) -> None:
    # given
    mails = [
        MailMessage(network_message_id=f"m{number}", recipient="ann@example.com")
        for number in range(120)
    ]
    world.policy = GuardPolicy(
        auto=frozenset({"mail.purge"}), caps=Caps(per_run=500, per_hour=500, in_flight=500)
    )
    world.new_engine()
    text = ISOLATE.replace("device.isolate", "mail.purge").replace("devices", "mails")

    # when
    ref = await world.run(text, *mails)

    # then
    assert [len(names) for _, names in world.lab.calls] == [100, 20]
    assert states(world, ref) == ["done"] * 120
    assert len({row.vendor_key for row in world.effects(ref)}) == 2
    assert world.lab.repeated() == {}


async def test_an_ambiguous_target_is_not_acted_on(world: World) -> None:
    # given
    world.lab.ambiguous.add(PC)

    # when
    ref = await world.run(ISOLATE, DEVICE, PC2)

    # then
    assert sorted(world.lab.isolated) == ["e" * 40]
    assert states(world, ref) == ["denied", "done"]


async def test_undo_takes_our_state_back_and_keeps_others_off(world: World) -> None:
    # given
    ref = await world.run(ISOLATE, DEVICE)

    # when
    reports = await world.engine.take_back(run_id=ref.run_id, by="ann", reason="mistake")

    # then
    assert [(one.action, one.result) for one in reports] == [("device.release", "done")]
    assert world.lab.isolated == {}
    left = world.journal.ask_now(holds.listed(TENANT))
    assert [(one.owner, one.owner_id) for one in left] == [(HoldOwner.SUPPRESS, "ann")]

    # when: the next incident wants it again
    incident_id = world.add_incident(DEVICE, name="inc2")
    (run_id,) = await world.match(incident_id)
    await world.engine.drive(RunRef(TENANT, run_id))

    # then: a person is asked first
    (question,) = world.journal.ask_now(approvals.listed(TENANT))
    assert [one.code for one in question.question.targets[0].reasons] == ["suppressed"]


async def test_undo_does_not_take_away_what_somebody_else_did(world: World) -> None:
    # given
    world.lab.isolated[PC] = ("portal", ())
    ref = await world.run(ISOLATE, DEVICE)

    # when
    (report,) = await world.engine.take_back(run_id=ref.run_id, by="ann")

    # then
    assert report.result == "kept"
    assert PC in world.lab.isolated
    assert [one.owner for one in world.journal.ask_now(holds.listed(TENANT))] == [HoldOwner.VENDOR]


async def test_a_state_that_two_runs_want_ends_with_the_second_undo(world: World) -> None:
    # given
    first = await world.run(ISOLATE, DEVICE)
    incident_id = world.add_incident(DEVICE, name="inc2")
    (run_id,) = await world.match(incident_id)
    second = RunRef(TENANT, run_id)
    await world.finish(second)
    assert states(world, second) == ["already"]

    # when
    (report,) = await world.engine.take_back(run_id=first.run_id, by="ann")

    # then
    assert report.result == "kept"
    assert PC in world.lab.isolated


async def test_an_order_goes_through_the_guard_and_asks_where_it_must(world: World) -> None:
    # given
    world.policy = GuardPolicy()
    world.new_engine()
    world.lab.traits[PC] = frozenset({Trait.SERVER})
    order = ActRequest(action="device.isolate", kind="device", target=PC, by="ann", reason="x")
    other = ActRequest(action="device.isolate", kind="device", target="e" * 40, by="ann")

    # when
    (asked,) = await world.engine.act(order)
    (done,) = await world.engine.act(other)

    # then
    assert (asked.result, done.result) == ("asked", "done")
    assert asked.approval_id is not None
    assert sorted(world.lab.isolated) == ["e" * 40]
    owner = world.journal.ask_now(holds.listed(TENANT))[0]
    assert (owner.owner, owner.owner_id) == (HoldOwner.PERSON, "ann")


async def test_an_order_on_a_protected_target_is_refused_with_every_reason(world: World) -> None:
    # given
    world.policy = GuardPolicy(protected=("mde:ddd*",))
    world.new_engine()
    world.lab.traits[PC] = frozenset({Trait.DOMAIN_CONTROLLER})
    world.halt()

    # when
    (report,) = await world.engine.act(
        ActRequest(action="device.isolate", kind="device", target=PC, by="ann")
    )

    # then
    assert report.result == "denied"
    for part in ("halted", "domain controller", "protected list"):
        assert part in report.reason


async def test_a_done_effect_is_looked_at_again_and_a_false_success_is_paged(
    world: World,
) -> None:
    # given
    ref = await world.run(ISOLATE, DEVICE)
    (effect,) = world.effects(ref)
    assert effect.verify_at is not None
    world.lab.isolated.clear()

    # when
    world.clock.pass_by(seconds=10)
    assert await world.engine.tend(50) == 1

    # then
    (effect,) = world.effects(ref)
    assert effect.verified is False
    assert [notice.kind for notice in world.notices()] == ["page"]
    assert await world.engine.tend(50) == 0


async def test_a_state_that_may_come_back_is_looked_at_a_second_time(world: World) -> None:
    # given
    world.lab.instead_after["disable"] = [Succeeded(look_again=timedelta(hours=1))]
    ref = await world.run(DISABLE, ANN)

    # when
    world.clock.pass_by(seconds=10)
    await world.engine.tend(50)

    # then
    (effect,) = world.effects(ref)
    assert effect.verified is True
    world.clock.pass_by(minutes=61)
    assert await world.engine.tend(50) == 1
    assert await world.engine.tend(50) == 0


async def test_a_cancelled_run_settles_what_is_open_and_starts_nothing_more(world: World) -> None:
    # given
    world.lab.instead["isolate"] = [pending("op1")]
    answers: list[Outcome] = [*[pending("op1")] * 5, Succeeded(proof="op1")]
    world.lab.operations["op1"] = lambda: answers.pop(0)
    text = ISOLATE + "  - {id: note, do: incident.comment, with: {text: hello}}\n"
    ref = await world.start(text, DEVICE)
    await world.engine.drive(ref)

    # when
    write = runs.cancel(ref, by="ann", chain=OPERATOR)
    assert world.journal.commit_now(write) is RunState.QUEUED
    await world.finish(ref)

    # then
    assert world.row(ref).state is RunState.CANCELLED
    assert states(world, ref) == ["done"]
    assert world.lab.comments == {}


async def test_a_cancelled_run_that_only_waits_ends_at_once(world: World) -> None:
    # given
    ref = await world.start(ASKING, DEVICE)
    await world.engine.drive(ref)

    # when
    state = world.journal.commit_now(runs.cancel(ref, by="ann", chain=OPERATOR))

    # then
    assert state is RunState.CANCELLED
    assert world.journal.ask_now(approvals.listed(TENANT)) == []


async def test_a_run_of_a_merged_incident_stops(world: World) -> None:
    # given
    ref = await world.start(ISOLATE, DEVICE)
    winner = world.add_incident(name="winner")

    # when
    world.merge(world.row(ref).incident_id or winner, winner)
    await world.finish(ref)

    # then
    assert world.row(ref).state is RunState.CANCELLED
    assert world.lab.calls == []


async def test_decisions_and_outcomes_are_on_the_audit_trail(world: World) -> None:
    # when
    await world.run(ISOLATE, DEVICE)

    # then
    actions = [one.action for one in world.journal.ask_now(audit.listed(TENANT))]
    assert "effect.decide" in actions
    assert "effect.outcome" in actions
    assert world.journal.ask_now(audit.verify(TENANT)) == []


async def test_two_names_of_one_machine_are_one_target(world: World) -> None:
    # given: one product names the sensor's id, the other a host name only
    world.lab.machines["pc1"] = PC
    by_name = Device(host_name="pc1", name="PC1")

    # when
    ref = await world.run(ISOLATE, DEVICE, by_name)

    # then
    assert world.lab.accepted[("isolate", PC)] == 1
    assert len(world.effects(ref)) == 1
    assert [len(ids) for ids in world.results(ref, "isolate").values()] == [2]
    assert len(world.journal.ask_now(holds.listed(TENANT))) == 1


async def test_a_hold_follows_an_entity_that_turned_out_to_be_another(world: World) -> None:
    # given: isolated under one name, and a person took it back
    by_directory = Device(entra_id="e1", name="PC1")
    world.lab.machines["e1"] = ""
    ref = await world.run(ISOLATE, by_directory)
    await world.engine.take_back(run_id=ref.run_id, by="ann")

    # when: it is found to be the machine that another incident names by its sensor
    world.lab.machines["e1"] = PC
    incident_id = world.add_incident(DEVICE, by_directory, name="inc2")
    (run_id,) = await world.match(incident_id)
    await world.finish(RunRef(TENANT, run_id))

    # then
    (question,) = world.journal.ask_now(approvals.listed(TENANT))
    assert [one.code for one in question.question.targets[0].reasons] == ["suppressed"]
    assert world.lab.accepted[("isolate", PC)] == 0


async def test_two_runs_that_want_the_same_at_once_send_it_once(world: World) -> None:
    # given
    world.activate(ISOLATE)
    refs: list[RunRef] = []
    for number in range(4):
        incident_id = world.add_incident(DEVICE, name=f"inc{number}")
        refs += [RunRef(TENANT, run_id) for run_id in await world.match(incident_id)]

    # when
    await asyncio.gather(*(world.engine.drive(ref) for ref in refs))
    for ref in refs:
        await world.finish(ref)

    # then
    assert world.lab.accepted[("isolate", PC)] == 1
    assert sorted(row.state.value for row in world.effects()) == ["already"] * 3 + ["done"]
    assert len(world.journal.ask_now(holds.listed(TENANT))) == 4
