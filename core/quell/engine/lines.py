"""Decisions as lines for a run's events and the audit trail."""

from __future__ import annotations

from quell.domain.decision import Allowed, AskFirst, Decision, Denied, NotYet
from quell.journal.standing import Wanted

__all__ = ["line_of"]


def line_of(one: Wanted, decision: Decision) -> dict[str, object]:
    """Say what was decided about one target: the word, every reason, and the effect's key."""
    if one.is_already and not isinstance(decision, NotYet):
        return {"target": one.target_id, "decision": "already", "effect": one.key}
    reasons: list[dict[str, str]] = []
    if isinstance(decision, Denied | AskFirst | NotYet):
        reasons = [{"code": one.code, "text": one.text} for one in decision.reasons]
    return {
        "target": one.target_id,
        "decision": _word(decision),
        "reasons": reasons,
        "effect": one.key,
    }


def _word(decision: Decision) -> str:
    match decision:
        case Allowed():
            return "allowed"
        case Denied():
            return "denied"
        case AskFirst():
            return "ask"
        case NotYet():
            return "not_yet"
