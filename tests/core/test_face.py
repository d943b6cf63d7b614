"""The public face: sorted, complete, and light."""

from __future__ import annotations

import subprocess
import sys

import quell
from quell import hookspecs
from quell.domain import action, outcome

#: what only runs, queues and products need
HEAVY = ("sqlalchemy", "alembic", "celery", "redis", "httpx", "msal", "rich", "yaml", "jsonschema")


def test_all_is_sorted_and_each_name_exists() -> None:
    assert sorted(quell.__all__) == list(quell.__all__)
    assert [name for name in quell.__all__ if not hasattr(quell, name)] == []


def test_everything_public_in_the_face_is_in_all() -> None:
    public = {
        name
        for name, value in vars(quell).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("quell.")
    }

    assert public <= set(quell.__all__) | {"annotations"}


def test_the_face_has_all_that_an_action_needs() -> None:
    needed = {*action.__all__, *outcome.__all__} - {"connector_types"}

    assert needed <= set(quell.__all__)
    assert quell.hookimpl is hookspecs.hookimpl


def test_importing_quell_loads_no_database_broker_or_http_client() -> None:
    code = f"import sys, quell; print([name for name in {HEAVY!r} if name in sys.modules])"

    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert shown.strip() == "[]"
