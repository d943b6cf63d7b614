"""Defender for Identity through Graph: identity accounts and actions on them."""

from __future__ import annotations

from typing import Any

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging, cut_page, next_link, select
from quell_microsoft.simulator.state.throttle import GRAPH_SECURITY
from quell_microsoft.simulator.state.users import User
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, new_guid

from .security import context

READ = ("SecurityIdentitiesAccount.Read.All", "SecurityIdentitiesActions.ReadWrite.All")
ACT = ("SecurityIdentitiesActions.ReadWrite.All",)
ACTIONS = (
    "disable",
    "enable",
    "forcePasswordReset",
    "revokeAllSessions",
    "requireUserToSignInAgain",
    "markUserAsCompromised",
)
#: which provider serves which action (the documentation as of 2026)
SERVED = {
    "activeDirectory": ("disable", "enable", "forcePasswordReset"),
    "okta": ("disable", "enable", "revokeAllSessions"),
    "entraID": ("disable", "enable", "revokeAllSessions"),
}
PAGING = Paging(
    type_name="microsoft.graph.security.identityAccounts",
    properties={
        "id": Kind.TEXT,
        "displayName": Kind.TEXT,
        "domain": Kind.TEXT,
        "isEnabled": Kind.BOOL,
        "onPremisesSecurityIdentifier": Kind.TEXT,
        "cloudSecurityIdentifier": Kind.TEXT,
        "accounts": Kind.OTHER,
    },
    default_order=(("id", False),),
    default_top=100,
    max_top=1000,
)


def operations(root: str) -> list[Operation]:
    """List the routes under `/v1.0` or `/beta`."""
    base = f"{root}/security/identities/identityAccounts"
    one = base + "/{account_id}"
    routes: list[tuple[str, str, Any, tuple[str, ...]]] = [
        ("GET", base, list_accounts, READ),
        ("GET", one, get_account, READ),
        ("POST", one + "/invokeAction", invoke, ACT),
        ("POST", one + "/microsoft.graph.security.invokeAction", invoke, ACT),
    ]
    return [
        Operation(
            api=Api.GRAPH,
            method=method,
            template=template,
            endpoint=endpoint,
            roles=roles,
            limits=(GRAPH_SECURITY,),
            is_write=method == "POST",
        )
        for method, template, endpoint, roles in routes
    ]


def list_accounts(call: Call) -> Answer:
    """Answer the accounts that Defender for Identity watches: those from Active Directory."""
    users = call.tenant.users.users.values()
    rows = [_account(call, user) for user in users if user.is_synced]
    page = cut_page(rows, call.query, PAGING)
    shown = [select(row, call.query) for row in page.rows]
    path = "security/identities/identityAccounts"
    body: Json = {"@odata.context": context(call, path), "value": shown}
    if page.token is not None:
        body["@odata.nextLink"] = next_link(call.base, call.path, call.query, PAGING, page.token)
    return Answer(body=body)


def get_account(call: Call) -> Answer:
    """Answer one identity account."""
    path = "security/identities/identityAccounts/$entity"
    return Answer(body={"@odata.context": context(call, path), **_account(call, _get(call))})


def invoke(call: Call) -> Answer:
    """Act on an account in the directory that masters it."""
    user, body = _get(call), call.json_object()
    action, provider = body.get("action"), body.get("identityProvider")
    if action not in ACTIONS or provider not in SERVED or not body.get("accountId"):
        raise Refusal(400, "BadRequest", "accountId, action and identityProvider are needed.")
    if provider not in call.tenant.config.identity_providers or action not in SERVED[provider]:
        text = f"Action '{action}' is not supported for identity provider '{provider}'."
        raise Refusal(400, "BadRequest", text)
    _act(call, user, str(action), str(provider))
    value = {
        "accountId": body["accountId"],
        "action": action,
        "provider": provider,
        "correlationId": new_guid(),
    }
    path = "microsoft.graph.security.invokeActionResult"
    return Answer(body={"@odata.context": context(call, path), "value": value})


def _act(call: Call, user: User, action: str, provider: str) -> None:
    users = call.tenant.users
    if provider == "entraID":
        if action in ("disable", "enable"):
            users.set_enabled(user, action == "enable")
        else:
            users.revoke(user)
    elif action in ("disable", "enable"):
        users.set_ad_enabled(user, action == "enable")
    else:
        user.effects[action] += 1


def _account(call: Call, user: User) -> Json:
    sid, object_id = user.body.get("onPremisesSecurityIdentifier"), user.body["id"]
    identifiers = {"activeDirectory": sid, "entraID": object_id}
    served = call.tenant.config.identity_providers
    accounts = [
        {
            "@odata.type": "#microsoft.graph.security.account",
            "identityProvider": provider,
            "identifier": identifier,
            "actions": list(SERVED[provider]) if provider in served else [],
        }
        for provider, identifier in identifiers.items()
    ]
    return {
        "id": user.identity_account_id,
        "displayName": user.body.get("displayName"),
        "domain": user.body.get("onPremisesDomainName"),
        "isEnabled": user.ad_enabled,
        "onPremisesSecurityIdentifier": sid,
        "cloudSecurityIdentifier": user.body.get("securityIdentifier"),
        "accounts": accounts,
    }


def _get(call: Call) -> User:
    account_id = call.parameters["account_id"]
    user = call.tenant.users.find_account(account_id)
    if user is None or not user.is_synced:
        text = f"Identity account '{account_id}' was not found."
        raise Refusal(404, "NotFound", text)
    return user
