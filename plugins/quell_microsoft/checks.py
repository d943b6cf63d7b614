"""What `quell doctor` asks of Microsoft: hosts, clocks, sign-ins and the permissions they bring."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from quell.domain.offers import Check, CheckResult, ConnectorContext
from quell.errors import ConnectorError, SettingsError
from quell_microsoft.addresses import Address
from quell_microsoft.clouds import CLOUDS, Api
from quell_microsoft.settings import MicrosoftSettings

__all__ = ["CHECKS", "granted_permissions"]

logger = logging.getLogger(__name__)

#: Entra refuses signed assertions from further off; a minute is worth telling
CLOCK_TOLERANCE = 60.0


async def granted_permissions(
    settings: MicrosoftSettings, role: str, api: Api = Api.GRAPH
) -> frozenset[str]:
    """Tell which application permissions a role's token carries for an API.

    Raises SignInRefused or NotSent. ARM's tokens carry none: Sentinel's roles are granted there.
    """
    from quell_microsoft.signin import shared

    return await shared(settings, role).granted(Address(settings, api).scope)


async def check_hosts(context: ConnectorContext) -> Sequence[CheckResult]:
    """Try every host once, without a token: any answer shows that it can be reached."""
    settings = context.settings(MicrosoftSettings)
    roots = {f"https://{host}" for host in CLOUDS[settings.where].hosts.values()}
    roots.add(f"https://{CLOUDS[settings.where].login}")
    if settings.base_url is not None:
        roots = {settings.base_url}
    elif settings.ingestion_url is not None:
        roots.add(Address(settings, Api.INGESTION).root)
    return [await _reach(settings, root) for root in sorted(roots)]


async def _reach(settings: MicrosoftSettings, root: str) -> CheckResult:
    from quell_microsoft import transport
    from quell_microsoft.version import user_agent

    options = transport.options_of(settings)
    what = f"reach {root}"
    try:
        reply = await transport.borrow(options).send(
            "GET", f"{root}/", headers={"User-Agent": user_agent()}
        )
    except transport.SendFailure as failure:
        return CheckResult(
            ok=False,
            what=what,
            detail=failure.reason,
            remedy="Check the network, the proxy and `microsoft.ca_file`.",
        )
    except transport.AnswerTooLarge:
        return CheckResult(ok=False, what=what, detail="the answer is not Microsoft's")
    finally:
        await transport.give_back(options)
    return CheckResult(ok=True, what=what, detail=f"answered {reply.status}")


async def check_sign_in(context: ConnectorContext) -> Sequence[CheckResult]:
    """Sign every identity in, and name what its token allows."""
    settings = context.settings(MicrosoftSettings)
    if not settings.identities:
        return [
            CheckResult(
                ok=False,
                what="sign-in",
                detail="no identity is set",
                remedy="Set `microsoft.identities.reader` first; `quell permissions` lists what "
                "each needs.",
            )
        ]
    results: list[CheckResult] = []
    for role in sorted(settings.identities):
        results += await _sign_in(settings, role)
    return results


async def _sign_in(settings: MicrosoftSettings, role: str) -> list[CheckResult]:
    from quell_microsoft.signin import shared

    what, signing = f"sign-in as {role}", shared(settings, role)
    try:
        granted = await signing.granted(Address(settings, Api.GRAPH).scope)
    except (ConnectorError, SettingsError) as refused:
        first = CheckResult(ok=False, what=what, detail=str(refused), remedy=refused.remedy)
    else:
        shown = ", ".join(sorted(granted)) or "no Graph permission"
        first = CheckResult(ok=True, what=what, detail=shown)
    clock = _clock(role, signing.skew)
    return [first, clock] if clock else [first]


def _clock(role: str, skew: float | None) -> CheckResult | None:
    if skew is None:
        return None
    is_right = abs(skew) <= CLOCK_TOLERANCE
    return CheckResult(
        ok=is_right,
        what=f"clock against the sign-in of {role}",
        detail=f"{skew:+.0f} s",
        remedy="" if is_right else "Set this host's clock, e.g. with NTP.",
    )


CHECKS = (
    Check(name="microsoft.hosts", run=check_hosts),
    Check(name="microsoft.sign_in", run=check_sign_in),
)
