"""The source of a stranger's plugin whose actions do what actions must not, and of two good ones."""

from __future__ import annotations

__all__ = ["SOURCE"]

SOURCE = '''
import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec

from quell import (
    Bridge, Call, ConnectorSpec, Device, Effect, Failed, NoParams, Observation, Operation, Outcome,
    Pending, Resolution, SettingsSection, Succeeded, Target, Trait, Unknown, action, hookimpl,
    not_so, resolver, so,
)
from quell.domain.ports import OperationClass
from quell.domain.secret import Secret
from quell.errors import RequestRefused, Throttled
from quell.web import http_bridge


class SwitchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the switch is reached."""

    #: its address
    url: str = "https://switch.example"
    #: what opens it
    token: Secret = Secret("")


class Switch:
    """What signs in to the product. It stays in the worker."""

    def __init__(self, token):
        self.token = token
        self.blocked = []
        self.keys = {}

    async def find(self, name):
        return self.keys.get(name)

    async def block(self, name, key=""):
        self.keys[name] = key
        if name == "busy":
            raise Throttled(endpoint="switch", retry_after=7.0)
        if name == "broken":
            raise ValueError(self.token)
        self.blocked.append((name, os.getpid()))
        return {"port": 7, "pid": os.getpid()}


class FarSwitch:
    def __init__(self, ask):
        self._ask = ask

    async def block(self, name, key=""):
        return await self._ask({"block": name, "key": key})

    async def find(self, name):
        return await self._ask({"find": name})


async def serve(switch, asked):
    match asked:
        case {"block": str(name), "key": str(key)}:
            return await switch.block(name, key)
        case {"find": str(name)}:
            return await switch.find(name)
    raise RequestRefused(endpoint="switch", problem="cannot be read")


class SwitchHttp(httpx.AsyncClient):
    """Signed in at the product's own interface."""


def build_http(context):
    settings = context.settings(SwitchSettings)
    signed = {"Authorization": "Bearer " + settings.token.reveal()}
    return SwitchHttp(base_url=settings.url + "/api", headers=signed, trust_env=False)


class Ports:
    """Stands on the switch; it is built wherever it is used."""

    def __init__(self, context):
        self.context = context
        self.switch = context.connector(Switch)
        self.url = context.settings(SwitchSettings).url

    async def block(self, name):
        await self.context.quota.acquire(OperationClass("switch", "block"), for_containment=True)
        return await self.switch.block(name)


class Naive:
    """Signs in by itself, which it cannot do in a child process."""

    def __init__(self, context):
        self.token = context.settings(SwitchSettings).token.reveal()


class Stranger:
    """Nobody offers it."""


class Others:
    """Asks for another identity than its action's."""

    def __init__(self, context):
        self.switch = context.connector(Switch, identity="sync")


class Trouble(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    kind: str = ""
    text: str = ""
    number: int = 0


def declared(name, **more):
    return action(
        "device." + name, system="switch", target=Device, identity="device", isolate=True,
        effect=Effect.CONTAIN, params=Trouble, timeout=timedelta(seconds=10), **more,
    )


@declared("block_port", makes="device.port_blocked")
async def block_port(call: Call[Trouble], ports: Ports) -> Outcome:
    """Block the network port of a device."""
    try:
        found = await ports.block(call.target.entity.host_name)
    except RequestRefused as error:
        return Failed(reason=str(error))
    return Succeeded(proof=call.key, data={**found, "here": os.getpid(), "url": ports.url})


@block_port.observe
async def is_blocked(target: Target, ports: Ports) -> Observation:
    return so(keys=("key-1",), facts={"here": os.getpid(), "name": target.facts["name"]})


@block_port.poll
async def ask_about(operation: Operation) -> Outcome:
    return Succeeded(proof=operation.id, data={"here": os.getpid()})


@block_port.cancel
async def cancel(operation: Operation) -> None:
    if operation.id == "gone":
        raise RequestRefused(endpoint="switch", problem="it is over")


@declared("cut_off", makes="device.cut_off")
async def cut_off(call: Call[Trouble], switch: Switch) -> Outcome:
    """Block, and die before anybody hears of it."""
    await switch.block(call.target.entity.host_name, call.key)
    ctypes.string_at(0)


@cut_off.observe
async def is_cut_off(target: Target, switch: Switch) -> Observation:
    key = await switch.find(target.entity.host_name)
    return so(keys=(key,)) if key else not_so()


@declared("tell", is_idempotent=True)
async def tell(call: Call[Trouble]) -> Outcome:
    """Tell how it is in here."""
    return Succeeded(data={
        "environment": dict(os.environ), "descriptors": sorted(os.listdir("/proc/self/fd")),
        "session": os.getsid(0) == os.getpid(), "params": msgspec.to_builtins(call.params),
        "note": call.note, "incident": call.incident_id, "run": call.run_id,
        "before": call.before[call.target.id].state if call.before else None,
        "traits": sorted(call.target.traits), "deadline": call.deadline,
        "host": call.target.entity.host_name, "modules": sorted(sys.modules),
    })


@declared("fetch", is_idempotent=True)
async def fetch(call: Call[Trouble], http: SwitchHttp) -> Outcome:
    """Ask the product's interface for whatever is asked for."""
    lying = {"Authorization": "Bearer mine", "Host": "elsewhere", "X-Mine": "yes"}
    try:
        found = await http.post(call.params.text, json={"it": 1}, headers=lying)
    except httpx.HTTPError as error:
        return Failed(reason=type(error).__name__)
    return Succeeded(data={"status": found.status_code, "json": found.json()})


@declared("ask_naively", is_idempotent=True)
async def ask_naively(call: Call[Trouble], naive: Naive) -> Outcome:
    """Ask for a secret."""
    return Succeeded()


@declared("ask_a_stranger", is_idempotent=True)
async def ask_a_stranger(call: Call[Trouble], stranger: Stranger) -> Outcome:
    """Ask for what nobody offers."""
    return Succeeded()


@declared("ask_as_another", is_idempotent=True)
async def ask_as_another(call: Call[Trouble], others: Others) -> Outcome:
    """Ask as another identity."""
    return Succeeded(data=await others.switch.block("pc-1"))


@declared("ask_about", is_idempotent=True)
async def ask_badly(call: Call[Trouble], switch: Switch) -> Outcome:
    """Ask what cannot be answered."""
    return Succeeded(data=await switch._ask(call.params.text))


@declared("break", is_idempotent=True)
async def break_down(call: Call[Trouble]) -> Outcome:
    """Do what an action must not do."""
    return TROUBLES[call.params.kind](call.params)


@break_down.observe
async def look(target: Target) -> Observation:
    return TROUBLES[target.facts["kind"]](None)


@break_down.poll
async def poll_badly(operation: Operation) -> Outcome:
    return TROUBLES[operation.id](None)


@break_down.cancel
async def cancel_badly(operation: Operation) -> None:
    TROUBLES[operation.id](None)


@declared("sleep", is_idempotent=True)
async def sleep(call: Call[Trouble]) -> Outcome:
    """Take a nap, and leave a note before it."""
    if call.params.text:
        Path(call.params.text).write_text(str(os.getpid()))
    await asyncio.sleep(call.params.number)
    return Succeeded()


#: keys of the greetings that this very process gave
GREETED = []


@action("device.greet", system="switch", target=Device, effect=Effect.ANNOTATE)
async def greet(call: Call[NoParams]) -> Outcome:
    """Say where it runs, without a wish as to where."""
    GREETED.append(call.key)
    return Succeeded(data={"here": os.getpid()})


@resolver(Device, system="switch", identity="device")
async def find(device: Device) -> Resolution:
    if device.host_name == "segfault":
        ctypes.string_at(0)
    return Resolution(
        entity=device, traits=frozenset({Trait.WORKSTATION}), facts={"here": os.getpid()}
    )


def segfault(params):
    ctypes.string_at(0)


def leave(params):
    os._exit(3)


def end(params):
    sys.exit(4)


def interrupt(params):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def use_memory(params):
    block = bytearray(4 << 30)
    return Succeeded(proof=str(len(block)))


def use_memory_for_good(params):
    libc = ctypes.CDLL(None)
    libc.abort()


def use_processor(params):
    while True:
        pass


def hang(params):
    time.sleep(3600)


def open_files(params):
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(100_000)]
    return Succeeded(proof=str(len(kept)))


def line_of_the_process():
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith("socket:") :
                yield int(name)
        except OSError:
            pass


def flood(params):
    (number, *_) = line_of_the_process()
    while True:
        os.write(number, b"\\xff" * 65536)


def flood_questions(params):
    (number, *_) = line_of_the_process()
    body = msgspec.msgpack.encode(
        {"type": "ask", "number": 1, "about": "settings", "name": "no.such"}
    )
    while True:
        os.write(number, len(body).to_bytes(4, "big") + body)


def be_garbled(params):
    (number, *_) = line_of_the_process()
    os.write(number, (6).to_bytes(4, "big") + b"\\xc1nothing"[:6])
    time.sleep(60)


def pose_as_the_end(params):
    (number, *_) = line_of_the_process()
    body = msgspec.msgpack.encode({"type": "ready"})
    os.write(number, len(body).to_bytes(4, "big") + body)
    time.sleep(60)


def print_much(params):
    for _ in range(2000):
        print("x" * 1000)
        print("x" * 1000, file=sys.stderr)
    os.write(1, b"y" * 1_000_000)
    return Succeeded(proof="printed")


def begin_processes(params):
    near = subprocess.Popen(["sleep", "3600"]).pid
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            time.sleep(3600)
        os._exit(0)
    far = int(os.read(reading, 20))
    apart = os.fork()
    if apart == 0:
        os.setsid()
        time.sleep(3600)
    Path(params.text).write_text(f"{near} {far} {apart}")
    return Succeeded(proof="begun")


def begin_and_hang(params):
    begin_processes(params)
    time.sleep(3600)


def huge(params):
    return Succeeded(proof="x" * (32 << 20))


class Liar(str):
    pass


TROUBLES = {
    "segfault": segfault, "leave": leave, "end": end, "interrupt": interrupt,
    "memory": use_memory, "abort": use_memory_for_good, "processor": use_processor, "hang": hang,
    "files": open_files, "flood": flood, "questions": flood_questions, "garbled": be_garbled,
    "turn": pose_as_the_end, "print": print_much, "processes": begin_processes,
    "processes_and_hang": begin_and_hang, "huge": huge,
    "text": lambda params: "done",
    "none": lambda params: None,
    "two": lambda params: [Succeeded(), Succeeded()],
    "wrong": lambda params: Succeeded(proof=7),
    "object": lambda params: Succeeded(data={"it": object()}),
    "long": lambda params: Succeeded(data={"it": 1 << 80}),
    "raise": lambda params: 1 / 0,
    "raise_base": lambda params: (_ for _ in ()).throw(BaseException("out")),
    "fine": lambda params: Succeeded(proof="fine"),
}


@hookimpl
def quell_settings():
    return [SettingsSection(name="switch", model=SwitchSettings)]


@hookimpl
def quell_connectors():
    return [
        ConnectorSpec(
            kind=Switch,
            build=lambda context: Switch(context.settings(SwitchSettings).token.reveal()),
            bridge=Bridge(serve=serve, stand_in=lambda context, ask: FarSwitch(ask)),
        ),
        ConnectorSpec(
            kind=SwitchHttp, build=build_http, close=SwitchHttp.aclose,
            bridge=http_bridge(SwitchHttp),
        ),
        ConnectorSpec(kind=Ports, build=Ports),
        ConnectorSpec(kind=Naive, build=Naive),
        ConnectorSpec(kind=Others, build=Others),
    ]


@hookimpl
def quell_resolvers():
    return [find]


@hookimpl
def quell_actions():
    return [
        block_port, cut_off, fetch, tell, ask_naively, ask_a_stranger, ask_as_another, ask_badly, break_down,
        sleep, greet,
    ]
'''
