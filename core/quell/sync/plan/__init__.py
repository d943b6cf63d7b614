"""Plans what has to be written where."""

from quell.sync.plan.plan import plan
from quell.sync.plan.writes import is_patient, new_write, superseded

__all__ = ["is_patient", "new_write", "plan", "superseded"]
