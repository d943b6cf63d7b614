"""Sends bytes over HTTPS: the only module that knows httpx and aiohttp.

Requests go straight to httpx's transports, not through its client: no cookies (the hosts are
the same for all tenants), no redirects, no settings from the environment, and no log lines
that would show a query.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import aiohttp
import httpx
import httpx_aiohttp

from quell_microsoft.settings import MicrosoftSettings

__all__ = [
    "AnswerTooLarge",
    "Options",
    "PlainTransport",
    "Reply",
    "SendFailure",
    "Transport",
    "borrow",
    "give_back",
    "options_of",
]

#: the largest answer that is documented is about 50 MB of hunting rows
MOST_BYTES = 64 * 1024 * 1024
#: servers keep idle connections for minutes; well below that, a write seldom meets a dead one
KEEP_ALIVE = 15.0
FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, aiohttp.ClientError, OSError)


class SendFailure(Exception):
    """No whole answer came. `was_sent` is False only where the request cannot have arrived."""

    def __init__(self, reason: str, *, was_sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.was_sent = was_sent


class AnswerTooLarge(Exception):
    """The answer is larger than anything documented, and was not read to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What makes two connectors able to share connections."""

    ca_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    connections: int = 256
    connect_timeout: float = 5.0
    read_timeout: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


def options_of(settings: MicrosoftSettings) -> Options:
    """Read the transport's part of the settings."""
    return Options(
        ca_file=settings.ca_file,
        proxy=settings.proxy,
        connections=settings.connections,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
    )


def trust(ca_file: str | None) -> ssl.SSLContext:
    """Trust the system's authorities, and those of the file."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class Transport:
    """Connections of one event loop; shared by all connectors with equal options."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ssl = trust(options.ca_file)
        self._inner = httpx_aiohttp.AiohttpTransport(
            verify=self._ssl,
            trust_env=False,
            proxy=httpx.Proxy(options.proxy) if options.proxy else None,
            client=self._session,
        )

    def _session(self) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._options.connections, keepalive_timeout=KEEP_ALIVE, ssl=self._ssl
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=32_768,
            max_field_size=32_768,
        )
        # aiohttp repeats a PUT or DELETE by itself when a kept connection turns out to be dead,
        # although the first one may have arrived; there is no public switch for it
        session._retry_connection = False  # pyright: ignore[reportPrivateUsage]
        return session

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        read_timeout: float | None = None,
    ) -> Reply:
        """Send one request, once. Raises SendFailure or AnswerTooLarge."""
        wait = read_timeout or self._options.read_timeout
        request = httpx.Request(
            method,
            url,
            headers={"Accept-Encoding": "gzip, deflate", **headers},
            content=content,
            extensions={"timeout": self._timeout(wait)},
        )
        try:
            # a server that drips bytes keeps each single read in time: bound the whole as well
            async with asyncio.timeout(self._options.connect_timeout + 2 * wait):
                return await self._exchange(request)
        except FAILURES as failure:
            raise _failure(failure) from None

    def _timeout(self, wait: float) -> dict[str, float | None]:
        return httpx.Timeout(
            connect=self._options.connect_timeout, read=wait, write=wait, pool=wait
        ).as_dict()

    async def _exchange(self, request: httpx.Request) -> Reply:
        response = await self._inner.handle_async_request(request)
        try:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise AnswerTooLarge
        finally:
            await response.aclose()
        return Reply(status=response.status_code, headers=response.headers, content=bytes(content))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def _failure(failure: BaseException) -> SendFailure:
    """Judge whether the request can have arrived, by the type of the first cause."""
    inner = failure.__cause__ if isinstance(failure, httpx.HTTPError) else None
    cause = inner or failure
    never = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.InvalidURL,
        httpx.InvalidURL,
        httpx.UnsupportedProtocol,
    )
    # httpx-aiohttp calls a cut connection a connect timeout: only aiohttp's own type is believed
    return SendFailure(_reason(cause), was_sent=not isinstance(cause, never))


def _reason(cause: BaseException) -> str:
    if isinstance(cause, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "the host name cannot be resolved"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, aiohttp.ClientConnectorError):
        return "no connection"
    return f"the connection was cut ({type(cause).__name__})"


@dataclass(slots=True)
class _Loan:
    transport: Transport
    users: int = 0


_loans: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Options, _Loan]] = WeakKeyDictionary()


def borrow(options: Options) -> Transport:
    """Share the running loop's transport with those options; end with `give_back`."""
    here = _loans.setdefault(asyncio.get_running_loop(), {})
    loan = here.get(options)
    if loan is None:
        loan = here[options] = _Loan(Transport(options))
    loan.users += 1
    return loan.transport


async def give_back(options: Options) -> None:
    """End one borrowing; the last one closes the connections."""
    here = _loans.get(asyncio.get_running_loop(), {})
    loan = here.get(options)
    if loan is None:
        return
    loan.users -= 1
    if loan.users <= 0:
        del here[options]
        await loan.transport.aclose()


class PlainTransport:
    """Sends from a thread, for MSAL."""

    def __init__(self, options: Options) -> None:
        self._timeout = httpx.Timeout(
            options.read_timeout, connect=options.connect_timeout
        ).as_dict()
        self._inner = httpx.HTTPTransport(
            verify=trust(options.ca_file),
            trust_env=False,
            proxy=httpx.Proxy(options.proxy) if options.proxy else None,
        )

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Reply:
        """Send one request, once. Raises SendFailure."""
        try:
            request = httpx.Request(
                method, url, headers=headers, content=content, extensions={"timeout": self._timeout}
            )
            response = self._inner.handle_request(request)
            content = response.read()
            response.close()
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as failure:
            connecting = isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout)
            reason = "no connection" if connecting else "the connection was cut"
            raise SendFailure(reason, was_sent=not connecting) from None
        return Reply(status=response.status_code, headers=response.headers, content=content)

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()
