"""Door for `celery -A worker worker`: the fleet's application, nothing else."""

from quell.errors import QuellError

try:
    from quell.fleet.app import app
except QuellError as error:
    # Celery would print a traceback; what is wrong and what to do about it says more
    raise SystemExit(f"{error}\n{error.remedy}") from None

__all__ = ["app"]
