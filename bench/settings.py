"""The configuration that processes under measurement are started with."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from bench.tenant import SimulatedTenant
from quell_microsoft.simulated import settings_from

__all__ = ["write_settings"]

#: how many times faster than documented the products may be called: no quota is waited for
QUOTA_SCALE = 1000.0


def write_settings(
    folder: Path,
    tenant: SimulatedTenant,
    *,
    poll_every: float | None = None,
    overlap_minutes: int | None = None,
) -> Path:
    """Write a configuration for a simulated tenant, its journal in the same folder."""
    folder.mkdir()
    config = folder / "quell.toml"
    config.touch(mode=0o600)
    sections = settings_from(tenant.ready())
    pace = {"poll_every": poll_every, "overlap_minutes": overlap_minutes}
    for name in ("defender", "sentinel"):
        sections[name].update({key: value for key, value in pace.items() if value is not None})
    content = {
        "state_dir": str(folder),
        "logging": {"level": "warning"},
        "sync": {"mode": "replica"},
        "tenant": {"bench": {"simulated": True, "quota_scale": QUOTA_SCALE, **sections}},
    }
    config.write_text(tomli_w.dumps(content))
    return config
