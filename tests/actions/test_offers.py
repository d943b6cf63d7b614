"""What the three plugins of actions offer fits together, and loading them stays light."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain

import pytest

import quell_defender
import quell_device
import quell_mail
import quell_microsoft
import quell_user
from quell import Action, Effect
from quell.domain.action import connector_types
from quell.testing import offers_of

PLUGINS = (quell_device, quell_user, quell_mail)
ACTIONS: dict[str, Action] = {
    action.name: action for plugin in PLUGINS for action in plugin.quell_actions()
}
OFFERED = {
    spec.kind
    for plugin in (quell_microsoft, quell_defender, quell_device, quell_user)
    for spec in plugin.quell_connectors()
}


def test_the_hooks_are_answered_as_the_contract_says() -> None:
    # when
    offers = [offers_of(plugin) for plugin in PLUGINS]

    # then
    names = [action.name for offer in offers for action in offer["quell_actions"]]
    assert sorted(names) == [
        "device.isolate",
        "device.release",
        "mail.purge",
        "mail.restore",
        "user.disable",
        "user.enable",
        "user.get",
        "user.revoke_sessions",
    ]
    assert all(offer["quell_resolvers"] for offer in offers)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_every_action_says_who_makes_it_what_it_needs_and_where_it_is_described(
    action: Action,
) -> None:
    assert action.summary.endswith(".")
    assert action.permissions
    assert action.docs.startswith("https://learn.microsoft.com/")
    assert action.identity == ("reader" if action.effect is Effect.READ else action.entity)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_what_an_action_makes_its_reversal_ends(action: Action) -> None:
    # given
    if action.reversal is None:
        assert action.makes is None
        return
    reversal = ACTIONS[action.reversal]

    # then
    assert (reversal.makes, reversal.ends) == (action.ends, action.makes)
    assert reversal.target is action.target


def test_every_client_that_is_asked_for_is_offered() -> None:
    # given
    functions = chain.from_iterable(
        (action.call, action.observe_function, action.poll_function, action.cancel_function)
        for action in ACTIONS.values()
    )
    resolvers = [resolver.resolve for plugin in PLUGINS for resolver in plugin.quell_resolvers()]

    # when
    wanted = {
        kind
        for function in (*functions, *resolvers)
        if function is not None
        for kind in connector_types(function).values()
    }

    # then
    assert wanted <= OFFERED


def test_loading_the_plugins_loads_no_client_and_no_database() -> None:
    # given
    heavy = "{'httpx', 'aiohttp', 'msal', 'stamina', 'sqlalchemy', 'celery', 'starlette'}"
    program = (
        "import sys, quell_device, quell_user, quell_mail; "
        f"print(sorted({heavy} & set(sys.modules)))"
    )

    # when
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    # then
    assert loaded.stdout.strip() == "[]"
