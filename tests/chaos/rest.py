"""Whether a fleet has come to rest, and what keeps it from that."""

from __future__ import annotations

from tests.chaos.load import Load
from tests.fleet_stage import TENANT

from quell.domain.ids import WorkerId
from quell.domain.run import RunState
from quell.journal import Journal, incident_writes, incidents, runs

__all__ = ["resume_parked", "say_what_is_open"]

MANY = 100_000


async def resume_parked(journal: Journal) -> int:
    """Resume what was taken over too often, as a person would. Gives how many."""
    parked = await journal.ask(runs.listed(TENANT, states=[RunState.PARKED], limit=MANY))
    for run in parked:
        resume = runs.resume(run.ref, by="tester", chain=WorkerId("tester"))
        await journal.commit(resume)
    return len(parked)


async def say_what_is_open(journal: Journal, load: Load) -> str:
    """Say what is still under way; empty when nothing is."""
    if count := await load.count_open():
        return f"{count} runs are open"
    if await journal.ask(incidents.unmatched(TENANT, 1)):
        return "revisions are unmatched"
    if await journal.ask(incident_writes.has_open(TENANT)):
        return "writes to incidents are open"
    begun = await journal.ask(runs.listed(TENANT, playbook_id="contain", limit=MANY))
    if len(begun) < load.incidents:
        return f"{len(begun)} of {load.incidents} incidents began a run"
    return ""
