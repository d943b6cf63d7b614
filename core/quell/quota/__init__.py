"""Leave to call a product: documented rates, a share kept for containment, pauses when told to wait."""

from quell.quota.gcra import Bucket, Limits
from quell.quota.memory import MemoryQuota
from quell.quota.state import ClassState, WatchedQuota

__all__ = ["Bucket", "ClassState", "Limits", "MemoryQuota", "WatchedQuota"]
