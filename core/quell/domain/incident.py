"""The canonical incident: what both queues say about one attack, in quell's own words.

Reading is lenient (`parse_…` maps what it does not know to `unknown` and never raises);
writing is strict: a value outside its enum cannot be made. Every product keeps its own
representation in the link's shadow, so nothing that these words cannot hold is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from quell.domain.entity import Evidence

__all__ = [
    "Alert",
    "Classification",
    "Comment",
    "Determination",
    "IncidentFields",
    "Origin",
    "Owner",
    "Severity",
    "Status",
    "Task",
    "Verdict",
]


class Severity(StrEnum):
    """How bad it is; ordered by `rank`, `unknown` lowest."""

    UNKNOWN = "unknown"
    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Give the place in the order, 0 to 4."""
        return list(Severity).index(self)


class Status(StrEnum):
    """Where the work on an incident stands. A merged incident has no status of its own."""

    NEW = "new"
    ACTIVE = "active"
    CLOSED = "closed"


class Classification(StrEnum):
    """What the incident turned out to be."""

    UNDETERMINED = "undetermined"
    TRUE_POSITIVE = "true_positive"
    BENIGN_POSITIVE = "benign_positive"
    FALSE_POSITIVE = "false_positive"


class Determination(StrEnum):
    """The finer answer below a classification."""

    UNKNOWN = "unknown"
    APT = "apt"
    MALWARE = "malware"
    SECURITY_PERSONNEL = "security_personnel"
    SECURITY_TESTING = "security_testing"
    UNWANTED_SOFTWARE = "unwanted_software"
    OTHER = "other"
    MULTI_STAGED_ATTACK = "multi_staged_attack"
    COMPROMISED_ACCOUNT = "compromised_account"
    PHISHING = "phishing"
    MALICIOUS_USER_ACTIVITY = "malicious_user_activity"
    NOT_MALICIOUS = "not_malicious"
    NOT_ENOUGH_DATA = "not_enough_data_to_validate"
    CONFIRMED_ACTIVITY = "confirmed_activity"
    LINE_OF_BUSINESS_APPLICATION = "line_of_business_application"


class Origin(StrEnum):
    """How a revision came about; only `live` ones may start containment."""

    LIVE = "live"
    BACKFILL = "backfill"
    ADOPTION = "adoption"
    REPLAY = "replay"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Classification and determination, which only mean something together."""

    classification: Classification = Classification.UNDETERMINED
    determination: Determination = Determination.UNKNOWN


class Owner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who works on it: free text in one product, a directory object in another."""

    object_id: str | None = None
    upn: str | None = None
    email: str | None = None
    name: str | None = None

    @property
    def label(self) -> str | None:
        """Give the one string that stands for this owner where only one fits."""
        return self.upn or self.email or self.name


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    """One comment as its product shows it. `key` is the product's id, or a digest where it has none."""

    key: str
    text: str
    author: str = ""
    created: datetime | None = None
    #: the id of the mirrored original when quell wrote this copy itself
    mirror_of: str | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to be done for an incident, as its product shows it."""

    #: the product's id
    key: str
    title: str
    description: str = ""
    is_done: bool = False
    created_by: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One detection by a product, with its evidence. `raw` is the product's own JSON, whole."""

    id: str
    title: str = ""
    severity: Severity = Severity.UNKNOWN
    status: str = "unknown"
    #: which product raised it, in quell's spelling: endpoint, identity, office, cloud_apps, xdr, …
    product: str = ""
    category: str = ""
    created: str | None = None
    updated: str | None = None
    #: first and last thing that it tells of, by the product's clock
    first_activity: datetime | None = None
    last_activity: datetime | None = None
    #: MITRE ATT&CK tactics in quell's spelling: `initial_access`, `lateral_movement`, …
    tactics: frozenset[str] = frozenset()
    evidence: tuple[Evidence, ...] = ()
    raw: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class IncidentFields(msgspec.Struct, frozen=True, kw_only=True):
    """The canonical value of every field that the queues share; the names are the sync's field names.

    `None` stands for "nobody has said", which is not the same as an empty value.
    """

    title: str | None = None
    description: str | None = None
    severity: Severity | None = None
    status: Status | None = None
    owner: Owner | None = None
    verdict: Verdict | None = None
    closing_comment: str | None = None
    tags: frozenset[str] = frozenset()
    #: what follows from the alerts, and is never decided between copies
    first_activity: datetime | None = None
    last_activity: datetime | None = None
    tactics: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()

    def replace(self, changes: Mapping[str, Any]) -> IncidentFields:
        """Return these fields with some of them changed; unknown names raise TypeError."""
        return msgspec.structs.replace(self, **changes)
