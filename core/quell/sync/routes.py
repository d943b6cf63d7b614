"""Which incidents are kept in step, and where their copies are made, by the operator's rules. Pure.

Rules say where an incident goes *new*. A copy that is there stays in step whatever they say later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quell.domain.hub import Hub, Routing
from quell.domain.ids import SourceId
from quell.domain.view import IncidentView
from quell.errors import SettingsError
from quell.playbooks.condition import Condition, Unanswered
from quell.sync.policy import SyncPolicy
from quell.sync.remarks import short_digest
from quell.sync.sides import Sides

__all__ = ["Route", "Routes"]


@dataclass(frozen=True, slots=True)
class Route:
    """Incidents for which `when` holds are copied to `to`."""

    to: tuple[SourceId, ...]
    when: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The filter and the routes of one tenant, compiled; without any, all goes everywhere."""

    filter: Condition | None = None
    routes: tuple[Route, ...] = ()
    #: where copies can be made
    mirrors: tuple[SourceId, ...] = ()

    @classmethod
    def check(cls, where: str, routes: Sequence[str], section: str) -> None:
        """Check conditions alone, without sources. Raises SettingsError with the setting's name."""
        _filter(where, section)
        for number, when in enumerate(routes):
            Condition(f"{section}.routes[{number}].when", when)

    @classmethod
    def compile(cls, policy: SyncPolicy, sides: Sides, section: str) -> Routes:
        """Check what the policy says of sources. Raises SettingsError with the setting's name."""
        mirrors = tuple(source.source_id for source in sides.mirrors())
        _check_named(policy.modes, f"{section}.modes", sides)
        return cls(
            filter=_filter(policy.filter, section),
            routes=tuple(
                Route(
                    _targets(one.to, f"{place}.to", mirrors), Condition(f"{place}.when", one.when)
                )
                for place, one in (
                    (f"{section}.routes[{number}]", one) for number, one in enumerate(policy.routes)
                )
            ),
            mirrors=mirrors,
        )

    @property
    def is_plain(self) -> bool:
        """Tell whether there are no rules."""
        return self.filter is None and not self.routes

    @property
    def digest(self) -> str:
        """Tell one set of rules from another."""
        texts = [self.filter.text if self.filter else ""]
        for route in self.routes:
            texts += [" ".join(route.to), route.when.text]
        return short_digest(*texts)

    def sends(self, hub: Hub, source_id: SourceId) -> bool | None:
        """Tell whether an incident is to be copied to a source; None before the rules were asked."""
        if self.is_plain:
            return True
        return source_id in hub.routing.to if hub.routing is not None else None

    def decide(self, view: IncidentView, *, is_in_step: bool) -> Routing:
        """Ask the rules. An incident with copies that are in step stays so, wherever else it goes."""
        wanted = True if self.filter is None else self.filter.answer(view)
        if isinstance(wanted, Unanswered):
            return Routing(is_synced=is_in_step, unanswered=_words(wanted))
        return self._chosen(view) if wanted else Routing(is_synced=is_in_step)

    def _chosen(self, view: IncidentView) -> Routing:
        if not self.routes:
            return Routing(to=self.mirrors)
        to: dict[SourceId, None] = {}
        for route in self.routes:
            answer = route.when.answer(view)
            if isinstance(answer, Unanswered):
                return Routing(unanswered=_words(answer))
            to |= dict.fromkeys(route.to) if answer else {}
        return Routing(to=tuple(to))


def _filter(text: str, section: str) -> Condition | None:
    return Condition(f"{section}.filter", text) if text.strip() else None


def _words(found: Unanswered) -> str:
    return f"{found.setting} has no answer for it: {found.reason}"


def _targets(
    to: tuple[str, ...], setting: str, mirrors: tuple[SourceId, ...]
) -> tuple[SourceId, ...]:
    for name in to:
        if name not in mirrors:
            raise SettingsError(
                name=setting,
                problem=f"copies cannot be made in a source {name!r}",
                remedy=f"They can be made in: {', '.join(mirrors) or 'none of the sources'}.",
            )
    if not to:
        raise SettingsError(
            name=setting,
            problem="names no source",
            remedy="To leave incidents out altogether, use `filter`; to stop a route, remove it.",
        )
    return tuple(SourceId(name) for name in to)


def _check_named(modes: Mapping[str, str], setting: str, sides: Sides) -> None:
    known = [source.source_id for source in sides.with_copies()]
    for name in modes:
        if name not in known:
            raise SettingsError(
                name=f"{setting}.{name}",
                problem=f"there is no source {name!r} that copies are made in",
                remedy=f"There are: {', '.join(known) or 'none'}.",
            )
