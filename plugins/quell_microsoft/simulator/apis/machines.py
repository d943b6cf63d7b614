"""Defender for Endpoint: machines and the actions that are started on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from quell_microsoft.simulator.call import Call, Operation
from quell_microsoft.simulator.odata import Kind
from quell_microsoft.simulator.paging import Paging, cut_page
from quell_microsoft.simulator.state.devices import Machine
from quell_microsoft.simulator.state.throttle import ENDPOINT_MINUTE
from quell_microsoft.simulator.wire import Answer, Api, Json, Refusal, as_text, as_texts

METADATA = "https://api.securitycenter.microsoft.com/api/$metadata"
READ = ("Machine.Read.All", "Machine.ReadWrite.All")
COMMENT_LIMIT = 4000
#: action path: (type, permission)
SIMPLE_ACTIONS = {
    "unisolate": ("Unisolate", "Machine.Isolate"),
    "restrictCodeExecution": ("RestrictCodeExecution", "Machine.RestrictExecution"),
    "unrestrictCodeExecution": ("UnrestrictCodeExecution", "Machine.RestrictExecution"),
    "collectInvestigationPackage": ("CollectInvestigationPackage", "Machine.CollectForensics"),
}
TEXT, MOMENT = Kind.TEXT, Kind.MOMENT
PAGING = Paging(
    type_name="microsoft.windowsDefenderATP.api.machine",
    properties={
        "id": TEXT, "computerDnsName": TEXT, "version": TEXT, "deviceValue": TEXT,
        "aadDeviceId": TEXT, "machineTags": Kind.OTHER, "lastSeen": MOMENT, "exposureLevel": TEXT,
        "onboardingStatus": TEXT, "lastIpAddress": TEXT, "healthStatus": TEXT, "osPlatform": TEXT,
        "riskScore": TEXT, "rbacGroupId": Kind.NUMBER, "firstSeen": MOMENT,
    },
    default_order=(("id", False),),
    default_top=10_000,
    max_top=10_000,
)  # fmt: skip
_SHA1 = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)


def operations() -> list[Operation]:
    """List the routes; the same paths answer under `/api/v1.0`."""
    actions: list[tuple[str, Callable[[Call], Answer], str]] = [
        ("isolate", isolate, "Machine.Isolate"),
        ("runAntiVirusScan", scan, "Machine.Scan"),
        ("StopAndQuarantineFile", quarantine_file, "Machine.StopAndQuarantine"),
        ("offboard", offboard, "Machine.Offboard"),
        ("tags", tag, "Machine.ReadWrite.All"),
        *((name, _simple(kind), role) for name, (kind, role) in SIMPLE_ACTIONS.items()),
    ]
    found: list[Operation] = []
    for base in ("/api/machines", "/api/v1.0/machines"):
        found.append(_operation("GET", base, list_machines, READ))
        found.append(_operation("GET", base + "/{machine_id}", get_machine, READ))
        for name, endpoint, role in actions:
            template = base + "/{machine_id}/" + name
            found.append(_operation("POST", template, endpoint, (role,)))
    return found


def _operation(
    method: str, template: str, endpoint: Callable[[Call], Answer], roles: tuple[str, ...]
) -> Operation:
    return Operation(
        api=Api.ENDPOINT,
        method=method,
        template=template,
        endpoint=endpoint,
        roles=roles,
        limits=ENDPOINT_MINUTE,
        is_write=method == "POST",
    )


def list_machines(call: Call) -> Answer:
    """Answer machines; with `$top` there is no nextLink, clients page by `$skip`."""
    rows = [machine.body for machine in call.tenant.devices.machines.values()]
    page = cut_page(rows, call.query, PAGING)
    return Answer(body={"@odata.context": f"{METADATA}#Machines", "value": page.rows})


def get_machine(call: Call) -> Answer:
    """Answer one machine, by its id or by its DNS name."""
    return _show(get(call))


def isolate(call: Call) -> Answer:
    """Isolate a machine from the network."""
    machine, body = get(call), read_body(call)
    scope = _choice(body, "IsolationType", ("Full", "Selective", "UnManagedDevice"))
    _check_platform(machine, scope)
    return start(call, machine, "Isolate", scope=scope)


def scan(call: Call) -> Answer:
    """Start an antivirus scan."""
    machine, body = get(call), read_body(call)
    scope = _choice(body, "ScanType", ("Quick", "Full"))
    return start(call, machine, "RunAntiVirusScan", scope=scope)


def quarantine_file(call: Call) -> Answer:
    """Stop a file from running and delete it."""
    machine, body = get(call), read_body(call)
    sha1 = as_text(_required(body, "Sha1"))
    if not _SHA1.fullmatch(sha1):
        raise Refusal(400, "InvalidHashValue", f"Hash value '{sha1[:64]}' is not a SHA-1.")
    return start(call, machine, "StopAndQuarantineFile", sha1=sha1)


def offboard(call: Call) -> Answer:
    """Offboard a machine; answers 200 where the other actions answer 201."""
    machine, _ = get(call), read_body(call)
    if as_text(machine.body.get("osPlatform")).casefold().startswith(("mac", "linux")):
        raise _unsupported(machine)
    answer = start(call, machine, "Offboard")
    answer.status = 200
    return answer


def tag(call: Call) -> Answer:
    """Add or remove a machine tag; answers 200 with the machine."""
    machine, body = get(call), _object(call)
    value = as_text(_required(body, "Value"))
    if not value:
        raise Refusal(400, "InvalidInput", "The tag must not be empty.")
    adds = _choice(body, "Action", ("Add", "Remove")) == "Add"
    tags = [old for old in as_texts(machine.body.get("machineTags")) if old != value]
    machine.body["machineTags"] = [*tags, value] if adds else tags
    return _show(machine)


def _simple(kind: str) -> Callable[[Call], Answer]:
    def endpoint(call: Call) -> Answer:
        machine, _ = get(call), read_body(call)
        if kind in ("Unisolate", "RestrictCodeExecution", "UnrestrictCodeExecution"):
            _check_platform(machine, "Full")
        return start(call, machine, kind)

    return endpoint


def start(
    call: Call, machine: Machine, kind: str, *, scope: str | None = None, sha1: str | None = None
) -> Answer:
    """Start an action, or do what the knob says while one of its kind is open."""
    comment = as_text(call.json_object()["Comment"])
    devices = call.tenant.devices
    found = devices.find_open(machine.body["id"], kind)
    policy = call.tenant.config.duplicate_action
    if found is not None and policy == "echo":
        return show_action(found, status=201)
    if found is not None and policy != "accept":
        raise Refusal(400, "ActiveRequestAlreadyExists", "Action is already in progress")
    name = call.caller.name
    action = devices.start(machine, kind, requestor=name, comment=comment, scope=scope, sha1=sha1)
    return show_action(action, status=201)


def show_action(action: Json, *, status: int = 200) -> Answer:
    """Answer one machine action."""
    context = f"{METADATA}#MachineActions/$entity"
    return Answer(status=status, body={"@odata.context": context, **action})


def get(call: Call) -> Machine:
    """Find the machine of the call; refuses in the recorded words."""
    machine_id = call.parameters["machine_id"]
    machines = call.tenant.devices.machines
    found = machines.get(machine_id) or machines.get(machine_id.casefold())
    if found is None:
        raise Refusal(404, "ResourceNotFound", f"Machine {machine_id} was not found")
    return found


def read_body(call: Call) -> Json:
    """Read the body of an action: keys are case-sensitive and `Comment` is required."""
    body = _object(call)
    comment = _required(body, "Comment")
    if not isinstance(comment, str) or not comment.strip():
        raise Refusal(400, "InvalidInput", "Comment must not be empty.")
    if len(comment) > COMMENT_LIMIT:  # Assumed: the limit is not documented
        raise Refusal(400, "InvalidInput", "Comment is too long.")
    return body


def _object(call: Call) -> Json:
    try:
        return call.json_object()
    except Refusal as refusal:
        raise Refusal(400, "InvalidRequestBody", "Request body is incorrect") from refusal


def _required(body: Json, name: str) -> Any:
    if name not in body:
        # Assumed: which code a missing key gets is not documented
        raise Refusal(400, "MissingRequiredParameter", f"Required parameter {name} is missing.")
    return body[name]


def _choice(body: Json, name: str, choices: tuple[str, ...]) -> str:
    value = _required(body, name)
    if value not in choices:
        text = f"{name} must be one of {', '.join(choices)}."
        raise Refusal(400, "InvalidInput", text)
    return str(value)


def _check_platform(machine: Machine, scope: str) -> None:
    platform = as_text(machine.body.get("osPlatform")).casefold()
    is_windows = platform.startswith(("windows10", "windows11", "windowsserver20"))
    is_other = platform.startswith(("linux", "ubuntu", "redhat", "debian", "suse", "mac"))
    if scope == "UnManagedDevice":
        return
    if not is_windows and not (is_other and scope == "Full"):
        raise _unsupported(machine)


def _unsupported(machine: Machine) -> Refusal:
    platform = machine.body.get("osPlatform")
    return Refusal(400, "OsPlatformNotSupported", f"OS platform {platform} is not supported.")


def _show(machine: Machine) -> Answer:
    return Answer(body={"@odata.context": f"{METADATA}#Machines/$entity", **machine.body})
