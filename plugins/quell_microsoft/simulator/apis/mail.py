"""Analyzed emails in Graph: looking at copies of mail and remediating them."""

from __future__ import annotations

from urllib.parse import quote

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging, cut_page, next_link, select
from quell_microsoft.simulator.state.clock import parse_stamp
from quell_microsoft.simulator.state.mailboxes import LOCATIONS
from quell_microsoft.simulator.state.throttle import GRAPH_SECURITY
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_objects, as_text

from .security import context

READ = ("SecurityAnalyzedMessage.Read.All", "SecurityAnalyzedMessage.ReadWrite.All")
WRITE = ("SecurityAnalyzedMessage.ReadWrite.All",)
PAGING = Paging(
    type_name="microsoft.graph.security.analyzedEmail",
    properties={
        "id": Kind.TEXT,
        "networkMessageId": Kind.TEXT,
        "internetMessageId": Kind.TEXT,
        "recipientEmailAddress": Kind.TEXT,
        "subject": Kind.TEXT,
        "loggedDateTime": Kind.MOMENT,
        "directionality": Kind.TEXT,
        "latestDelivery/location": Kind.TEXT,
        "latestDelivery/action": Kind.TEXT,
        "senderDetail/fromAddress": Kind.TEXT,
        "senderDetail/ipv4": Kind.TEXT,
    },
    default_order=(("loggedDateTime", True),),
    default_top=100,
    max_top=1000,
)
KEYS = frozenset(
    {
        "displayName",
        "description",
        "severity",
        "action",
        "remediateSendersCopy",
        "remediateBy",
        "analyzedEmails",
        "approverUpn",
    }
)


def operations(root: str) -> list[Operation]:
    """List the routes under `/v1.0` or `/beta`."""
    base = f"{root}/security/collaboration/analyzedEmails"
    limits = (GRAPH_SECURITY,)
    routes = [
        ("GET", base, list_emails, READ),
        ("POST", f"{base}/remediate", remediate, WRITE),
        ("POST", f"{base}/microsoft.graph.security.remediate", remediate, WRITE),
        ("GET", base + "/{email_id}", get_email, READ),
    ]
    return [
        Operation(
            api=Api.GRAPH, method=method, template=template, endpoint=endpoint, roles=roles,
            limits=limits, is_write=method == "POST",
        )
        for method, template, endpoint, roles in routes
    ]  # fmt: skip


def list_emails(call: Call) -> Answer:
    """Answer copies of mail between `startTime` and `endTime`."""
    start = parse_stamp(call.query.get("startTime"))
    end = parse_stamp(call.query.get("endTime"))
    for name, moment in (("startTime", start), ("endTime", end)):
        if name in call.query and moment is None:
            raise Refusal(400, "BadRequest", f"Invalid value for parameter '{name}'.")
    rows: list[Json] = []
    for message in call.tenant.mail.messages.values():
        logged = parse_stamp(message.body["loggedDateTime"])
        is_early = start is not None and logged is not None and logged < start
        is_late = end is not None and logged is not None and logged > end
        if not is_early and not is_late:
            rows.append(message.body)
    page = cut_page(rows, call.query, PAGING)
    path = "security/collaboration/analyzedEmails"
    body: Json = {"@odata.context": context(call, path)}
    if call.query.get("$count", "").casefold() == "true":
        body["@odata.count"] = page.total
    body["value"] = [select(row, call.query) for row in page.rows]
    if page.token is not None:
        body["@odata.nextLink"] = next_link(call.base, call.path, call.query, PAGING, page.token)
    return Answer(body=body)


def get_email(call: Call) -> Answer:
    """Answer one copy of a mail by its id."""
    wanted = call.parameters["email_id"]
    for message in call.tenant.mail.messages.values():
        if message.body["id"] == wanted:
            path = "security/collaboration/analyzedEmails/$entity"
            return Answer(body={"@odata.context": context(call, path), **message.body})
    raise Refusal(404, "NotFound", "The analyzed email was not found.")


def remediate(call: Call) -> Answer:
    """Accept a remediation: 202 and a portal link that cannot be polled."""
    body = call.json_object()
    unknown = [name for name in body if name not in KEYS and not name.startswith("@")]
    if unknown:
        text = f"The parameter '{unknown[0]}' does not exist on action 'remediate'."
        raise Refusal(400, "BadRequest", text)
    action = as_text(body.get("action"))
    if action not in LOCATIONS:
        raise Refusal(400, "BadRequest", f"Remediation action '{action}' is not supported.")
    _check_details(body)
    targets = [
        (as_text(item.get("networkMessageId")), as_text(item.get("recipientEmailAddress")))
        for item in as_objects(body.get("analyzedEmails"))
    ]
    if not targets or any(not network_id or not recipient for network_id, recipient in targets):
        text = "Each of analyzedEmails needs networkMessageId and recipientEmailAddress."
        raise Refusal(400, "BadRequest", text)
    remediation = call.tenant.mail.remediate(as_text(body["displayName"]), action, targets)
    filters = quote(f'{{"bulkId":["{remediation.id}"]}}')
    location = (
        f"https://security.microsoft.com/action-center/history?filters={filters}"
        f"&tid={call.tenant.tenant_id}"
    )
    return Answer(status=202, headers={"Location": location})


def _check_details(body: Json) -> None:
    if not as_text(body.get("displayName")).strip():
        raise Refusal(400, "BadRequest", "The parameter 'displayName' is required.")
    if as_text(body.get("severity")) not in ("low", "medium", "high"):
        raise Refusal(400, "BadRequest", "The parameter 'severity' must be low, medium or high.")
    # the documentation sends a string, the schema says Boolean: both are taken
    if body.get("remediateSendersCopy", False) not in (True, False, "true", "false"):
        raise Refusal(400, "BadRequest", "The parameter 'remediateSendersCopy' must be a Boolean.")
