"""The words that quell puts into comments: copies of people's, and what tells of alerts.

Whatever comes from an incident is data: control characters and direction overrides are dropped
here. It stays plain text: whoever speaks to a product that shows markup escapes it there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from quell.domain.entity import Evidence
from quell.domain.incident import Alert

__all__ = [
    "alert_digest",
    "alerts_text",
    "copy_key",
    "copy_parts",
    "fitting",
    "joined",
    "keys_in",
    "short_digest",
    "signed",
    "squeezed",
    "units",
]

_KEY = re.compile(r"\[quell ([a-z2-7]{16})\]")
#: what a line of ours on somebody's words begins with: in their words it would speak for others
_OURS = re.compile(r"\[(?=\s*quell\b)", re.IGNORECASE)
#: direction marks, overrides and isolates, and everything that is not printable but newline and tab
_HIDDEN = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
#: room for our key and the line that says who wrote it
HEADER = 400
#: between comments that share one text
BETWEEN = "\n\n· · ·\n\n"
#: longest name or title inside a line of ours
LINE = 300


def short_digest(*parts: str) -> str:
    """Give a short name that is the same for the same parts."""
    content = "\x00".join(parts).encode("utf-8", "replace")
    return hashlib.sha256(content).hexdigest()[:32]


def copy_key(secret: bytes, *parts: str) -> str:
    """Give the key that one copy of a comment carries; nobody else can make it."""
    content = "\x00".join(parts).encode("utf-8", "replace")
    digest = hmac.new(secret, content, hashlib.sha256).digest()
    return base64.b32encode(digest[:10]).decode().lower()


def keys_in(text: str) -> frozenset[str]:
    """List the keys that a text carries. Says nothing about who wrote it."""
    return frozenset(_KEY.findall(text))


def signed(key: str, header: str, body: str) -> str:
    """Put our key and a line on the origin before a text."""
    return f"[quell {key}] {header}\n\n{body}" if header else f"[quell {key}] {body}"


def copy_parts(text: str, limit: int) -> list[str]:
    """Cut a comment into pieces that fit, between words where there are any."""
    rest = _shown(text)
    room = max(limit - HEADER, 200)
    pieces: list[str] = []
    while units(rest) > room:
        cut = _cut(rest, _within(rest, room))
        pieces.append(rest[:cut])
        rest = rest[cut:].lstrip(" ") if rest[:cut].strip() else rest[cut:]
    return [*pieces, rest]


def units(text: str) -> int:
    """Count characters as products do, where an emoji is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _within(text: str, room: int) -> int:
    """Tell how many characters of a text fit into so many units."""
    size = min(len(text), room)
    while (over := units(text[:size]) - room) > 0:
        size -= (over + 1) // 2
    return size


def joined(texts: Sequence[str]) -> str:
    """Put several comments into one text; each keeps its key and its line on the origin."""
    return BETWEEN.join(texts)


def fitting(texts: Sequence[str], taken: int, limit: int) -> int:
    """Tell how many texts, from the first on, fit into one comment of which so much is taken."""
    for count, text in enumerate(texts):
        taken += units(text) + (len(BETWEEN) if taken else 0)
        if taken > limit:
            return count
    return len(texts)


def _cut(text: str, room: int) -> int:
    for mark in ("\n", " "):
        found = text.rfind(mark, room * 4 // 5, room)
        if found > 0:
            return found + 1
    return room


def origin_line(author: str, where: str, at: datetime | None, part: int, parts: int) -> str:
    """Say who wrote the original, where and when."""
    who = line(author) or "somebody"
    when = f", {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""
    of = f" ({part + 1} of {parts})" if parts > 1 else ""
    return f"{who} wrote in {where}{when}{of}:"


def squeezed(text: str) -> str:
    """Reduce a text to what two copies of it have in common, whatever was done to its layout."""
    return " ".join(html.unescape(text).split())


def line(text: str) -> str:
    """Make one harmless line of a name or title."""
    flat = " ".join(_shown(text[: LINE * 4]).split())
    return flat[:LINE]


def _shown(text: str) -> str:
    whole = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
    return _OURS.sub("(", _HIDDEN.sub("", whole))


# -- alerts --------------------------------------------------------------------------------------


def alert_digest(alert: Alert) -> str:
    """Digest what our copies are told of an alert: it is told again when this changes."""
    return short_digest(*_alert_lines(alert))


def alerts_text(alerts: Sequence[Alert], url: str) -> str:
    """Describe alerts with their evidence, as plain text."""
    lines = [f"Alerts of {url}" if url else "Alerts"]
    for alert in alerts:
        lines += ["", *_alert_lines(alert)]
    return "\n".join(lines)


def _alert_lines(alert: Alert) -> list[str]:
    about = ", ".join(
        line(part) for part in (alert.severity, alert.product, alert.category) if part
    )
    head = f"* {line(alert.title) or 'untitled'} ({about})"
    when = f"  alert {line(alert.id)}" + (f", {line(alert.created)}" if alert.created else "")
    tactics = _listed(line(one.replace("_", " ")) for one in alert.tactics)
    more = [f"  tactics: {tactics}"] if tactics else []
    return [head, when, *more, *sorted({_evidence_line(one) for one in alert.evidence})]


def _evidence_line(evidence: Evidence) -> str:
    entity = evidence.entity
    names = [entity.name, *(alias.value for alias in entity.aliases())]
    shown = next((line(name) for name in names if name), "unnamed")
    roles = _listed(evidence.roles)
    verdict = evidence.verdict.value
    return f"  - {evidence.kind.value} {shown}: {verdict}{f', {roles}' if roles else ''}"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(str(value) for value in values))


def content_digest(value: object) -> str:
    """Digest any JSON value, to tell whether it changed."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
