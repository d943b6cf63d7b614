"""Door for `celery -A worker worker`: the fleet's application, nothing else."""

from quell.fleet.app import app

__all__ = ["app"]
