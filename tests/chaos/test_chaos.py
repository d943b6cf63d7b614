"""The short form of the chaos suite: every kind of trouble once, and what came of it counted."""

from __future__ import annotations

import asyncio

from tests.chaos.play import play
from tests.chaos.scenarios import EVERYTHING, find
from tests.chaos.stage import Servers

SEED = 20_26


def test_a_fleet_in_every_kind_of_trouble_loses_nothing_and_does_nothing_twice() -> None:
    # given
    with Servers.running() as servers:
        # when: killed, stopped, cut off, starved and flushed, one after the other
        played = play(
            servers, EVERYTHING, runs=120, at_once=50, seed=SEED, rounds=len(EVERYTHING.parts)
        )
        result = asyncio.run(played)

    # then
    assert result.wrongs == []
    assert (result.account.lost, result.account.doubled) == (0, 0)
    assert result.account.runs == 120 + 12
    assert result.account.ordered == result.account.done > 0
    assert result.kills >= 2


def test_workers_of_the_released_version_beside_todays_do_everything_once() -> None:
    # given
    with Servers.running() as servers:
        # when: an upgrade, in which workers die
        played = play(servers, find("versions"), runs=50, at_once=25, seed=SEED, kills=1, workers=3)
        result = asyncio.run(played)

    # then
    assert result.wrongs == []
    assert result.account.ordered == result.account.done == 55
    assert result.versions == {"0.1.0", result.today}
