"""The page on how once is kept: it names every action with an effect, with the code's own numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from quell.domain.action import Action, Effect
from quell.engine.engine import LEASE
from quell.journal.holding import RENEWALS
from quell.plugins import Lock, list_plugins, load_plugins
from quell.sync import BUILTIN_ACTIONS
from quell.sync.desk import answers, writer

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "once.md"
TEXT = PAGE.read_text(encoding="utf-8")
#: how long an unclear write to an incident is left alone before the first look
FIRST_LOOK: Callable[[int], timedelta] = vars(answers)["_backoff"]


def effects() -> dict[str, Action]:
    """List the bundled actions that change something."""
    bundled = [plugin for plugin in list_plugins() if plugin.is_bundled]
    registry = load_plugins(Lock(Path("plugins.lock")), bundled).with_actions(BUILTIN_ACTIONS)
    found = {one.name: one for one in registry.actions if one.effect is not Effect.READ}
    return dict(sorted(found.items()))


EFFECTS = effects()


def rows() -> dict[str, list[str]]:
    """Read the page's table: the cells of each action."""
    found = re.findall(r"^\| `(\w+\.\w+)` \| (.+) \|$", TEXT, re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


def seconds(length: timedelta) -> str:
    """Write a length as the page does."""
    return f"{length.total_seconds():g} s"


def test_every_bundled_action_with_an_effect_is_on_the_page_and_no_other() -> None:
    assert sorted(rows()) == sorted(EFFECTS)
    assert all(len(cells) == 4 and all(cells) for cells in rows().values())


@pytest.mark.parametrize("name", EFFECTS)
def test_the_residual_window_on_the_page_is_that_of_the_code(name: str) -> None:
    # given
    action, (window, least, *_) = EFFECTS[name], rows()[name]

    # then
    if action.system == "quell":
        # its requests are the writer's: the lease less one renewal, and the first look
        assert window == seconds(writer.LEASE - writer.LEASE / RENEWALS)
        assert least == seconds(FIRST_LOOK(0))
    elif action.observe_function is None:
        assert (window, least) == ("none", "none")
    else:
        assert window == seconds(action.timeout + action.settle)
        assert least == seconds(action.settle)


def test_the_leases_on_the_page_are_those_of_the_code() -> None:
    assert f"the run, {seconds(LEASE)} from then" in TEXT
    assert f"the incident's lease of {seconds(writer.LEASE)}" in TEXT
    assert f"renewed every {seconds(writer.LEASE / RENEWALS)}" in TEXT
    assert f"it looks {seconds(FIRST_LOOK(0))} later, then {seconds(FIRST_LOOK(1))}" in TEXT
