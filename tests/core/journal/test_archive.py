"""The archive as a file: whole, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from quell.journal import archive
from quell.journal.payloads import pack, unpack


def test_an_archive_that_broke_off_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    # given
    def break_off() -> None:
        with archive.writing(tmp_path / "old.jsonl.zst", {}) as file:
            file.add("runs", "contoso", {"id": "r1"})
            raise RuntimeError

    # when
    with pytest.raises(RuntimeError):
        break_off()

    # then
    assert list(tmp_path.iterdir()) == []


def test_packed_text_is_what_it_was() -> None:
    text = '{"v":1,"body":{"n":"ü"}}'

    assert unpack(pack(text)) == text
    assert unpack(text) == text
