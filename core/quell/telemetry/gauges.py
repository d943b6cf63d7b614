"""The gauges: what each is called, what it answers, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from quell.journal.gauges import NEVER, Picture
from quell.quota import ClassState

__all__ = ["GAUGES", "Gauge", "Now"]

Labels = tuple[str, ...]
Numbers = Mapping[Labels, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """Everything that gauges are read from, as of one moment."""

    worker: str
    version: str
    #: None where the journal does not answer
    picture: Picture | None
    #: by tenant
    quotas: Mapping[str, Sequence[ClassState]]
    #: tenant and source of everything that is polled
    sources: Sequence[tuple[str, str]]
    #: tenant and name of every duty
    duties: Sequence[tuple[str, str]]
    #: tenant and name of duties whose last turn failed
    failing: Sequence[tuple[str, str]]
    #: runs that this process drives
    in_hand: int

    @property
    def seen(self) -> Picture:
        """Give what the journal said; nothing of it is told while it does not answer."""
        return self.picture or Picture()


@dataclass(frozen=True, slots=True)
class Gauge:
    """One number that goes up and down."""

    name: str
    text: str
    labels: Labels
    read: Callable[[Now], Numbers]


def _lags(now: Now) -> Numbers:
    if now.picture is None:
        return {}
    return {key: now.picture.poll_age.get(key, NEVER) for key in now.sources}


def _mine(now: Now) -> Numbers:
    """Tell which duties this very process holds: over the fleet, the sum is one for each."""
    if now.picture is None:
        return {}
    held = {
        (tenant, duty)
        for (tenant, duty, owner), left in now.picture.duties.items()
        if owner == now.worker and left > 0
    }
    return {key: float(key in held) for key in now.duties}


def _failing(now: Now) -> Numbers:
    return {key: float(key in now.failing) for key in now.duties}


def _left(now: Now, share: Callable[[ClassState], float]) -> Numbers:
    return {
        (tenant, one.api, one.name): share(one)
        for tenant, states in now.quotas.items()
        for one in states
    }


TENANT: Labels = ("tenant",)
QUOTA: Labels = ("tenant", "api", "class")

GAUGES = (
    Gauge("quell_up", "1, with the version that runs.", ("version",), lambda n: {(n.version,): 1}),
    Gauge(
        "quell_journal_up",
        "1 where the journal answers. Where it does not, what is read from it is missing here.",
        (),
        lambda n: {(): float(n.picture is not None)},
    ),
    Gauge(
        "quell_workers",
        "Workers on record by version: `live`, `draining`, or `silent` for longer than a lease.",
        ("version", "state"),
        lambda n: n.seen.workers,
    ),
    Gauge("quell_runs_in_hand", "Runs that this process drives.", (), lambda n: {(): n.in_hand}),
    Gauge("quell_runs", "Runs that have not ended.", ("tenant", "state"), lambda n: n.seen.runs),
    Gauge(
        "quell_queue_age_seconds",
        "For how long the run that is due longest has waited for a worker.",
        TENANT,
        lambda n: n.seen.due_age,
    ),
    Gauge(
        "quell_source_lag_seconds",
        "Seconds since a poll of a source last came to its end; +Inf before the first.",
        ("tenant", "source"),
        _lags,
    ),
    Gauge(
        "quell_unmatched",
        "Changes of incidents that no playbook was asked about yet.",
        TENANT,
        lambda n: n.seen.unmatched,
    ),
    Gauge(
        "quell_unmatched_age_seconds",
        "Age of the oldest of these changes.",
        TENANT,
        lambda n: n.seen.unmatched_age,
    ),
    Gauge(
        "quell_writes_open",
        "Writes to incidents that are planned, being sent, or parked for a person.",
        ("tenant", "state"),
        lambda n: n.seen.writes,
    ),
    Gauge(
        "quell_write_age_seconds",
        "Age of the oldest write that is planned or being sent.",
        TENANT,
        lambda n: n.seen.write_age,
    ),
    Gauge(
        "quell_effects_open",
        "Effects under way, and those of which a person has to say whether they happened.",
        ("tenant", "state"),
        lambda n: n.seen.effects,
    ),
    Gauge(
        "quell_approvals_open",
        "Questions that wait for a person.",
        TENANT,
        lambda n: n.seen.approvals,
    ),
    Gauge(
        "quell_approval_age_seconds",
        "Age of the oldest open question.",
        TENANT,
        lambda n: n.seen.approval_age,
    ),
    Gauge(
        "quell_held_starts",
        "Playbooks that were held back and wait to be let go.",
        TENANT,
        lambda n: n.seen.held_starts,
    ),
    Gauge(
        "quell_conflicts_open",
        "Conflicts between copies of incidents that nobody settled yet.",
        TENANT,
        lambda n: n.seen.conflicts,
    ),
    Gauge(
        "quell_items_parked",
        "Incidents that could not be read; they are tried again.",
        ("tenant", "source"),
        lambda n: n.seen.parked_items,
    ),
    Gauge(
        "quell_event_batches",
        "Batches of streamed events that wait to be taken in, or were refused for good.",
        ("tenant", "sink", "is_parked"),
        lambda n: n.seen.event_batches,
    ),
    Gauge(
        "quell_switch",
        "1 where a tenant is `armed`, or `halted`.",
        ("tenant", "switch"),
        lambda n: n.seen.switches,
    ),
    Gauge(
        "quell_duty_held",
        "1 where this process holds a duty; over a whole fleet, one process holds each.",
        ("tenant", "duty"),
        _mine,
    ),
    Gauge(
        "quell_duty_failing",
        "1 where the last turn of a duty in this process failed.",
        ("tenant", "duty"),
        _failing,
    ),
    Gauge(
        "quell_quota_left",
        "Calls that sync could send at this moment.",
        QUOTA,
        lambda n: _left(n, lambda one: one.left_for_sync),
    ),
    Gauge(
        "quell_quota_left_for_containment",
        "Calls that containment could send at this moment.",
        QUOTA,
        lambda n: _left(n, lambda one: one.left_for_containment),
    ),
    Gauge(
        "quell_quota_paused_seconds",
        "Seconds for which a product has asked not to be called.",
        QUOTA,
        lambda n: _left(n, lambda one: one.paused_for),
    ),
)
