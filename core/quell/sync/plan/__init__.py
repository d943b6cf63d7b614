"""Plans what has to be written where."""

from quell.sync.plan.plan import plan
from quell.sync.plan.writes import new_write, superseded

__all__ = ["new_write", "plan", "superseded"]
