"""The runtime: settings, plugins, journal, tenants and duties put together for one process."""

from quell.runtime.process import Runtime, open_runtime
from quell.runtime.tenant import PassReport, TenantRuntime

__all__ = ["PassReport", "Runtime", "TenantRuntime", "open_runtime"]
