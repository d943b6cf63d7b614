"""Effects on targets, the holds that keep them, and the questions about them."""

from __future__ import annotations

import sqlalchemy as sa

from quell.domain.approval import Answer
from quell.domain.hold import HoldOwner
from quell.domain.run import EffectState
from quell.journal.columns import Body, Instant
from quell.journal.tables.declare import key, may, need, one_of, table

__all__ = ["approvals", "counters", "effects", "holds", "targets"]

effects = table(
    "effects",
    #: idempotency key: tenant, run, step, canonical target, action; the same for all attempts
    key("effect_key"),
    #: order in which effects on one target were decided
    need("seq", sa.BigInteger),
    may("run_id"),
    may("step_key"),
    need("action"),
    need("system"),
    need("kind"),
    may("incident_id"),
    need("target_id"),
    need("target_kind"),
    need("target", Body),
    need("params", Body),
    need("params_digest"),
    need("state"),
    #: what stands in the vendor's record: the key of this effect, or of the batch it was sent in
    need("vendor_key"),
    #: `Observation` before
    may("before", Body),
    may("outcome", Body),
    may("operation", Body),
    need("reason"),
    #: who asked: a playbook's id, or a person
    need("by"),
    may("approval_id"),
    #: version of the guard's policy that it was decided under
    need("policy"),
    need("decided_at", Instant),
    #: nothing may be sent after this
    need("deadline", Instant),
    may("sent_at", Instant),
    may("settled_at", Instant),
    may("poll_at", Instant),
    may("verify_at", Instant),
    may("verified", sa.Boolean),
    sa.Index(None, "tenant_id", "run_id", "step_key"),
    sa.Index(None, "tenant_id", "target_id", "seq"),
    sa.Index(None, "tenant_id", "vendor_key"),
    # the guard's counts must not walk over all that is settled
    sa.Index(None, "tenant_id", "kind", "state", "decided_at"),
    sa.Index("ix_effects_open", "state", "poll_at"),
    sa.Index("ix_effects_verify", "verify_at"),
    one_of("state", EffectState),
)

holds = table(
    "holds",
    key("entity_id"),
    key("state"),
    key("owner"),
    key("owner_id"),
    may("effect_key"),
    need("reason"),
    may("review_at", Instant),
    need("made_at", Instant),
    one_of("owner", HoldOwner),
)

#: one row per target: locked by whoever decides on an effect
targets = table("targets", key("target_id"), need("seq", sa.BigInteger))

counters = table(
    "counters",
    #: what is counted, e.g. `contain/hour` or `run/ID/user.disable`
    key("name"),
    #: start of the window; the epoch for counts without one
    key("window_at", Instant),
    need("count", sa.BigInteger),
)

approvals = table(
    "approvals",
    key("id"),
    need("run_id"),
    need("step_key"),
    need("question", Body),
    need("state"),
    need("who"),
    need("otherwise"),
    need("asked_at", Instant),
    need("expires_at", Instant),
    may("answered_at", Instant),
    may("answered_by"),
    need("reason"),
    sa.Index(None, "tenant_id", "run_id", "step_key"),
    sa.Index("ix_approvals_open", "state", "expires_at"),
    one_of("state", Answer),
)
