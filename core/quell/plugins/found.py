"""Which plugins are installed, and what exactly their files are; nothing of them is imported."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path

from quell.hookspecs import PROJECT

__all__ = ["FoundPlugin", "digest_of", "list_plugins"]

#: the distribution whose plugins need nobody's leave: they are quell itself
BUNDLED = "quell"
#: what installers write by themselves and differently each time
UNSTABLE = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPlugin:
    """An installed plugin, as its distribution's metadata describes it."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    @property
    def is_bundled(self) -> bool:
        """Tell whether it comes with quell."""
        return self.distribution == BUNDLED


def list_plugins() -> tuple[FoundPlugin, ...]:
    """List the installed plugins, those that come with quell first; imports none of them."""
    found = [
        FoundPlugin(
            name=entry.name,
            distribution=entry.dist.name if entry.dist else "",
            version=entry.dist.version if entry.dist else "",
            entry_point=entry,
        )
        for entry in entry_points(group=PROJECT)
    ]
    return tuple(sorted(found, key=lambda one: (not one.is_bundled, one.name, one.distribution)))


def digest_of(plugin: FoundPlugin) -> str:
    """Digest every file that enabling the plugin would trust, in its content."""
    digest = hashlib.sha256()
    for label, path in sorted(_files(plugin)):
        digest.update(f"{label}\0{_digest_file(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(plugin: FoundPlugin) -> set[tuple[str, Path]]:
    """List the distribution's files, and its package's where an editable install leaves it."""
    found = set(_package_files(plugin.entry_point.module.partition(".")[0]))
    if plugin.entry_point.dist is not None:
        found |= set(_distribution_files(plugin.entry_point.dist))
    return found


def _distribution_files(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if file.name not in UNSTABLE and file.suffix != ".pyc" and path.is_file():
            yield f"distribution/{file.as_posix()}", path


def _package_files(top: str) -> Iterator[tuple[str, Path]]:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        if spec.origin is not None:
            yield f"package/{Path(spec.origin).name}", Path(spec.origin)
        return
    for folder in map(Path, spec.submodule_search_locations):
        for path in folder.rglob("*"):
            if path.suffix != ".pyc" and path.is_file():
                yield f"package/{top}/{path.relative_to(folder).as_posix()}", path
