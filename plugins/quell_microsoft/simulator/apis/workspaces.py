"""What else a workspace answers: itself, bookmarks, automation rules."""

from __future__ import annotations

from quell_microsoft.simulator.call import Call, Operation, forbidden
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging
from quell_microsoft.simulator.state.clock import stamp
from quell_microsoft.simulator.state.throttle import sentinel_reads, sentinel_writes
from quell_microsoft.simulator.state.workspaces import SubResource, Workspace, new_etag
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal

from .arm import (
    CONTRIBUTE,
    READ,
    RESPOND,
    ROOT,
    WORKSPACE,
    check_etag,
    check_version,
    client_info,
    get_sub,
    list_answer,
    operation,
    read_properties,
    required_text,
    show_sub,
)

PAGING = Paging(
    type_name="Resource",
    properties={"name": Kind.TEXT, "properties/displayName": Kind.TEXT},
    default_order=(("name", False),),
    default_top=50,
    max_top=1000,
    key="name",
    token_name="$skipToken",  # noqa: S106 - the name of a query option
)


def operations() -> list[Operation]:
    """List the routes."""
    bookmarks, rules = ROOT + "/bookmarks", ROOT + "/automationRules"
    subscription = "/subscriptions/{subscription}"
    providers = "/providers/Microsoft.OperationalInsights/workspaces"
    read_bookmarks, write_bookmarks = sentinel_reads("bookmarks"), sentinel_writes("bookmarks")
    return [
        Operation(
            api=Api.ARM, method="GET", template=subscription + providers, endpoint=list_workspaces
        ),
        operation("GET", WORKSPACE, get_workspace, READ),
        operation("GET", ROOT + "/onboardingStates/default", get_onboarding, READ),
        operation("GET", bookmarks, list_bookmarks, READ, read_bookmarks),
        operation("GET", bookmarks + "/{bookmark}", get_bookmark, READ, read_bookmarks),
        operation("PUT", bookmarks + "/{bookmark}", put_bookmark, RESPOND, write_bookmarks),
        operation("DELETE", bookmarks + "/{bookmark}", delete_bookmark, CONTRIBUTE),
        operation("GET", rules, list_rules, READ, sentinel_reads("automationRules")),
        operation("GET", rules + "/{rule}", get_rule, READ, sentinel_reads("automationRules")),
        operation("PUT", rules + "/{rule}", put_rule, CONTRIBUTE),
        operation("DELETE", rules + "/{rule}", delete_rule, CONTRIBUTE),
    ]


def list_workspaces(call: Call) -> Answer:
    """Answer the workspaces of the subscription."""
    check_version(call)
    if call.parameters["subscription"].casefold() != call.tenant.subscription_id:
        text = f"The subscription '{call.parameters['subscription']}' could not be found."
        raise Refusal(404, "SubscriptionNotFound", text)
    if not set(READ) & set(call.caller.grants.get(Api.ARM, ())):
        raise forbidden(Api.ARM, call, READ)
    return Answer(body={"value": [_show(workspace) for workspace in call.tenant.workspaces]})


def get_workspace(_call: Call, workspace: Workspace) -> Answer:
    """Answer the workspace itself; `customerId` is what the query API wants."""
    return Answer(body=_show(workspace))


def get_onboarding(_call: Call, workspace: Workspace) -> Answer:
    """Tell that Sentinel is on in this workspace."""
    state = SubResource(name="default", properties={"customerManagedKey": False})
    body = show_sub(workspace, state, "onboardingStates/default", "onboardingStates")
    return Answer(body=body)


def list_bookmarks(call: Call, workspace: Workspace) -> Answer:
    """Answer one page of bookmarks."""
    rows = [_show_bookmark(workspace, sub) for sub in workspace.bookmarks.values()]
    return list_answer(call, rows, PAGING)


def get_bookmark(call: Call, workspace: Workspace) -> Answer:
    """Answer one bookmark."""
    sub = get_sub(workspace.bookmarks, call.parameters["bookmark"], "Bookmark")
    return Answer(body=_show_bookmark(workspace, sub))


def put_bookmark(call: Call, workspace: Workspace) -> Answer:
    """Create or replace a bookmark."""
    sent = read_properties(call)
    required_text(sent, "displayName")
    required_text(sent, "query")
    now = stamp(call.tenant.clock.shown())
    name = call.parameters["bookmark"]
    found = workspace.bookmarks.get(name)
    made = {"created": now, "createdBy": client_info(call)}
    sub = found or SubResource(name=name, properties=made)
    sub.properties |= sent | {"updated": now, "updatedBy": client_info(call)}
    sub.etag = new_etag()
    workspace.bookmarks[name] = sub
    return Answer(status=201 if found is None else 200, body=_show_bookmark(workspace, sub))


def delete_bookmark(call: Call, workspace: Workspace) -> Answer:
    """Delete a bookmark; 204 where there is none."""
    found = workspace.bookmarks.pop(call.parameters["bookmark"], None)
    return Answer(status=204 if found is None else 200)


def list_rules(call: Call, workspace: Workspace) -> Answer:
    """Answer one page of automation rules."""
    rows = [_show_rule(workspace, sub) for sub in workspace.automation_rules.values()]
    return list_answer(call, rows, PAGING)


def get_rule(call: Call, workspace: Workspace) -> Answer:
    """Answer one automation rule."""
    sub = get_sub(workspace.automation_rules, call.parameters["rule"], "Automation rule")
    return Answer(body=_show_rule(workspace, sub))


def put_rule(call: Call, workspace: Workspace) -> Answer:
    """Keep an automation rule; the simulator does not run it."""
    sent = read_properties(call)
    required_text(sent, "displayName", 500)
    name, now = call.parameters["rule"], stamp(call.tenant.clock.shown())
    found = workspace.automation_rules.get(name)
    if found is not None:
        check_etag(call, name, found.etag)
    made = {"createdTimeUtc": now, "createdBy": client_info(call)}
    sub = found or SubResource(name=name, properties=made)
    sub.properties |= sent | {"lastModifiedTimeUtc": now, "lastModifiedBy": client_info(call)}
    sub.etag = new_etag()
    workspace.automation_rules[name] = sub
    return Answer(status=201 if found is None else 200, body=_show_rule(workspace, sub))


def delete_rule(call: Call, workspace: Workspace) -> Answer:
    """Delete an automation rule; 204 where there is none."""
    found = workspace.automation_rules.pop(call.parameters["rule"], None)
    return Answer(status=204 if found is None else 200)


def _show(workspace: Workspace) -> Json:
    return {
        "id": workspace.id,
        "name": workspace.name,
        "type": "Microsoft.OperationalInsights/workspaces",
        "location": "westeurope",
        "properties": {"customerId": workspace.guid, "provisioningState": "Succeeded"},
    }


def _show_bookmark(workspace: Workspace, sub: SubResource) -> Json:
    return show_sub(workspace, sub, f"bookmarks/{sub.name}", "bookmarks")


def _show_rule(workspace: Workspace, sub: SubResource) -> Json:
    return show_sub(workspace, sub, f"AutomationRules/{sub.name}", "AutomationRules")
