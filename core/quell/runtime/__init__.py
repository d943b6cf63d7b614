"""The runtime: settings, plugins, journal, tenants and duties put together for one process."""

from quell.runtime.board import read_board
from quell.runtime.process import Beside, Runtime, log_to_stderr, open_runtime
from quell.runtime.tenant import PassReport, TenantRuntime

__all__ = [
    "Beside",
    "PassReport",
    "Runtime",
    "TenantRuntime",
    "log_to_stderr",
    "open_runtime",
    "read_board",
]
