"""The demo's verdict: counted at the tenant and compared in both queues, never assumed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from quell.cli.demo.story import Course
from quell.domain.run import EffectState
from quell.domain.simulator import TenantFacts
from quell.journal import effects, runs
from quell.journal.effects import EffectRow
from quell.runtime import Runtime

__all__ = ["Verdict", "judge"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What `quell demo --json` prints."""

    ok: bool
    #: from the command to the verdict
    seconds: float
    #: incidents that the tenant detected
    incidents: int
    #: incidents and copies that were read afresh from both products and compared
    pairs_compared: int
    disagreements: list[dict[str, Any]]
    #: effects that the tenant accepted, by action
    effects: dict[str, int]
    #: effects that the tenant accepted more than once for one target
    duplicate_effects: list[str]
    #: the worker was killed while it was busy, and everything that was under way has ended since
    resumed_after_kill: bool
    #: None where the incidents have nothing that must not be touched
    protected_untouched: bool | None
    time_scale: float


async def judge(
    runtime: Runtime, facts: TenantFacts, course: Course, *, seconds: float, time_scale: float
) -> Verdict:
    """Read both queues afresh and put everything together."""
    comparison = await runtime.tenant().sync.compare()
    disagreements = [msgspec.to_builtins(one, enc_hook=str) for one in comparison.disagreements]
    if not course.is_quiet:
        disagreements.append({"field": "", "problem": "something was still under way at the end"})
    repeated = await _repeated(runtime, facts)
    have_ended = await _have_ended(runtime, course)
    is_ok = (
        not disagreements
        and not repeated
        and facts.protected_untouched is not False
        and comparison.pairs >= facts.incidents - facts.merged
        and have_ended
    )
    return Verdict(
        ok=is_ok,
        seconds=round(seconds, 1),
        incidents=facts.incidents,
        pairs_compared=comparison.pairs,
        disagreements=disagreements,
        effects=facts.effects,
        duplicate_effects=repeated,
        resumed_after_kill=have_ended and course.was_busy_at_kill,
        protected_untouched=facts.protected_untouched,
        time_scale=time_scale,
    )


async def _repeated(runtime: Runtime, facts: TenantFacts) -> list[str]:
    """Say where the tenant accepted more than the journal says was sent: each effect is one.

    One target may rightly be acted on for two incidents; twice for one effect it may not.
    """
    sent = Counter(await _sent_effects(runtime))
    return [
        f"{fact.what} on {fact.target}: accepted {fact.accepted} times, ordered {ordered} times"
        for fact in facts.lines
        if fact.accepted > (ordered := sent[fact.what, fact.alias])
    ]


async def _sent_effects(runtime: Runtime) -> list[tuple[str, str]]:
    """List what was sent, by action and each name of its target; an effect counts once."""
    rows = await runtime.journal.ask(effects.listed(runtime.tenant().id, limit=100_000))
    return [
        (row.action, str(alias["value"]))
        for row in rows
        if _may_have_been_sent(row)
        for alias in row.target["aliases"]
    ]


def _may_have_been_sent(row: EffectRow) -> bool:
    if row.state is EffectState.ALREADY:
        # found so after a crash: its intent had been written down before, and it may be our doing
        return row.settled_at is not None and row.settled_at > row.decided_at
    return row.state is not EffectState.DENIED


async def _have_ended(runtime: Runtime, course: Course) -> bool:
    listed = await runtime.journal.ask(runs.listed(runtime.tenant().id, limit=100_000))
    ended = {run.id for run in listed if run.state.is_final}
    return course.open_at_kill <= ended
