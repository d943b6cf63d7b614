"""Looking again: whether a state that was made is there after the vendor has settled."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from quell.domain.action import Action, Unresolved
from quell.domain.offers import Notice
from quell.domain.outcome import Observed, Succeeded
from quell.engine.order import read_target
from quell.engine.shell import Shell
from quell.journal import effects
from quell.journal.effects import EffectRow

__all__ = ["Tending"]

logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Tending:
    """Verifies effects of one tenant that are due."""

    shell: Shell

    async def tend(self, limit: int) -> int:
        """Verify up to so many effects. Gives how many were due."""
        due = await self.shell.journal.ask(effects.due(self.shell.tenant_id, limit=limit))
        for row in due:
            await self._verify(row)
        return len(due)

    async def _verify(self, row: EffectRow) -> None:
        action = self.shell.choose(row.action, row.system)
        verified, reason = await self._look(row, action)
        first_look = row.verified is None
        again = row.outcome.look_again if isinstance(row.outcome, Succeeded) else None
        change = effects.Verification(
            key=row.key,
            verified=verified,
            reason=reason,
            verify_at=self.shell.now() + again if first_look and verified and again else None,
        )
        notice = _page(row, reason) if verified is False else None
        if await self.shell.commit(effects.verify(row, change, notice)):
            logger.info("Effect verified", event_name="effect_verified", verified=verified)
            if notice is not None:
                self.shell.notify(notice)

    async def _look(self, row: EffectRow, action: Action | None) -> tuple[bool | None, str]:
        """Tell whether the state is there; None where that cannot be told."""
        summary = read_target(row.target)
        if action is None or summary is None:
            return None, "it cannot be looked at any more"
        target = await self.shell.calls.resolve(summary)
        if isinstance(target, Unresolved):
            return None, target.reason
        observation = await self.shell.calls.observe(action, target)
        if observation is None or observation.state is Observed.CANNOT_TELL:
            return None, observation.reason if observation is not None else "there is no look"
        if observation.state is Observed.SO:
            return True, row.reason
        return False, "the vendor does not show it after the settle time"


def _page(row: EffectRow, reason: str) -> Notice:
    return Notice(
        kind="page",
        tenant_id=row.tenant_id,
        summary=f"{row.action} was reported as done, but {reason}",
        references={"effect": row.key, "run": row.run_id or "", "target": row.target_id},
    )
