"""Turns Microsoft's answers into quell's errors: by status and code, never by message text.

The vendor's messages are left out on purpose: they echo filters, names and addresses, and
errors end up in logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from quell.errors import (
    AnswerNotFound,
    BadAnswer,
    ConnectorError,
    PermissionMissing,
    RequestRefused,
    ServerFailure,
    SignInRefused,
    Throttled,
    Unreachable,
    WriteConflict,
)
from quell_microsoft.clouds import Api

__all__ = ["CallName", "NotSent", "error_of", "retry_after", "vendor_code"]

#: answered where the server may have begun to act; 501 says that it never will
SERVER_TROUBLE = frozenset({408, 500, 502, 503, 504, 509})
#: 403 with these codes is about the product's set-up, not about a permission
NOT_A_PERMISSION = frozenset({"DisabledFeature", "DisallowedOperation"})
CODE = re.compile(r"[A-Za-z0-9_.\-]{1,80}")


class NotSent(Unreachable):
    """No connection or no token: the request never left, so nothing can have happened."""

    may_have_happened: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallName:
    """What an error needs to know of the call it is about; holds no personal data."""

    api: str
    method: str
    route: str
    request_id: str
    permission: str = ""
    role: str = ""

    @property
    def endpoint(self) -> str:
        """Name the endpoint for people."""
        return f"{self.api} {self.method} {self.route}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After in seconds; decimals occur. Dates and nonsense give None."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None


def vendor_code(body: Any) -> str:
    """Find the machine-readable code in any of the documented shapes; empty where there is none."""
    if not isinstance(body, dict):
        return ""
    error: Any = cast(dict[str, Any], body).get("error", body)
    if isinstance(error, str):
        return _code(error)
    return _own_code(error) or _own_code(_inner(error))


def _own_code(part: Any) -> str:
    return _code(cast(dict[str, Any], part).get("code")) if isinstance(part, dict) else ""


def _inner(error: Any) -> Any:
    if not isinstance(error, dict):
        return None
    parts = cast(dict[str, Any], error)
    return parts.get("innerError") or parts.get("innererror") or parts.get("InnerError")


def _code(value: Any) -> str:
    # a code that does not look like one may be text that an attacker wrote
    return value if isinstance(value, str) and CODE.fullmatch(value) else ""


def error_of(
    call: CallName, status: int, headers: Mapping[str, str], body: Any
) -> ConnectorError | None:
    """Give the error that an answer stands for; None where it is a success."""
    if 200 <= status < 300:
        return None
    kind, problem, remedy = _judge(status, vendor_code(body), call)
    fields: dict[str, Any] = {
        "endpoint": call.endpoint,
        "status": status,
        "vendor_code": vendor_code(body),
        "request_id": call.request_id,
        "problem": problem,
        "remedy": remedy,
    }
    if kind is Throttled or kind is ServerFailure:
        fields["retry_after"] = retry_after(headers)
    return kind(**fields)


def _judge(status: int, code: str, call: CallName) -> tuple[type[ConnectorError], str, str]:
    if status == 401:
        return SignInRefused, "the token was refused", _SIGN_IN
    if status == 403 and code not in NOT_A_PERMISSION:
        return PermissionMissing, "the identity may not do this", _permission_remedy(call)
    if status in _PLAIN:
        return _PLAIN[status]
    if status in SERVER_TROUBLE:
        return ServerFailure, "the service failed", ""
    if 300 <= status < 400:
        return BadAnswer, "redirected, which is not followed", _REDIRECTED
    return RequestRefused, "the request was refused", _REFUSED


_SIGN_IN = "Check the identity's credential and the cloud in the settings; run `quell doctor`."
_REDIRECTED = "Check `microsoft.cloud` and any proxy on the way: the API itself does not redirect."
_REFUSED = (
    "Repeating it changes nothing. Look the code up on the vendor's page for this endpoint; "
    "the client-request-id finds the call in the vendor's logs."
)
_PLAIN: dict[int, tuple[type[ConnectorError], str, str]] = {
    404: (AnswerNotFound, "there is no such thing", "Check that it still exists in the product."),
    410: (AnswerNotFound, "it is gone", "Check that it still exists in the product."),
    409: (WriteConflict, "a newer version exists", "Read it again; then write again."),
    412: (WriteConflict, "a newer version exists", "Read it again; then write again."),
    429: (
        Throttled,
        "too many calls",
        "quell waits and goes on by itself; if it lasts, other software shares this limit.",
    ),
}


def _permission_remedy(call: CallName) -> str:
    who = f"the identity for the role {call.role!r}" if call.role else "the identity"
    is_azure = call.api in {Api.ARM, Api.INGESTION}
    kind = "Azure role" if is_azure else "application permission"
    what = f"the {kind} {call.permission}" if call.permission else "what it needs"
    how = "on the workspace or its rule" if is_azure else "and give admin consent"
    return (
        f"Grant {what} to {who} {how}, then wait some minutes; `quell permissions` lists what "
        "each identity needs, `quell doctor` what it has."
    )
