"""The plan: order, edges, bodies; and that every graph comes to an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quell.domain.ids import StepKey
from quell.domain.playbook import After, AfterCondition, ForEach, Step
from quell.domain.run import RunState, StepState, TargetResult
from quell.engine.plan import consequences, is_over, nodes, outcome, ready
from quell.journal.steps import StepPlan, StepRow, TargetEntry

CONDITIONS = list(AfterCondition)


def step(name: str, *after: tuple[str, AfterCondition]) -> Step:
    edges = tuple(After(step=source, condition=condition) for source, condition in after)
    return Step(id=name, do="x.y", after=edges)


def row(key: str, state: StepState, *results: TargetResult) -> StepRow:
    entries = tuple(
        TargetEntry(target_id=f"t{number}", result=result) for number, result in enumerate(results)
    )
    return StepRow(key=StepKey(key), state=state, results=entries)


def keyed(*rows: StepRow) -> dict[StepKey, StepRow]:
    return {one.key: one for one in rows}


def test_steps_without_edges_are_ready_at_once_and_others_wait() -> None:
    steps = [step("a"), step("b"), step("c", ("a", AfterCondition.SETTLED))]
    assert [node.key for node in ready(steps, {})] == ["a", "b"]


def test_all_means_every_step_above() -> None:
    # given
    steps = [step("a"), step("b"), step("c", ("all", AfterCondition.SETTLED))]

    # when
    half = keyed(row("a", StepState.DONE))
    whole = keyed(row("a", StepState.DONE), row("b", StepState.SKIPPED))

    # then
    assert [node.key for node in ready(steps, half)] == ["b"]
    assert [node.key for node in ready(steps, whole)] == ["c"]


def test_one_target_out_of_the_wanted_state_is_a_failure_for_the_edges() -> None:
    # given
    steps = [
        step("a"),
        step("good", ("a", AfterCondition.SUCCEEDED)),
        step("bad", ("a", AfterCondition.FAILED)),
    ]

    # when
    known = keyed(row("a", StepState.DONE, TargetResult.DONE, TargetResult.DENIED))

    # then
    assert [node.key for node in ready(steps, known)] == ["bad"]
    assert [one.key for one in consequences(steps, known)] == ["good"]


def test_a_skipped_step_neither_succeeded_nor_failed() -> None:
    steps = [
        step("a"),
        step("good", ("a", AfterCondition.SUCCEEDED)),
        step("bad", ("a", AfterCondition.FAILED)),
    ]
    known = keyed(row("a", StepState.SKIPPED))
    assert {one.key for one in consequences(steps, known)} == {"good", "bad"}


def test_a_body_exists_once_for_each_item_and_closes_with_its_last_step() -> None:
    # given
    inner = (step("x"), step("y", ("x", AfterCondition.SETTLED)))
    body = Step(id="each", for_each=ForEach(items="l", name="one", steps=inner))
    steps = [body, step("end", ("each", AfterCondition.SETTLED))]
    begun = StepRow(key=StepKey("each"), state=StepState.RUNNING, plan=StepPlan(items=("a", "b")))
    known = keyed(begun)

    # then
    assert [node.key for node in ready(steps, known)] == ["each[0].x", "each[1].x"]
    assert [node.bindings for node in nodes(steps, known) if node.prefix] == [
        {"one": "a"},
        {"one": "a"},
        {"one": "b"},
        {"one": "b"},
    ]

    # when
    for number in range(2):
        for name in ("x", "y"):
            known |= keyed(row(f"each[{number}].{name}", StepState.DONE))

    # then
    (closed,) = consequences(steps, known)
    assert (closed.key, closed.state) == ("each", StepState.DONE)


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    size = draw(st.integers(1, 8))
    steps: list[Step] = []
    for number in range(size):
        sources = [f"s{earlier}" for earlier in range(number)] + (["all"] if number else [])
        edges = draw(st.lists(st.sampled_from(sources), max_size=3, unique=True)) if sources else []
        conditions = [draw(st.sampled_from(CONDITIONS)) for _ in edges]
        steps.append(step(f"s{number}", *zip(edges, conditions, strict=True)))
    return steps


@given(graphs(), st.data())
def test_every_graph_ends_with_each_step_settled_once_in_an_order_that_its_edges_allow(
    steps: list[Step], data: st.DataObject
) -> None:
    # given
    known: dict[StepKey, StepRow] = {}
    order: list[str] = []

    # when
    for _ in range(len(steps) + 1):
        for settled in consequences(steps, known):
            assert settled.key not in known
            known[settled.key] = settled
            order.append(settled.key)
        can = ready(steps, known)
        if not can:
            break
        node = data.draw(st.sampled_from(can))
        result = data.draw(st.sampled_from(list(TargetResult)))
        known[node.key] = row(node.key, StepState.DONE, result)
        order.append(node.key)

    # then
    assert is_over(steps, known)
    assert sorted(order) == sorted(one.id for one in steps)
    assert outcome(known) is RunState.DONE
    for one in steps:
        for edge in one.after:
            if edge.step != "all" and known[StepKey(one.id)].state is StepState.DONE:
                assert order.index(edge.step) < order.index(one.id)
