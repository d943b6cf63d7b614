"""Dashboard and alert rules: they ask for what a process of quell really shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml
from tests.deploy.given import DEPLOY, check_command, check_promql, exposed

RULES = cast(
    "dict[str, Any]", yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))
)
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
BOARD = cast("dict[str, Any]", json.loads((DEPLOY / "grafana" / "quell.json").read_text("utf-8")))


def expressions() -> Iterator[str]:
    """Give every expression of the dashboard."""
    for panel in BOARD["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_series_that_there_are_and_says_what_to_do(rule: dict[str, Any]) -> None:
    check_promql(rule["expr"])
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "action"}
    for command in re.findall(r"`quell ([^`]*)`", rule["annotations"]["action"]):
        check_command(command.split())


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)


def test_the_dashboard_asks_for_series_that_there_are() -> None:
    for expression in expressions():
        check_promql(expression)


def test_an_expression_that_asks_for_something_else_would_be_seen() -> None:
    for wrong in (
        "max(quell_no_such_thing)",
        'quell_runs{source="x"}',
        "sum by (action) (quell_runs)",
    ):
        with pytest.raises(AssertionError):
            check_promql(wrong)


def test_everything_that_is_shown_is_looked_at_somewhere() -> None:
    asked = " ".join([*expressions(), *(rule["expr"] for rule in ALERTS)])
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed()}
    seen = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"quell_\w+", asked)}
    unseen = families - seen
    assert unseen == set()


def test_panels_lie_beside_each_other_and_have_ids_of_their_own() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & covered
        covered |= cells
