"""What an operator does before the first worker: the settings, the journal, and the playbook."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.chaos.load import PLAYBOOK
from tests.chaos.workers import configuration
from tests.fleet_stage import environment

__all__ = ["activate"]


def activate(
    folder: Path, ready: dict[str, Any], journal: str, redis_url: str, site: Path | None
) -> None:
    """Make the journal and let the playbook start runs; by the version in `site`, if given."""
    config = folder / "operator.toml"
    config.touch(mode=0o600)
    content = configuration(
        folder / "operator",
        ready,
        journal=journal,
        redis_url=redis_url,
        tenant_port=int(ready["base_url"].rpartition(":")[2]),
    )
    config.write_text(content)
    playbook = folder / "contain.yml"
    playbook.write_text(PLAYBOOK)
    own = {"PYTHONPATH": str(site)} if site is not None else {}
    command = [sys.executable, "-m", "quell", "--config", str(config), "playbook", "activate"]
    subprocess.run(
        [*command, str(playbook)],
        env=environment(**own),
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=120,
    )
