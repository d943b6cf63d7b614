"""Finding what a person means: an incident by number or id, an entity by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quell.errors import NotFoundError, StateError

if TYPE_CHECKING:
    from quell.domain.ids import IncidentId, TenantId
    from quell.journal import Journal

__all__ = ["the_incident"]


def the_incident(journal: Journal, tenant_id: TenantId, text: str) -> IncidentId:
    """Find the one incident that is meant; one that was merged away leads to its winner."""
    from quell.journal import incidents

    found = journal.ask_now(incidents.find(tenant_id, text))
    winners = {journal.ask_now(incidents.resolve(tenant_id, one)) for one in found}
    if not winners:
        raise NotFoundError(
            what="incident",
            name=text,
            remedy="List them: `quell incidents`; or `quell sync` first.",
        )
    if len(winners) > 1:
        raise StateError(
            what=f"Incident {text!r}",
            problem=f"could be any of {', '.join(sorted(winners))}",
            remedy="Name one of these ids.",
        )
    return winners.pop()
