"""Drives a running simulator's story from outside, and reads the tenant's side of it.

It speaks to `/_simulator` over HTTPS like anybody else: nothing here sees the client's journal.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quell.domain.simulator import Beat, SimulatorControl, TenantFact, TenantFacts

if TYPE_CHECKING:
    import httpx

__all__ = ["Control", "control"]

#: how many incidents arrive before the rest
FIRST = 12
#: which of the tenant's counters is which action of ours
MACHINE_EFFECTS = {"Isolate": "device.isolate", "Unisolate": "device.release"}
#: a synced user is disabled in both directories, which is one effect on one user
USER_EFFECTS = {
    "user.disable": ("disable", "ad_disable"),
    "user.enable": ("enable", "ad_enable"),
    "user.revoke_sessions": ("revoke",),
}
MAIL_EFFECTS = {
    "softDelete": "mail.purge",
    "hardDelete": "mail.purge",
    "moveToDeletedItems": "mail.purge",
    "moveToInbox": "mail.restore",
}

BEATS = (
    Beat(name="arrive", sentence="Twelve incidents are detected, by all four products."),
    Beat(name="mirror_change", sentence="An analyst changes one of them in Sentinel."),
    Beat(name="throttle", sentence="Sentinel asks to wait: its next writes are throttled."),
    Beat(name="arrive_more", sentence="The other incidents are detected."),
    Beat(name="comment", sentence="An analyst comments in Defender."),
    Beat(name="merge", sentence="Defender finds that two incidents are one, and merges them."),
    Beat(name="online", sentence="A device that was switched off comes back."),
)


def control(ready: Mapping[str, Any]) -> SimulatorControl:
    """Connect to the simulator that wrote this ready file."""
    return Control(ready)


class Control:
    """One connection to a simulator's own API."""

    def __init__(self, ready: Mapping[str, Any]) -> None:
        import httpx

        self._http: httpx.AsyncClient = httpx.AsyncClient(
            base_url=f"{ready['base_url']}/_simulator",
            verify=ssl.create_default_context(cafile=str(ready["ca_file"])),
            headers={"X-Simulator-Token": str(ready["control_token"])},
            timeout=30,
            trust_env=False,
        )

    async def beats(self) -> Sequence[Beat]:
        """List the story's beats; none when it plays recorded incidents."""
        return BEATS if await self._story() else ()

    async def play(self, name: str) -> None:
        """Let one beat happen now."""
        beats: dict[str, Callable[[Mapping[str, Any]], Awaitable[None]]] = {
            "arrive": self._arrive,
            "mirror_change": self._change_in_mirror,
            "throttle": self._throttle,
            "arrive_more": self._arrive_more,
            "comment": self._comment,
            "merge": self._merge,
            "online": self._come_online,
        }
        await beats[name](await self._story())

    async def facts(self) -> TenantFacts:
        """Read the tenant's side."""
        return read_facts(await self._get("/facts"), await self._story())

    async def close(self) -> None:
        """Let go of the connection."""
        await self._http.aclose()

    async def _arrive(self, story: Mapping[str, Any]) -> None:
        await self._send("POST", "/release", {"count": FIRST})

    async def _arrive_more(self, story: Mapping[str, Any]) -> None:
        await self._send("POST", "/release", {})

    async def _change_in_mirror(self, story: Mapping[str, Any]) -> None:
        original = str(story["sentinel_change"])
        copy = await self._copy_of(original)
        change = {"severity": "Medium", "status": "Active", "author": "soc.analyst"}
        await self._send("PATCH", f"/sentinel/incidents/{copy}", change)
        text = {"message": "Looked at it: the user installed it.", "author": "soc.analyst"}
        await self._send("POST", f"/sentinel/incidents/{copy}/comments", text)

    async def _throttle(self, story: Mapping[str, Any]) -> None:
        rule = {
            "method": "PUT",
            "path": "(?i)/incidents/[^/]+$",
            "kind": "429",
            "times": 3,
            "retry_after": 1.5,
        }
        await self._send("PUT", "/faults", {"value": [rule]})

    async def _comment(self, story: Mapping[str, Any]) -> None:
        path = f"/defender/incidents/{story['approval']}/comments"
        await self._send("POST", path, {"comment": "Called the user: it was not them."})

    async def _merge(self, story: Mapping[str, Any]) -> None:
        body = {"losers": [story["merge_loser"]], "winner": story["merge_winner"]}
        await self._send("POST", "/defender/merge", body)

    async def _come_online(self, story: Mapping[str, Any]) -> None:
        machine = _targets(story)["offline_device"]
        await self._send("PATCH", f"/machines/{machine}", {"online": True})

    async def _copy_of(self, original: str) -> str:
        facts = await self._get("/facts")
        title = next(one["displayName"] for one in facts["incidents"] if one["id"] == original)
        return next(
            str(copy["name"])
            for workspace in facts["sentinel"]
            for copy in workspace["incidents"]
            if copy["title"] == title
        )

    async def _story(self) -> dict[str, Any]:
        return await self._get("/story")

    async def _get(self, path: str) -> dict[str, Any]:
        answer = await self._http.get(path)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        answer = await self._http.request(method, path, json=dict(body))
        answer.raise_for_status()


def read_facts(facts: Mapping[str, Any], story: Mapping[str, Any]) -> TenantFacts:
    """Turn the tenant's own account of itself into lines of proof."""
    lines = [*_machine_lines(facts, story), *_user_lines(facts), *_mail_lines(facts)]
    effects: dict[str, int] = {}
    for line in lines:
        if line.accepted:
            effects[line.what] = effects.get(line.what, 0) + line.accepted
    released = [one for one in facts["incidents"] if one["released"]]
    return TenantFacts(
        incidents=len(released),
        merged=sum(one["status"] == "redirected" for one in released),
        copies=sum(len(workspace["incidents"]) for workspace in facts["sentinel"]),
        effects=effects,
        protected_untouched=_is_protected_untouched(facts, story),
        lines=tuple(
            line for line in lines if line.accepted or not line.ok or line.state == "untouched"
        ),
    )


def _machine_lines(facts: Mapping[str, Any], story: Mapping[str, Any]) -> list[TenantFact]:
    protected = _targets(story).get("protected_server")
    lines: list[TenantFact] = []
    for machine in facts["machines"]:
        name = str(machine["computerDnsName"])
        if machine["id"] == protected:
            touched = bool(machine["accepted"])
            state = "isolated" if machine["isolated"] else "untouched"
            lines.append(
                TenantFact(what="protected server", target=name, state=state, ok=not touched)
            )
        for kind, count in machine["accepted"].items():
            if kind in MACHINE_EFFECTS:
                state = "isolated" if machine["isolated"] else "connected"
                line = _line(MACHINE_EFFECTS[kind], name, state, count, str(machine["id"]))
                lines.append(line)
    return lines


def _user_lines(facts: Mapping[str, Any]) -> list[TenantFact]:
    lines: list[TenantFact] = []
    for user in facts["users"]:
        is_off = not user["accountEnabled"] or user["adEnabled"] is False
        state = "disabled" if is_off else "enabled"
        for what, kinds in USER_EFFECTS.items():
            count = max(int(user["effects"].get(kind, 0)) for kind in kinds)
            lines.append(_line(what, str(user["userPrincipalName"]), state, count, str(user["id"])))
    return lines


def _mail_lines(facts: Mapping[str, Any]) -> list[TenantFact]:
    return [
        _line(
            MAIL_EFFECTS[kind],
            f"{message['recipientEmailAddress']}: {message['networkMessageId']}",
            str(message["location"]),
            count,
            f"{message['networkMessageId']}|{message['recipientEmailAddress']}",
        )
        for message in facts["messages"]
        for kind, count in message["effects"].items()
        if kind in MAIL_EFFECTS
    ]


def _line(what: str, target: str, state: str, accepted: int, alias: str) -> TenantFact:
    return TenantFact(what=what, target=target, state=state, alias=alias.lower(), accepted=accepted)


def _is_protected_untouched(facts: Mapping[str, Any], story: Mapping[str, Any]) -> bool | None:
    protected = _targets(story).get("protected_server")
    if protected is None:
        return None
    return not any(
        machine["accepted"] for machine in facts["machines"] if machine["id"] == protected
    )


def _targets(story: Mapping[str, Any]) -> Mapping[str, Any]:
    targets: Mapping[str, Any] = story.get("targets", {})
    return targets
