"""Leave to call a product: documented rates, a share kept for containment, pauses when told to wait."""

from quell.quota.gcra import Bucket, Limits
from quell.quota.memory import MemoryQuota

__all__ = ["Bucket", "Limits", "MemoryQuota"]
