"""Connectors: one for each type and identity, built when first asked for, all closed at the end."""

from __future__ import annotations

import pytest

from quell.domain.ids import TenantId
from quell.domain.offers import ConnectorContext, ConnectorSpec
from quell.errors import NotFoundError
from quell.quota import MemoryQuota
from quell.runtime.clock import SystemClock
from quell.runtime.connectors import Connectors

pytestmark = pytest.mark.anyio


class Wire:
    """A client of one identity."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.is_open = True


class Product:
    """A client that stands on another."""

    def __init__(self, wire: Wire, admin: Wire) -> None:
        self.wire = wire
        self.admin = admin


class Unknown:
    """Nobody offers one."""


def build_wire(context: ConnectorContext) -> Wire:
    return Wire(context.identity)


def build_product(context: ConnectorContext) -> Product:
    return Product(context.connector(Wire), context.connector(Wire, identity="admin"))


async def close_wire(wire: Wire) -> None:
    wire.is_open = False


async def break_on_close(product: Product) -> None:
    raise OSError("the other end is gone")


def make() -> Connectors:
    clock = SystemClock()
    specs: dict[type, ConnectorSpec] = {
        Wire: ConnectorSpec(kind=Wire, build=build_wire, close=close_wire),
        Product: ConnectorSpec(kind=Product, build=build_product, close=break_on_close),
    }
    return Connectors(TenantId("lab"), specs, lambda model: model(), clock, MemoryQuota({}, clock))


def test_an_identity_has_one_connector_of_a_type_and_shares_it_with_no_other() -> None:
    # given
    connectors = make()

    # when
    first, again = connectors.get(Wire, "reader"), connectors.get(Wire, "reader")
    other = connectors.get(Wire, "device")

    # then
    assert first is again
    assert other is not first
    assert (first.identity, other.identity) == ("reader", "device")


def test_a_connector_stands_on_the_same_ones_that_actions_get() -> None:
    # given
    connectors = make()

    # when
    product = connectors.get(Product, "device")

    # then
    assert product.wire is connectors.get(Wire, "device")
    assert product.admin is connectors.get(Wire, "admin")


def test_a_function_gets_what_its_annotations_ask_for() -> None:
    # given
    connectors = make()

    async def act(call: object, wire: Wire) -> None:
        """Do nothing."""

    # when
    given = connectors.for_function(act, "device")

    # then
    assert given == {"wire": connectors.get(Wire, "device")}


def test_what_the_core_offers_is_the_same_for_every_identity() -> None:
    # given
    connectors = make()
    own = Wire("core")

    # when
    connectors.offer(Wire, own)

    # then
    assert connectors.get(Wire, "reader") is own
    assert connectors.get(Wire, "device") is own


def test_a_connector_that_nobody_offers_is_named_with_what_to_do() -> None:
    # given
    connectors = make()

    # when
    with pytest.raises(NotFoundError) as caught:
        connectors.get(Unknown, "reader")

    # then
    assert "Unknown" in str(caught.value)
    assert "quell plugins" in caught.value.remedy


async def test_one_that_does_not_close_keeps_no_other_open() -> None:
    # given
    connectors = make()
    product = connectors.get(Product, "device")

    # when
    await connectors.close()

    # then
    assert not product.wire.is_open
    assert not product.admin.is_open
