"""What `quell doctor` says about Microsoft."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

from quell.domain.ids import TenantId
from quell_microsoft import MicrosoftSettings
from quell_microsoft.checks import check_hosts, check_sign_in, granted_permissions
from quell_microsoft.clouds import Api

if TYPE_CHECKING:
    from tests.plugins.quell_microsoft.conftest import StandIn

pytestmark = pytest.mark.anyio
T = TypeVar("T")


@dataclass
class Context:
    """What the core hands to checks."""

    values: MicrosoftSettings
    quota: Any
    tenant_id: TenantId = field(default=TenantId("main"))
    identity: str = "reader"
    clock: Any = None

    def settings(self, model: type[T]) -> T:
        return cast("T", self.values)

    def connector(self, kind: type[T], *, identity: str | None = None) -> T:
        raise AssertionError(f"checks need no {kind} for {identity}")


TWO = {
    "reader": {"client_id": "good", "client_secret": "x"},
    "user": {"client_id": "bad", "client_secret": "planted-secret-7Qz"},
}


async def test_each_identity_is_signed_in_and_a_refused_one_comes_with_its_remedy(
    service: StandIn,
) -> None:
    # given
    bad = service.say(status=401, body={"error": "invalid_client", "error_codes": [7000215]})
    good = service.token()
    service.on(service.token_path, lambda sent: bad if b"client_id=bad" in sent.body else good)

    # when
    results = await check_sign_in(Context(service.settings(identities=TWO), service))

    # then
    by_name = {result.what: result for result in results}
    assert by_name["sign-in as reader"].ok
    assert by_name["sign-in as reader"].detail == "SecurityIncident.Read.All"
    assert not by_name["sign-in as user"].ok
    assert "client secret is wrong" in by_name["sign-in as user"].remedy
    assert service.planted not in str(results)


@pytest.mark.parametrize(("off", "is_right"), [(0.0, True), (3600.0, False), (-3600.0, False)])
async def test_a_clock_that_is_off_is_found_although_the_sign_in_succeeds(
    service: StandIn, off: float, is_right: bool
) -> None:
    # given
    service.clock_off = off

    # when
    signed_in, clock = await check_sign_in(Context(service.settings(), service))

    # then
    assert signed_in.ok
    assert clock.ok is is_right
    assert bool(clock.remedy) is not is_right


async def test_without_identities_the_check_says_what_to_set(service: StandIn) -> None:
    (result,) = await check_sign_in(Context(service.settings(identities={}), service))
    assert not result.ok
    assert "microsoft.identities.reader" in result.remedy


async def test_a_host_that_cannot_be_reached_is_named(service: StandIn) -> None:
    # given
    context = Context(service.settings(), service)

    # when
    before = await check_hosts(context)
    await service.stop()
    after = await check_hosts(context)

    # then
    assert [result.ok for result in (*before, *after)] == [True, False]
    assert after[0].what == f"reach {service.url}"
    assert "authorization" not in service.received[0].headers


async def test_a_host_with_a_certificate_of_nobody_we_trust_is_named(service: StandIn) -> None:
    # given settings without the stand-in's authority
    context = Context(service.settings(ca_file=None), service)

    # when
    (result,) = await check_hosts(context)

    # then
    assert not result.ok
    assert "certificate" in result.detail


async def test_permissions_of_an_identity_can_be_asked_for(service: StandIn) -> None:
    # given
    service.on(service.token_path, service.token(roles=["Machine.Isolate"]))

    # when
    granted = await granted_permissions(service.settings(), "reader", Api.ENDPOINT)

    # then
    assert granted == {"Machine.Isolate"}
    (asked,) = service.to(service.token_path)
    assert b"api.securitycenter.microsoft.com" in asked.body
