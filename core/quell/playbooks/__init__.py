"""The playbook language: read, check, compile, and answer a run's questions."""

from quell.errors import ExpressionError
from quell.playbooks.catalogue import Catalogue
from quell.playbooks.load import digest_of, load_playbook
from quell.playbooks.program import PlaybookProgram
from quell.playbooks.source import decode_playbook
from quell.playbooks.structure import playbook_schema
from quell.playbooks.view import ResultItem, RunView, StepResults, TargetItem

__all__ = [
    "Catalogue",
    "ExpressionError",
    "PlaybookProgram",
    "ResultItem",
    "RunView",
    "StepResults",
    "TargetItem",
    "decode_playbook",
    "digest_of",
    "load_playbook",
    "playbook_schema",
]
