"""Defender for Endpoint: looking at machine actions, cancelling them, fetching packages."""

from __future__ import annotations

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging, cut_page
from quell_microsoft.simulator.state.devices import FINAL
from quell_microsoft.simulator.state.throttle import ENDPOINT_MINUTE, PACKAGE_MINUTE
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_text

from .machines import METADATA, READ, read_body, show_action

ANY_ACTION = (
    "Machine.CollectForensics",
    "Machine.Isolate",
    "Machine.RestrictExecution",
    "Machine.Scan",
    "Machine.Offboard",
    "Machine.StopAndQuarantine",
)
PAGING = Paging(
    type_name="microsoft.windowsDefenderATP.api.machineAction",
    properties={
        "id": Kind.TEXT,
        "status": Kind.TEXT,
        "machineId": Kind.TEXT,
        "type": Kind.TEXT,
        "requestor": Kind.TEXT,
        "creationDateTimeUtc": Kind.MOMENT,
    },
    sortable={"lastUpdateDateTimeUtc": Kind.MOMENT},
    default_order=(("creationDateTimeUtc", True),),
    default_top=10_000,
    max_top=10_000,
)


def operations() -> list[Operation]:
    """List the routes; the same paths answer under `/api/v1.0`."""
    found: list[Operation] = []
    for base in ("/api/machineactions", "/api/v1.0/machineactions"):
        one = base + "/{action_id}"
        found += [
            Operation(
                api=Api.ENDPOINT, method="GET", template=base, endpoint=list_actions, roles=READ,
                limits=ENDPOINT_MINUTE,
            ),
            Operation(
                api=Api.ENDPOINT, method="GET", template=one, endpoint=get_action, roles=READ,
                limits=ENDPOINT_MINUTE,
            ),
            Operation(
                api=Api.ENDPOINT, method="POST", template=one + "/cancel", endpoint=cancel,
                roles=ANY_ACTION, limits=ENDPOINT_MINUTE, is_write=True,
            ),
            Operation(
                api=Api.ENDPOINT, method="GET", template=one + "/getPackageUri",
                endpoint=package_uri, roles=("Machine.CollectForensics",), limits=PACKAGE_MINUTE,
            ),
        ]  # fmt: skip
    return found


def list_actions(call: Call) -> Answer:
    """Answer machine actions, newest first."""
    rows = list(call.tenant.devices.actions.values())
    page = cut_page(rows, call.query, PAGING)
    return Answer(body={"@odata.context": f"{METADATA}#MachineActions", "value": page.rows})


def get_action(call: Call) -> Answer:
    """Answer one machine action."""
    return show_action(_get(call))


def cancel(call: Call) -> Answer:
    """Cancel an action that is not final; answers 200 with the action."""
    action = _get(call)
    body = read_body(call)
    if action["status"] in FINAL:
        # Assumed: the code for cancelling too late is not documented
        text = f"Action {action['id']} has already finished with status {action['status']}."
        raise Refusal(400, "BadRequest", text)
    call.tenant.devices.cancel(action, requestor=call.caller.name, comment=as_text(body["Comment"]))
    return show_action(action)


def package_uri(call: Call) -> Answer:
    """Answer a short-lived link to the package; 404 while it is not there."""
    action = _get(call)
    if action["type"] != "CollectInvestigationPackage" or action["status"] != "Succeeded":
        raise Refusal(404, "ResourceNotFound", f"No package for action {action['id']}.")
    link = f"https://packages.example/{action['id']}?sig=simulated"
    return Answer(body={"@odata.context": f"{METADATA}#Edm.String", "value": link})


def _get(call: Call) -> Json:
    action_id = call.parameters["action_id"]
    action = call.tenant.devices.actions.get(action_id)
    if action is None:
        raise Refusal(404, "ResourceNotFound", f"Machine action {action_id} was not found")
    return action
