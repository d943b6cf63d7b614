"""Graph users: reading, disabling and enabling, ending sessions, admin roles."""

from __future__ import annotations

from typing import Any

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging, cut_page, next_link, select
from quell_microsoft.simulator.state.throttle import GRAPH_USER_WRITES, GRAPH_USERS
from quell_microsoft.simulator.state.users import ADMIN_ROLES, User
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal

from .security import context

READ = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
ENABLE = (
    "User.EnableDisableAccount.All",
    "User.ReadWrite.All",
    "Directory.ReadWrite.All",
)
REVOKE = ("User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All")
ROLES = (*READ, "RoleManagement.Read.Directory", "GroupMember.Read.All")
#: what Graph answers when no `$select` is sent
DEFAULT = (
    "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone",
    "officeLocation", "preferredLanguage", "surname", "userPrincipalName", "id",
)  # fmt: skip
PAGING = Paging(
    type_name="microsoft.graph.user",
    properties={
        "id": Kind.TEXT,
        "userPrincipalName": Kind.TEXT,
        "displayName": Kind.TEXT,
        "mail": Kind.TEXT,
        "mailNickname": Kind.TEXT,
        "userType": Kind.TEXT,
        "accountEnabled": Kind.BOOL,
        "onPremisesSyncEnabled": Kind.BOOL,
        "onPremisesSecurityIdentifier": Kind.TEXT,
        "onPremisesSamAccountName": Kind.TEXT,
        "onPremisesImmutableId": Kind.TEXT,
        "createdDateTime": Kind.MOMENT,
    },
    default_order=(("displayName", False),),
    default_top=100,
    max_top=999,
)
#: properties that Active Directory masters for a synced user
MASTERED = frozenset({"accountEnabled", "displayName", "jobTitle", "department", "mailNickname"})
WRITABLE = MASTERED | {"passwordProfile", "usageLocation", "mobilePhone"}


def operations(root: str) -> list[Operation]:
    """List the routes under `/v1.0` or `/beta`."""
    base, one = f"{root}/users", root + "/users/{user_id}"
    reads, writes = (GRAPH_USERS,), (GRAPH_USERS, GRAPH_USER_WRITES)
    member_of = "/transitiveMemberOf"
    routes: list[tuple[str, str, Any, tuple[str, ...]]] = [
        ("GET", base, list_users, READ),
        ("GET", one, get_user, READ),
        ("PATCH", one, update, ENABLE),
        ("POST", one + "/revokeSignInSessions", revoke, REVOKE),
        ("POST", one + "/microsoft.graph.revokeSignInSessions", revoke, REVOKE),
        ("GET", one + member_of, list_roles, ROLES),
        ("GET", one + member_of + "/microsoft.graph.directoryRole", list_roles, ROLES),
        ("GET", one + "/memberOf", list_roles, ROLES),
        ("GET", one + "/memberOf/microsoft.graph.directoryRole", list_roles, ROLES),
    ]
    return [
        Operation(
            api=Api.GRAPH,
            method=method,
            template=template,
            endpoint=endpoint,
            roles=roles,
            limits=reads if method == "GET" else writes,
            is_write=method != "GET",
        )
        for method, template, endpoint, roles in routes
    ]


def list_users(call: Call) -> Answer:
    """Answer one page of users."""
    rows = [user.body for user in call.tenant.users.users.values()]
    page = cut_page(rows, call.query, PAGING)
    body: Json = {
        "@odata.context": context(call, "users"),
        "value": [_select(row, call) for row in page.rows],
    }
    if call.query.get("$count", "").casefold() == "true":
        body["@odata.count"] = page.total
    if page.token is not None:
        body["@odata.nextLink"] = next_link(call.base, call.path, call.query, PAGING, page.token)
    return Answer(body=body)


def get_user(call: Call) -> Answer:
    """Answer one user, by object id or user principal name."""
    body = _select(_get(call).body, call)
    return Answer(body={"@odata.context": context(call, "users/$entity"), **body})


def update(call: Call) -> Answer:
    """Change a user; answers 204. Admins and synced users are protected."""
    user, changes = _get(call), call.json_object()
    unknown = [name for name in changes if name not in WRITABLE and not name.startswith("@")]
    if unknown:
        text = f"Invalid property '{unknown[0]}'."
        raise Refusal(400, "Request_BadRequest", text)
    enabled = changes.get("accountEnabled")
    if "accountEnabled" in changes and not isinstance(enabled, bool):
        text = "Invalid value specified for property 'accountEnabled' of resource 'User'."
        raise Refusal(400, "Request_BadRequest", text)
    _check_not_admin(user)
    _check_not_mastered(call, user, changes)
    if isinstance(enabled, bool):
        call.tenant.users.set_enabled(user, enabled)
    user.body.update({name: value for name, value in changes.items() if name in user.body})
    return Answer(status=204)


def revoke(call: Call) -> Answer:
    """End the sessions of a user; a guest's home tenant does not care."""
    user = _get(call)
    if user.body.get("userType") == "Guest":
        # documented: no effect on guests; Assumed: the answer is the same
        user.effects["revoke_without_effect"] += 1
    else:
        call.tenant.users.revoke(user)
    return Answer(body={"@odata.context": context(call, "Edm.Boolean"), "value": True})


def list_roles(call: Call) -> Answer:
    """Answer the directory roles that a user holds."""
    roles = [
        {
            "@odata.type": "#microsoft.graph.directoryRole",
            "id": ADMIN_ROLES.get(name, ADMIN_ROLES["Global Administrator"]),
            "displayName": name,
            "roleTemplateId": ADMIN_ROLES.get(name, ADMIN_ROLES["Global Administrator"]),
        }
        for name in _get(call).admin_roles
    ]
    return Answer(body={"@odata.context": context(call, "directoryObjects"), "value": roles})


def _check_not_admin(user: User) -> None:
    if user.admin_roles:
        text = "Insufficient privileges to complete the operation."
        raise Refusal(403, "Authorization_RequestDenied", text)


def _check_not_mastered(call: Call, user: User, changes: Json) -> None:
    mastered = MASTERED & set(changes)
    if call.tenant.config.synced_users_writable:
        mastered = mastered - {"accountEnabled"}
    if user.is_synced and mastered:
        text = (
            "Unable to update the specified properties for on-premises mastered Directory Sync "
            "objects or objects currently undergoing migration."
        )
        raise Refusal(400, "Request_BadRequest", text)


def _select(row: Json, call: Call) -> Json:
    if "$select" not in call.query:
        return {name: row.get(name) for name in DEFAULT}
    return select(row, call.query)


def _get(call: Call) -> User:
    key = call.parameters["user_id"]
    user = call.tenant.users.find(key)
    if user is None:
        text = (
            f"Resource '{key}' does not exist or one of its queried reference-property objects "
            "are not present."
        )
        raise Refusal(404, "Request_ResourceNotFound", text)
    return user
