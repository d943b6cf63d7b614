"""Translates classification and reason of a Sentinel incident into a verdict and back.

Sentinel knows four pairs where the detecting product knows fifteen determinations. A false
positive keeps its finer answer in the reason; our own copies say the rest in a label, which
counts only while it fits the pair beside it, so that a person's choice in the portal goes over
it. On other copies a pair stands for every verdict that is written as that pair, so that who
changes only a comment or the status loses no determination.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quell.domain.incident import Classification, Determination, Verdict
from quell_microsoft.lenient import fold, mapping, member, text
from quell_sentinel.copies import is_from_defender
from quell_sentinel.labels import created_for, verdict_label

__all__ = [
    "CLASSIFICATION_WRITE",
    "DATA",
    "LOGIC",
    "REASON_WRITE",
    "native_verdict",
    "read_verdict",
    "same_verdict",
    "write_verdict",
]

CLASSIFICATION_WRITE = {
    Classification.UNDETERMINED: "Undetermined",
    Classification.TRUE_POSITIVE: "TruePositive",
    Classification.BENIGN_POSITIVE: "BenignPositive",
    Classification.FALSE_POSITIVE: "FalsePositive",
}
_CLASSIFICATION_READ = {fold(raw): ours for ours, raw in CLASSIFICATION_WRITE.items()}
#: the only reason that the portal offers for these
REASON_WRITE = {
    Classification.TRUE_POSITIVE: "SuspiciousActivity",
    Classification.BENIGN_POSITIVE: "SuspiciousButExpected",
}
LOGIC, DATA = "IncorrectAlertLogic", "InaccurateData"
_REASON_READ = {
    fold(LOGIC): Determination.NOT_MALICIOUS,
    fold(DATA): Determination.NOT_ENOUGH_DATA,
}
_HALVES = ("classification", "classificationReason")


def native_verdict(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Take what an incident says of its verdict: the pair, our label, or that a connector wrote it."""
    raw = {half: properties.get(half) for half in _HALVES}
    if is_from_defender(properties):
        return raw | {"providerName": properties.get("providerName")}
    labels = properties.get("labels")
    return raw if created_for(labels) is None else raw | {"label": verdict_label(labels)}


def read_verdict(value: Any) -> Verdict:
    """Read a classification and what its reason, or our label, says about the determination."""
    raw = mapping(value)
    said = _read_pair(raw)
    classification, _, determination = (text(raw.get("label")) or "").partition(":")
    labelled = member(Determination, determination, Determination.UNKNOWN)
    if said.classification != classification or labelled.value != determination:
        return said
    found = Verdict(classification=said.classification, determination=labelled)
    is_false = said.classification is Classification.FALSE_POSITIVE
    return found if not is_false or _has_pair(raw, _pair(found)) else said


def _read_pair(raw: Mapping[str, Any]) -> Verdict:
    classification = _CLASSIFICATION_READ.get(
        fold(text(raw.get("classification")) or ""), Classification.UNDETERMINED
    )
    if classification is not Classification.FALSE_POSITIVE:
        return Verdict(classification=classification)
    reason = fold(text(raw.get("classificationReason")) or "")
    return Verdict(
        classification=classification,
        determination=_REASON_READ.get(reason, Determination.UNKNOWN),
    )


def same_verdict(wanted: Verdict, present: Any) -> bool:
    """Tell whether what is there is what the verdict is written as, whatever its case."""
    raw = mapping(present)
    if "label" in raw:
        return read_verdict(raw) == wanted and _has_pair(raw, _pair(wanted))
    if "providerName" in raw and wanted.classification is Classification.FALSE_POSITIVE:
        # Microsoft's connector writes this reason for all of them
        return _has_pair(raw, _pair(wanted)) or _has_pair(raw, _pair(wanted) | {_HALVES[1]: DATA})
    return _has_pair(raw, _pair(wanted))


def _has_pair(raw: Mapping[str, Any], pair: Mapping[str, str | None]) -> bool:
    return all(fold(text(raw.get(half)) or "") == fold(value or "") for half, value in pair.items())


def write_verdict(value: Verdict | None, present: Any) -> dict[str, Any]:
    """Give the pair for a verdict, and the label where the copy has one; the rest as it stands."""
    wanted = value or Verdict()
    pair = _pair(wanted)
    raw = mapping(present)
    if "providerName" in raw:
        return {**pair, "providerName": raw["providerName"]}
    if "label" not in raw:
        return {**pair}
    is_plain = _read_pair(pair) == wanted
    return pair | {"label": None if is_plain else f"{wanted.classification}:{wanted.determination}"}


def _pair(wanted: Verdict) -> dict[str, str | None]:
    reason = REASON_WRITE.get(wanted.classification)
    if wanted.classification is Classification.FALSE_POSITIVE:
        reason = LOGIC if wanted.determination is Determination.NOT_MALICIOUS else DATA
    return {
        "classification": CLASSIFICATION_WRITE[wanted.classification],
        "classificationReason": reason,
    }
