"""Two queues, everything that can happen to them in any order, and what must be so afterwards.

The sequences are hypothesis's: it looks for the shortest one that goes wrong. Longer ones, as
many as one likes, are played by `python -m tests.soak`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from tests.soak.acts import FATE, PEOPLE, Act, Scene
from tests.soak.oracle import judge
from tests.soak.play import Shelf, repeatable
from tests.soak.stage import Stage

NUMBERS = st.integers(0, 999)


def acts(kinds: dict[str, int]) -> st.SearchStrategy[Act]:
    """Give acts of some kinds, the frequent ones more often."""
    drawn = st.sampled_from([kind for kind, weight in kinds.items() for _ in range(weight)])
    return st.builds(Act, kind=drawn, a=NUMBERS, b=NUMBERS, c=NUMBERS, d=NUMBERS)


SCENES = st.builds(
    Scene,
    mode=st.sampled_from(["replica", "auto", "overlay"]),
    winner=st.sampled_from(["latest", "detector", "mirror"]),
    mirrors=st.sampled_from([1, 1, 2]),
    skew=st.sampled_from([(0, 0), (60, -60)]),
    has_counts=st.booleans(),
    tells_news=st.booleans(),
    page_size=st.sampled_from([1, 50]),
    has_copier=st.booleans(),
    copier_lag=st.sampled_from([0, 3, 14]),
)
PEOPLES = acts(PEOPLE)
MEANWHILE = st.lists(st.tuples(st.integers(1, 60), PEOPLES), max_size=3).map(tuple)
DEATHS = st.sampled_from([0, 0, 0]) | st.integers(1, 60)


#: opening a journal is slow: many sequences share one, each as a tenant of its own
SHELF = Shelf(40)
TENANTS = itertools.count(1)


class TwoQueues(RuleBasedStateMachine):
    """Everything that can happen to one tenant."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._runner = self._stack.enter_context(asyncio.Runner())
        self._stage: Stage | None = None

    @initialize(scene=SCENES, first=PEOPLES)
    def begin(self, scene: Scene, first: Act) -> None:
        """Have a tenant, with an incident in it."""
        journal, clock = SHELF.take()
        number = next(TENANTS)
        # two tenants of one journal must not draw the same ids
        self._stack.enter_context(repeatable(number))
        self._stage = Stage(journal, clock, f"t{number}", scene)
        self._runner.run(self._stage.begin())
        self._play(Act(kind="add", a=first.a, b=first.b, c=first.c, d=first.d))

    @rule(act=PEOPLES)
    def somebody_does_something(self, act: Act) -> None:
        """Let a person or a playbook do something."""
        self._play(act)

    @rule(act=acts(FATE))
    def something_happens(self, act: Act) -> None:
        """Let time pass, a product fail, an operator decide."""
        self._play(act)

    @rule(during=MEANWHILE, dies_at=DEATHS, is_double=st.booleans())
    def sync_passes(self, during: Any, dies_at: int, is_double: bool) -> None:
        """Run sync while others work, and perhaps not to its end."""
        kind = "two passes" if is_double else "pass"
        self._play(Act(kind=kind, during=during, dies_at=dies_at))

    def _play(self, act: Act) -> None:
        assert self._stage is not None
        stage, self._stage = self._stage, None  # there is nothing to judge where this raises
        self._runner.run(stage.play(act))
        self._stage = stage

    def teardown(self) -> None:
        """See that everything is as it must be."""
        try:
            if self._stage is not None:
                assert self._runner.run(judge(self._stage)) == []
        finally:
            self._stack.close()


@pytest.fixture(scope="module", autouse=True)
def shelf() -> Iterator[None]:
    """Put the journal away after the last sequence."""
    yield
    SHELF.close()


def test_two_queues_agree_whatever_happens() -> None:
    # given
    chosen = settings(
        max_examples=200,
        stateful_step_count=8,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        # a sequence of eight is short enough to read; making it shorter takes minutes
        phases=[Phase.generate],
    )

    # when / then: hypothesis prints the sequence that goes wrong
    run_state_machine_as_test(TwoQueues, settings=chosen)
