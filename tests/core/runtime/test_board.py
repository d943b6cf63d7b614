"""The picture of the quota that one host's process pins up for people."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quell.domain.ports import OperationClass, Rate
from quell.quota import MemoryQuota
from quell.runtime.board import Board, read_board, write_board
from quell.testing import SteppedClock

WRITES = OperationClass("arm", "write")


def test_what_is_pinned_can_be_read_again(tmp_path: Path) -> None:
    # given
    quota = MemoryQuota({WRITES: Rate(calls=75, seconds=300)}, SteppedClock())
    asyncio.run(quota.acquire(WRITES))
    states = asyncio.run(quota.states())
    board = Board(at=datetime(2026, 1, 1, tzinfo=UTC), worker="here/1/a", tenants={"lab": states})

    # when
    write_board(tmp_path, board)

    # then
    assert read_board(tmp_path) == board
    assert [one.name for one in tmp_path.iterdir()] == ["quota.json"]
    assert states[0].is_used
    assert states[0].left_for_sync < states[0].left_for_containment


@pytest.mark.parametrize("text", ["", "{", "[]", '{"at": 1}'])
def test_a_picture_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "quota.json").write_text(text)
    assert read_board(tmp_path) is None
    assert read_board(tmp_path / "nowhere") is None


def test_a_folder_that_cannot_be_written_keeps_nobody_from_work(tmp_path: Path) -> None:
    write_board(tmp_path / "nowhere", Board(at=datetime.now(UTC), worker="w", tenants={}))
