"""Keeps apart what the labels of a Sentinel incident are: people's tags, the product's, and ours.

A copy that quell made carries the label `quell:TENANT/SOURCE/ID`, which names the original, and where
its classification cannot say the determination, `quell:verdict=CLASSIFICATION:DETERMINATION`.
Like the labels that Sentinel assigns by itself they are no tags, and stay when tags are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quell_microsoft.lenient import fold, items, mapping, text

__all__ = [
    "MARK",
    "created_for",
    "kept_labels",
    "mark_label",
    "originals",
    "read_tags",
    "tag_labels",
    "verdict_label",
    "with_verdict",
    "write_tags",
]

#: what our own labels begin with
MARK = "quell:"
VERDICT = MARK + "verdict="


def _name(label: Any) -> str:
    raw = label if isinstance(label, str) else mapping(label).get("labelName")
    return (text(raw) or "").strip()


def _is_tag(label: Any) -> bool:
    kind = fold(text(mapping(label).get("labelType")) or "User")
    return kind == "user" and bool(_name(label)) and not _is_mark(label)


def _is_mark(label: Any) -> bool:
    return _name(label).lower().startswith(MARK)


def read_tags(value: Any) -> frozenset[str]:
    """Read the labels that people gave, as a set."""
    return frozenset(_name(label) for label in items(value) if _is_tag(label))


def kept_labels(value: Any) -> list[Any]:
    """List the labels that are no tags: writing tags must not remove them."""
    return [label for label in items(value) if not _is_tag(label) and _name(label)]


def write_tags(wanted: Iterable[str], present: Any) -> list[Any]:
    """Give the whole array of labels: what is no tag as it stands, then the tags."""
    tags = sorted(tag for tag in wanted if not tag.lower().startswith(MARK))
    return [*kept_labels(present), *({"labelName": tag, "labelType": "User"} for tag in tags)]


def mark_label(origin: str) -> dict[str, str]:
    """Make the label that tells which original a copy was made for."""
    return {"labelName": MARK + origin, "labelType": "User"}


def created_for(value: Any) -> str | None:
    """Read the first such label."""
    return next(iter(originals(value)), None)


def originals(value: Any) -> list[str]:
    """Read all such labels. Anybody can write one: it counts only where the incident's name agrees."""
    marks = (label for label in items(value) if _is_mark(label) and not _is_verdict(label))
    origins = (_name(label)[len(MARK) :] for label in marks)
    return [origin for origin in origins if origin]


# -- the verdict -------------------------------------------------------------------------------


def _is_verdict(label: Any) -> bool:
    return _name(label).lower().startswith(VERDICT)


def verdict_label(value: Any) -> str | None:
    """Read what the label on the verdict says, as `CLASSIFICATION:DETERMINATION`."""
    found = (_name(label)[len(VERDICT) :] for label in items(value) if _is_verdict(label))
    return next((said for said in found if said), None)


def with_verdict(value: Any, said: Any) -> list[Any]:
    """Give the labels with another one on the verdict, or without any."""
    others = [label for label in items(value) if not _is_verdict(label)]
    return [*others, mark_label(f"verdict={said}")] if text(said) else others


def tag_labels(value: Any) -> Any:
    """Give the labels as they came, but for the one on the verdict: that is no news of tags."""
    labels = items(value)
    is_ours = created_for(labels) is not None
    return with_verdict(labels, None) if is_ours and any(map(_is_verdict, labels)) else value
