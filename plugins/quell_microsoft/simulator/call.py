"""One request on its way through the simulator, and the operation that answers it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from .state.registrations import Registration
from .state.tenant import Tenant
from .state.throttle import Limit
from .wire import Answer, Api, Json, Refusal


@dataclass(slots=True, kw_only=True)
class Call:
    """A request, read as far as every operation needs it."""

    tenant: Tenant
    method: str
    path: str
    query: Mapping[str, str]
    #: header names in lower case
    headers: Mapping[str, str]
    content: bytes
    #: scheme and host as the client wrote them: links must lead back the same way
    base: str
    parameters: dict[str, str] = field(default_factory=dict[str, str])
    #: who calls, once the token was checked
    app: Registration | None = None
    #: the batch answers its items through this
    dispatch: Callable[[Call], Answer] | None = None

    @property
    def caller(self) -> Registration:
        """The app that calls; only for operations that need a token."""
        if self.app is None:
            raise Refusal(401, "InvalidAuthenticationToken", "Access token is empty.")
        return self.app

    def json(self) -> Any:
        """Read the body as JSON; refuses what is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            text = "Unable to read JSON request payload."
            raise Refusal(400, "BadRequest", text) from error

    def json_object(self) -> Json:
        """Read the body as a JSON object; refuses anything else."""
        body = self.json()
        if not isinstance(body, dict):
            raise Refusal(400, "BadRequest", "The request body must be a JSON object.")
        return cast("Json", body)

    def require_roles(self, api: Api, *needed: str) -> None:
        """Refuse a caller that holds none of these grants."""
        held = self.caller.grants.get(api, ())
        if needed and not set(needed) & set(held):
            raise forbidden(api, self, needed)


Endpoint = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route: who may call it, how often, and what answers."""

    api: Api
    method: str
    template: str
    endpoint: Endpoint
    #: grants of which the caller must hold one
    roles: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    #: accepted calls go into the journal of writes
    is_write: bool = False

    def pattern(self) -> re.Pattern[str]:
        """Compile the path template; names of segments ignore case everywhere, as in Azure."""
        escaped = re.escape(self.template).replace(r"\{", "{").replace(r"\}", "}")
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", escaped), re.IGNORECASE)


def forbidden(api: Api, call: Call, needed: tuple[str, ...]) -> Refusal:
    """Refuse for want of permission, in the words of that API."""
    if api is Api.ENDPOINT:
        text = (
            "The application does not have any of the required application permissions "
            f"({', '.join(needed)}) to access the resource."
        )
        return Refusal(403, "Forbidden", text)
    if api is Api.ARM:
        app = call.caller
        text = (
            f"The client '{app.client_id}' with object id '{app.object_id}' does not have "
            f"authorization to perform action over scope '{call.path}' or the scope is invalid. "
            "If access was recently granted, please refresh your credentials."
        )
        return Refusal(403, "AuthorizationFailed", text)
    if api is Api.LOGS:
        text = "The provided credentials have insufficient access to perform the operation"
        return Refusal(403, "InsufficientAccessError", text)
    return Refusal(
        403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
    )
