"""Alerts and evidence as rows: nothing that an alert says is left out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_defender.alert_rows import ALERTS, EVIDENCE, alert_rows, evidence_rows
from quell_microsoft.lenient import items

SAMPLES = (
    Path(os.environ.get("QUELL_SAMPLES") or Path(__file__).parents[4] / "shared" / "samples")
    / "defender"
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def leaves(value: Any) -> Iterator[Any]:
    """List everything inside that is neither list nor object, nor says nothing."""
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        for inner in items(value):
            yield from leaves(inner)
    elif value is not None:
        yield value


def sampled_alerts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted(SAMPLES.glob("graph_alert*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        found += body["value"] if isinstance(body.get("value"), list) else [body]
    return found


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no recorded samples here")
def test_recorded_alerts_keep_all_that_they_say() -> None:
    alerts = sampled_alerts()
    assert len(alerts) >= 5
    for alert in alerts:
        # when
        rows = [*alert_rows(alert), *evidence_rows(alert)]

        # then
        kept = [json.dumps(leaf) for leaf in leaves(rows)]
        assert [leaf for leaf in leaves(alert) if json.dumps(leaf) not in kept] == []
        assert {name for row in rows[:1] for name in row} <= set(ALERTS.columns)
        assert {name for row in rows[1:] for name in row} <= set(EVIDENCE.columns)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no recorded samples here")
def test_recorded_evidence_has_its_verdict_and_roles_in_columns() -> None:
    rows = [row for alert in sampled_alerts() for row in evidence_rows(alert)]

    assert len(rows) >= 10
    assert all(row["Verdict"] == row["Raw"]["verdict"] for row in rows if "Verdict" in row)
    assert {row["EvidenceType"] for row in rows} >= {"deviceEvidence", "userEvidence"}
    assert any(row.get("Roles") for row in rows)


@given(alert=st.dictionaries(st.text(max_size=8), JSON, max_size=6), evidence=JSON)
def test_whatever_an_alert_holds_is_in_its_rows(alert: dict[str, Any], evidence: Any) -> None:
    # given
    alert = {**alert, "id": "x", "userAccount": 1, "evidence": evidence}

    # when
    rows = [*alert_rows(alert), *evidence_rows(alert)]

    # then
    kept = [json.dumps(leaf) for leaf in leaves(rows)]
    assert [leaf for leaf in leaves(alert) if json.dumps(leaf) not in kept] == []


def test_an_evidence_that_is_no_object_is_kept_as_it_is() -> None:
    rows = evidence_rows({"id": "x", "evidence": ["odd", 7]})

    assert [(row["Place"], row["EvidenceType"], row["Raw"]) for row in rows] == [
        (0, "", "odd"),
        (1, "", 7),
    ]
