"""A day of two queues over HTTPS: people edit both while sync is at work, and nothing is lost."""

from __future__ import annotations

import pytest
from tests.soak.over_https import play_over_https

pytestmark = pytest.mark.anyio


async def test_edits_in_both_queues_while_sync_is_at_work_lose_nothing() -> None:
    # given / when
    wrongs, counts = await play_over_https(seed=7, edits=120)

    # then
    assert wrongs == []
    assert counts["edits"] >= 120
    assert counts["passes"] > 1
