"""The conditions that the documentation shows can be meant."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from quell.playbooks.condition import Condition

PAGE = Path(__file__).parents[2] / "docs/how-to/route-incidents.md"


def test_every_condition_on_the_page_about_routes_is_one() -> None:
    # given
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    # when
    shown = [text for block in blocks for text in conditions(tomllib.loads(block))]

    # then
    assert len(shown) == 3
    assert [Condition("shown", text).setting for text in shown] == ["shown"] * 3


def conditions(values: dict[str, Any]) -> list[str]:
    """List the conditions in a piece of a configuration."""
    sync: dict[str, Any] = values["tenant"]["contoso"]["sync"]
    routes: list[dict[str, str]] = sync.get("routes", [])
    return [route["when"] for route in routes] + ([sync["filter"]] if "filter" in sync else [])
