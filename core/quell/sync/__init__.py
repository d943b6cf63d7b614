"""Sync: keeps one incident's copies in several products in step. Names no product."""

from quell.sync.actions import ACTIONS as BUILTIN_ACTIONS
from quell.sync.compare import Comparison, Disagreement
from quell.sync.desk.writer import WriteReport
from quell.sync.first_contact import Drift
from quell.sync.policy import SyncPolicy
from quell.sync.poll import PollReport
from quell.sync.sides import Part
from quell.sync.sync import Sync, SyncReport

__all__ = [
    "BUILTIN_ACTIONS",
    "Comparison",
    "Disagreement",
    "Drift",
    "Part",
    "PollReport",
    "Sync",
    "SyncPolicy",
    "SyncReport",
    "WriteReport",
]
