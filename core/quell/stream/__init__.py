"""Streams events from sources to sinks: read by checkpoint, spooled in the journal, sent in batches.

It names no product. A row is sent at least once, with a key that makes a repeat harmless.
"""

from quell.stream.policy import StreamPolicy, chosen_tables
from quell.stream.streams import Streams, TableStatus

__all__ = ["StreamPolicy", "Streams", "TableStatus", "chosen_tables"]
