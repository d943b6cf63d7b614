"""The mark that a copy of ours carries: whose incident it was made for."""

from __future__ import annotations

import pytest

from quell.domain.ids import SourceId, TenantId
from quell.domain.original import Original

OURS = TenantId("contoso")


def test_a_mark_that_was_written_is_read_as_it_was() -> None:
    # given
    original = Original(tenant_id=OURS, source_id=SourceId("defender"), native_id="12")

    # when
    mark = str(original)

    # then
    assert mark == "contoso/defender/12"
    assert Original.read(mark) == original


@pytest.mark.parametrize("mark", [None, "", "defender", "defender/12", "/12", "a//12", "a/b/"])
def test_what_is_no_mark_is_read_as_none(mark: str | None) -> None:
    assert Original.read(mark) is None


@pytest.mark.parametrize(
    ("mark", "is_foreign"),
    [
        ("contoso/defender/12", False),
        ("fabrikam/defender/12", True),
        ("defender/12", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_a_copy_is_foreign_when_it_names_another_tenant(mark: str | None, is_foreign: bool) -> None:
    assert Original.is_foreign(mark, OURS) is is_foreign
