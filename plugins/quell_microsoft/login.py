"""What MSAL speaks through: our own transport, which goes to one sign-in host only."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from quell_microsoft.answers import Unreadable, parse
from quell_microsoft.transport import Options, PlainTransport, Reply
from quell_microsoft.version import user_agent

__all__ = ["LoginAnswer", "LoginClient", "LoginRefused", "LoginUnreadable", "NotSimulated"]


class LoginRefused(Exception):
    """MSAL was told to go to an address that is not the chosen cloud's sign-in host."""


class NotSimulated(Exception):
    """What answers at `base_url` does not say that it is a simulator."""


class LoginUnreadable(Exception):
    """The sign-in host answered 5xx, or with something that is not JSON."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAnswer:
    """The part of a response that MSAL looks at."""

    status_code: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    def raise_for_status(self) -> None:
        """Raise for 4xx and 5xx, as MSAL expects."""
        if self.status_code >= 400:
            raise LoginUnreadable(self.status_code)


class LoginClient:
    """MSAL's `http_client`. Opens a connection per request: there are two an hour."""

    def __init__(
        self, options: Options, root: str | None, *, must_be_simulated: bool = False
    ) -> None:
        self._options = options
        self._must_be_simulated = must_be_simulated
        #: scheme, host and port that requests may go to; None for the host's own identity service
        self._root = root
        #: seconds that this host's clock is ahead of the last answer's
        self.skew: float | None = None
        #: the client-request-id of the last request
        self.request_id = ""

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | str | None = None,
        headers: Mapping[str, str] | None = None,
        **_unused: Any,
    ) -> LoginAnswer:
        """Send a form."""
        form = data if isinstance(data, str) else urlencode(data or {})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", url, params, {**kind, **(headers or {})}, form.encode())

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_unused: Any,
    ) -> LoginAnswer:
        """Read. MSAL reads the sign-in configuration before it sends any credential."""
        answer = self._send("GET", url, params, headers or {}, None)
        if self._must_be_simulated and answer.status_code == 200:
            _check_simulated(answer)
        return answer

    def close(self) -> None:
        """Do nothing: no connection outlives its request."""

    def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> LoginAnswer:
        self._check(url)
        self.request_id = headers.get("client-request-id") or str(uuid.uuid4())
        whole = f"{url}?{urlencode(params)}" if params else url
        transport = PlainTransport(self._options)
        try:
            named = {
                "User-Agent": user_agent(),
                **headers,
                "client-request-id": self.request_id,
            }
            reply = transport.send(method, whole, headers=named, content=content)
        finally:
            transport.close()
        self._note_clock(reply)
        return _answer(reply, is_hosts_own=self._root is None)

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if self._root is not None and f"{parts.scheme}://{parts.netloc}" != self._root:
            raise LoginRefused

    def _note_clock(self, reply: Reply) -> None:
        try:
            there = parsedate_to_datetime(reply.headers.get("date", ""))
        except (TypeError, ValueError):
            return
        self.skew = time.time() - there.timestamp()


def _check_simulated(answer: LoginAnswer) -> None:
    configuration = msgspec.json.decode(answer.text, type=dict[str, Any])
    if configuration.get("cloud_instance_name") != "simulated":
        raise NotSimulated


def _answer(reply: Reply, *, is_hosts_own: bool) -> LoginAnswer:
    """Hand over JSON only: MSAL writes what it cannot read, tokens too, into its log."""
    try:
        body = parse(reply.content)
    except Unreadable:
        body = None
    # a host's identity service may challenge in a header, with any body
    is_challenge = is_hosts_own and reply.status == 401
    if reply.status >= 500 or not (isinstance(body, dict) or is_challenge):
        raise LoginUnreadable(reply.status)
    return LoginAnswer(
        status_code=reply.status,
        text=reply.content.decode("utf-8", "replace"),
        headers=reply.headers,
    )
