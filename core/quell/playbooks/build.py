"""From checked data to the domain's playbook: durations read, defaults put in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from quell.domain.approval import Ask, Otherwise
from quell.domain.playbook import (
    After,
    AfterCondition,
    ForEach,
    HoldTerms,
    IncidentEvent,
    Playbook,
    Retry,
    Step,
    Trigger,
)
from quell.playbooks.document import Path
from quell.playbooks.scalars import parse_duration

__all__ = ["Builder"]

ValueT = TypeVar("ValueT")


class Builder:
    """Builds a playbook from data that fits the schema; `refuse` hears of durations out of bounds."""

    def __init__(self, refuse: Callable[[Path, str], None]) -> None:
        self.refuse = refuse

    def playbook(self, data: dict[str, Any], digest: str) -> Playbook:
        """Build the whole; `digest` names the text that it was read from."""
        trigger = data.get("trigger")
        return Playbook(
            id=data["playbook"],
            language=data["quell"],
            digest=digest,
            trigger=self.trigger(trigger) if trigger is not None else None,
            steps=self.steps(data["steps"], ("steps",)),
            title=data.get("title", ""),
            description=data.get("description", ""),
            when=data.get("when"),
            select=dict(data.get("select", {})),
        )

    def trigger(self, data: dict[str, Any]) -> Trigger:
        events = data["incident"]
        names = [events] if isinstance(events, str) else events
        return Trigger(
            incident=tuple(IncidentEvent(name) for name in names),
            max_age=self.duration(data, "max_age", ("trigger",), None),
            once_per=data.get("once_per", "incident"),
        )

    def steps(self, data: list[dict[str, Any]], path: Path) -> tuple[Step, ...]:
        above: str | None = None
        built: list[Step] = []
        for index, part in enumerate(data):
            built.append(self.step(part, (*path, index), above))
            above = part["id"]
        return tuple(built)

    def step(self, data: dict[str, Any], path: Path, above: str | None) -> Step:
        return Step(
            id=data["id"],
            do=data.get("do"),
            to=data.get("to"),
            params=data.get("with", {}),
            when=data.get("when"),
            after=self.after(data, above),
            ask=self.ask(data["ask"], (*path, "ask")) if "ask" in data else None,
            retry=self.retry(data.get("retry", {}), (*path, "retry")),
            timeout=self.duration(data, "timeout", path, None),
            wait=self.duration(data, "wait", path, None),
            hold=self.hold(data["hold"], (*path, "hold")) if "hold" in data else None,
            for_each=self.body(data, path) if "for_each" in data else None,
            system=data.get("system"),
        )

    def after(self, data: dict[str, Any], above: str | None) -> tuple[After, ...]:
        """Read `after`; without it a step follows the one above, however that ended."""
        if "after" not in data:
            return (After(step=above, condition=AfterCondition.SETTLED),) if above else ()
        written = data["after"]
        return tuple(_edge(text) for text in ([written] if isinstance(written, str) else written))

    def ask(self, data: dict[str, Any], path: Path) -> Ask:
        usual = Ask()
        return Ask(
            who=data.get("who", usual.who),
            within=self.duration(data, "within", path, usual.within),
            otherwise=Otherwise(data.get("otherwise", usual.otherwise)),
        )

    def retry(self, data: dict[str, Any], path: Path) -> Retry:
        usual = Retry()
        return Retry(
            attempts=data.get("attempts", usual.attempts),
            wait=self.duration(data, "wait", path, usual.wait),
        )

    def hold(self, data: dict[str, Any], path: Path) -> HoldTerms:
        return HoldTerms(review=self.duration(data, "review", path, HoldTerms().review))

    def body(self, data: dict[str, Any], path: Path) -> ForEach:
        return ForEach(
            items=data["for_each"],
            name=data["as"],
            steps=self.steps(data["steps"], (*path, "steps")),
        )

    def duration(
        self, data: dict[str, Any], key: str, path: Path, usual: ValueT
    ) -> timedelta | ValueT:
        if key not in data:
            return usual
        try:
            return parse_duration(data[key])
        except ValueError as error:
            self.refuse((*path, key), str(error))
            return usual


def _edge(text: str) -> After:
    step, _, condition = text.rpartition(".")
    return After(step=step, condition=AfterCondition(condition))
