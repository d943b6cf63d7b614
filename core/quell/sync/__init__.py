"""Sync: keeps one incident's copies in several products in step. Names no product."""

from quell.sync.absorb.first_contact import Drift
from quell.sync.actions import ACTIONS as BUILTIN_ACTIONS
from quell.sync.compare import Comparison, Disagreement
from quell.sync.desk.writer import WriteReport
from quell.sync.held import HeldWrite
from quell.sync.modes import SourceMode
from quell.sync.policy import SyncPolicy, SyncRoute
from quell.sync.reading.backfill import BackfillProgress
from quell.sync.reading.poll import PollReport
from quell.sync.routes import Routes
from quell.sync.sides import Part
from quell.sync.status import SourceStatus
from quell.sync.sync import Sync, SyncReport

__all__ = [
    "BUILTIN_ACTIONS",
    "BackfillProgress",
    "Comparison",
    "Disagreement",
    "Drift",
    "HeldWrite",
    "Part",
    "PollReport",
    "Routes",
    "SourceMode",
    "SourceStatus",
    "Sync",
    "SyncPolicy",
    "SyncReport",
    "SyncRoute",
    "WriteReport",
]
