"""Where calls may go: nothing that carries a token leaves the chosen cloud's hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell.errors import RequestRefused, SettingsError
from quell_microsoft import GraphClient, MicrosoftSettings, odata_string, quote
from quell_microsoft.addresses import Address, route
from quell_microsoft.clouds import CLOUDS, Api, Cloud

if TYPE_CHECKING:
    from tests.plugins.quell_microsoft.conftest import Connect, StandIn

REAL = "7d2c1b9e-3f4a-4c55-9d01-2b8f0a6e4c11"
SUFFIXES = (".microsoft.com", ".azure.com", ".us", ".usgovcloudapi.net", ".chinacloudapi.cn")


def address(api: Api = Api.GRAPH, **settings: Any) -> Address:
    return Address(MicrosoftSettings(tenant_id=REAL, **settings), api)


@pytest.mark.parametrize("cloud", list(Cloud))
def test_each_cloud_has_its_own_hosts_and_scopes(cloud: Cloud) -> None:
    # given
    addresses = CLOUDS[cloud]

    # when / then
    for api, host in addresses.hosts.items():
        built = address(api, cloud=cloud.value)
        assert built.url("/v1.0/x") == f"https://{host}/v1.0/x"
        assert built.scope == f"https://{host}/.default"
        assert host.endswith(SUFFIXES)


def test_an_api_that_a_cloud_lacks_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(SettingsError, match="china"):
        address(Api.ENDPOINT, cloud="china")


@pytest.mark.parametrize(
    "url",
    [
        "http://graph.microsoft.com/v1.0/x",
        "https://graph.microsoft.com.evil.example/v1.0/x",
        "https://evil.example/graph.microsoft.com",
        "https://graph.microsoft.com@evil.example/",
        "https://user:pass@graph.microsoft.com/",
        "https://graph.microsoft.com:8443/v1.0/x",
        "https://graph.microsoft.com\\@evil.example/",
        "https://graph.microsoft.us/v1.0/x",
        "https://management.azure.com/x",
        "https://[bad/",
        "https://graph.microsoft.com:x/",
        "ftp://graph.microsoft.com/",
        "",
    ],
)
def test_only_the_apis_own_host_is_an_address(url: str) -> None:
    with pytest.raises(RequestRefused, match="not sent"):
        address().checked(url)


def test_ingestion_goes_to_endpoints_of_the_cloud_only() -> None:
    # given
    good = "https://dce-1-abcd.westeurope-1.ingest.monitor.azure.com"
    built = address(Api.INGESTION, ingestion_url=good)

    # when / then
    assert built.url("/dataCollectionRules/dcr-1") == f"{good}/dataCollectionRules/dcr-1"
    other = "https://dce-2.northeurope-1.ingest.monitor.azure.com/x"
    assert built.url(other) == other
    with pytest.raises(RequestRefused):
        address(Api.INGESTION, ingestion_url="https://ingest.monitor.azure.com.evil.example")
    with pytest.raises(SettingsError, match="ingestion_url"):
        address(Api.INGESTION).url("/x")


@pytest.mark.parametrize(
    "path",
    [
        "x",
        "//evil.example/x",
        "/a/../b",
        "/a/./b",
        "/a/%2e%2E/b",
        "/a?b=1",
        "/a#b",
        "/a b",
        "/ä",
        "/a\\b",
    ],
)
def test_a_path_that_a_name_was_put_into_unquoted_is_refused(path: str) -> None:
    with pytest.raises(RequestRefused):
        address().url(path)


@given(st.text(min_size=1))
def test_any_name_stays_one_segment(name: str) -> None:
    # given a name that an attacker chose
    try:
        name.encode()
    except UnicodeEncodeError:
        return

    # when
    try:
        segment = quote(name)
    except RequestRefused:
        assert name.strip() in {"", ".", ".."}
        return

    # then
    assert not set(segment) & set("/?#\\ ")
    built = address().url(f"/v1.0/users/{segment}/revoke")
    assert built.removeprefix("https://graph.microsoft.com/v1.0/users/").count("/") == 1


@given(st.text())
def test_any_text_stays_one_literal(text: str) -> None:
    # when
    literal = odata_string(text)

    # then
    assert literal[0] == literal[-1] == "'"
    assert "'" not in literal[1:-1].replace("''", "")


def test_a_route_names_no_person_and_no_query() -> None:
    assert (
        route("https://graph.microsoft.com/v1.0/users/ada%40x.org/messages?$filter=a")
        == "/v1.0/users/{…}/messages"
    )


# -- over the wire -----------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["a/b", "a b+c", "ä%41", "a'b", "..%2f", "a?b#c", "a:b@c;d,e"])
async def test_a_quoted_name_arrives_as_it_was(
    service: StandIn, connect: Connect, name: str
) -> None:
    # given
    graph = connect(GraphClient, attempts=1)

    # when
    with pytest.raises(Exception, match="no such thing"):
        await graph.get(f"/v1.0/users/{quote(name)}/x", {"q": name, "$f": odata_string(name)})

    # then
    arrived = service.received[-1]
    segments = arrived.path.split("/")
    assert (len(segments), unquote(segments[3])) == (5, name)
    assert arrived.query == {"q": [name], "$f": [odata_string(name)]}


@pytest.mark.anyio
async def test_pages_are_followed_to_the_end(service: StandIn, connect: Connect) -> None:
    # given links with characters that must arrive unchanged
    path = "/v1.0/security/incidents"
    link = f"{service.url}{path}?$skiptoken=a%2Bb%3D%3D%26c&$top=2"
    service.on(
        path,
        service.say(body={"value": [1, 2], "@odata.nextLink": link}),
        service.say(body={"value": [3]}),
    )

    # when
    rows = [row async for page in connect(GraphClient).pages(path) for row in page["value"]]

    # then
    assert rows == [1, 2, 3]
    assert service.to(path)[1].query == {"$skiptoken": ["a+b==&c"], "$top": ["2"]}


async def collect(pages: AsyncIterator[Any], into: list[Any]) -> None:
    async for page in pages:
        into.append(page)  # noqa: PERF401 - what came before a failure must be kept


@pytest.mark.anyio
async def test_a_next_page_elsewhere_is_refused_and_the_token_stays_here(
    service: StandIn, other: StandIn, connect: Connect
) -> None:
    # given
    path = "/v1.0/security/incidents"
    service.on(path, service.say(body={"value": [1], "@odata.nextLink": f"{other.url}{path}"}))
    seen: list[Any] = []

    # when
    with pytest.raises(RequestRefused, match="not the API's own"):
        await collect(connect(GraphClient).pages(path), seen)

    # then
    assert seen == [{"value": [1], "@odata.nextLink": f"{other.url}{path}"}]
    assert other.received == []


@pytest.mark.anyio
async def test_a_redirect_is_not_followed(
    service: StandIn, other: StandIn, connect: Connect
) -> None:
    # given
    service.on("/x", service.say(status=307, headers={"Location": f"{other.url}/x"}))

    # when
    with pytest.raises(Exception, match="redirected"):
        await connect(GraphClient, attempts=1).get("/x")

    # then
    assert other.received == []


@pytest.mark.anyio
async def test_a_repeated_page_link_ends_the_list(service: StandIn, connect: Connect) -> None:
    # given
    loop = {"value": [1], "nextLink": f"{service.url}/list?page=2"}
    service.on("/list", service.say(body=loop))

    # when
    pages = [page async for page in connect(GraphClient).pages("/list")]

    # then
    assert len(pages) == 2


@pytest.mark.anyio
async def test_a_link_without_an_api_version_gets_the_first_calls(
    service: StandIn, connect: Connect
) -> None:
    # given
    link: Any = {"value": [], "nextLink": f"{service.url}/list?$skipToken=x"}
    service.on("/list", service.say(body=link), service.say(body={"value": []}))

    # when
    params = {"api-version": "2025-09-01"}
    _ = [page async for page in connect(GraphClient).pages("/list", params)]

    # then
    assert service.to("/list")[1].query["api-version"] == ["2025-09-01"]
