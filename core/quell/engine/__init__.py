"""The engine: starts playbooks, drives runs, guards effects, and takes them back."""

from quell.engine.engine import Engine
from quell.engine.policy import Caps, GuardPolicy
from quell.engine.registry import EngineRegistry
from quell.engine.report import ActRequest, EffectReport
from quell.journal.runs import RunRef

__all__ = [
    "ActRequest",
    "Caps",
    "EffectReport",
    "Engine",
    "EngineRegistry",
    "GuardPolicy",
    "RunRef",
]
