"""Reading and checking a playbook file, and making it the active version."""

from __future__ import annotations

from pathlib import Path

from quell.domain.playbook import Playbook
from quell.errors import StateError
from quell.journal import playbooks
from quell.playbooks import Catalogue, decode_playbook, load_playbook
from quell.plugins import Registry
from quell.runtime import Runtime

__all__ = ["activate_file", "find_file", "load_file"]

#: most of a file that is read; the loader has a limit of its own below this
READ_LIMIT = 4_194_304


def find_file(registry: Registry, name: str) -> Path:
    """Find a playbook by a path, or by the name of one that a plugin ships. Raises NotFoundError."""
    path = Path(name)
    return path if path.suffix or path.exists() else registry.playbook(name).path


def load_file(path: Path, catalogue: Catalogue) -> tuple[Playbook, str]:
    """Read and check a file; gives the playbook and its text. Raises PlaybookError, StateError."""
    try:
        with path.open("rb") as file:
            content = file.read(READ_LIMIT)
    except OSError as error:
        raise StateError(
            what=str(path),
            problem=f"cannot be read: {error.strerror}",
            remedy="Name a file, or a playbook that `quell playbook list` shows.",
        ) from error
    text = decode_playbook(content, name=str(path))
    return load_playbook(text, name=str(path), catalogue=catalogue), text


def activate_file(runtime: Runtime, tenant: str, path: Path, *, by: str) -> Playbook:
    """Check a file and let this very version start runs. Raises PlaybookError, StateError."""
    checked, text = load_file(path, Catalogue(runtime.registry.actions))
    tenant_id, commit = runtime.tenants[tenant].id, runtime.journal.commit_now
    commit(playbooks.store(tenant_id, checked.id, checked.digest, text, name=path.name))
    commit(
        playbooks.activate(tenant_id, checked.id, checked.digest, by=by, chain=runtime.worker_id)
    )
    return checked
