"""The plugin that workers under measurement have enabled: steps that leave a line, nothing more.

It is laid out as a distribution of its own, as a stranger's plugin would be, and uses the
connections that the bundled plugins use.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.tally import Tally
from quell import (
    Action,
    Call,
    ConnectorContext,
    ConnectorSpec,
    Effect,
    Failed,
    NoParams,
    Outcome,
    SettingsSection,
    Succeeded,
    action,
    hookimpl,
)
from quell_microsoft.transport import Options, Transport

SYSTEM = "bench"


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the steps need."""

    #: file that each step appends a line to
    tally: str = ""
    #: where the steps that call something call
    url: str = ""


class Bench:
    """What all steps of one process share."""

    def __init__(self, settings: BenchSettings) -> None:
        self.tally = Tally(Path(settings.tally))
        self.url = settings.url
        self.transport = Transport(Options())

    async def aclose(self) -> None:
        """Close connections and file."""
        await self.transport.aclose()
        self.tally.close()


@action("bench.look", system=SYSTEM, target=None, effect=Effect.READ)
async def look(call: Call[NoParams], bench: Bench) -> Outcome:
    """Read nothing."""
    bench.tally.note(call.run_id or "")
    return Succeeded()


@action("bench.note", system=SYSTEM, target=None, effect=Effect.ANNOTATE, is_idempotent=True)
async def note(call: Call[NoParams], bench: Bench) -> Outcome:
    """Change nothing, with all that a change costs the journal."""
    bench.tally.note(call.run_id or "")
    return Succeeded()


@action("bench.fetch", system=SYSTEM, target=None, effect=Effect.READ)
async def fetch(call: Call[NoParams], bench: Bench) -> Outcome:
    """Ask the stub and wait for its answer."""
    reply = await bench.transport.send("GET", bench.url, headers={})
    if reply.status != 200:
        return Failed(reason=f"the stub answered {reply.status}")
    bench.tally.note(call.run_id or "")
    return Succeeded()


def _build(context: ConnectorContext) -> Bench:
    return Bench(context.settings(BenchSettings))


@hookimpl
def quell_settings() -> Sequence[SettingsSection]:
    """Say what can be set."""
    return [SettingsSection(name=SYSTEM, model=BenchSettings)]


@hookimpl
def quell_connectors() -> Sequence[ConnectorSpec]:
    """Offer what the steps share."""
    return [ConnectorSpec(kind=Bench, build=_build, close=Bench.aclose)]


@hookimpl
def quell_actions() -> Sequence[Action]:
    """Offer the steps."""
    return [look, note, fetch]
