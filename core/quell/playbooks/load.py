"""From a file's text to a checked playbook, or to the list of everything wrong with it."""

from __future__ import annotations

import hashlib
from typing import Any

from quell.domain.playbook import Playbook
from quell.errors import PlaybookError
from quell.playbooks.build import Builder
from quell.playbooks.catalogue import Catalogue
from quell.playbooks.check import check_playbook
from quell.playbooks.document import Document, Path, read_document
from quell.playbooks.source import Problems, check_text
from quell.playbooks.structure import check_structure

__all__ = ["digest_of", "load_playbook"]


def load_playbook(text: str, *, name: str, catalogue: Catalogue) -> Playbook:
    """Read and check a playbook; raises PlaybookError with all mistakes, in the file's order.

    `name` is the file as messages call it. A byte order mark is skipped, but counts for the
    digest, which names the text exactly.
    """
    problems = Problems(name)
    document = _read(text, problems)
    data = check_structure(document, problems)
    if data is None:
        raise PlaybookError(problems=problems.lines())
    playbook = _build(data, text, document, problems)
    check_playbook(playbook, document, catalogue, problems)
    problems.raise_if_any()
    return playbook


def digest_of(text: str) -> str:
    """Give the SHA-256 of a playbook's text, which activation records."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(text: str, problems: Problems) -> Document:
    checked = check_text(text, problems)
    problems.raise_if_any()
    document = read_document(checked, problems)
    problems.raise_if_any()
    return document


def _build(data: dict[str, Any], text: str, document: Document, problems: Problems) -> Playbook:
    def refuse(path: Path, reason: str) -> None:
        problems.add(document.place(path), reason)

    return Builder(refuse).playbook(data, digest_of(text))
