"""What is said between the worker and its child processes: messages, and their frames.

The worker believes nothing that a child says: it decodes by type and bounds every size.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from quell.domain.action import Resolution, Target
from quell.domain.entity import Entity
from quell.domain.outcome import Observation, Operation
from quell.domain.secret import Secret

__all__ = [
    "MOST_FROM_CHILD",
    "About",
    "Ask",
    "CallBody",
    "End",
    "Ended",
    "FromChild",
    "Garbled",
    "Go",
    "Hello",
    "Kind",
    "Limits",
    "Load",
    "Loaded",
    "LookedUp",
    "Order",
    "Ready",
    "Refused",
    "Reply",
    "Result",
    "Spawn",
    "Thrown",
    "ToChild",
    "ToStem",
    "decode",
    "decoder",
    "encode",
    "frame",
    "read_frame",
    "receive",
]

#: the largest thing that a child may say at a time
MOST_FROM_CHILD = 16 * 1024 * 1024
LENGTH = struct.Struct(">I")

#: what is done in a child process
Kind = Literal["act", "observe", "poll", "cancel", "resolve"]
#: what a child may ask for
About = Literal["settings", "acquire", "pause", "bridge"]


class Garbled(Exception):
    """What a child said cannot be read; `args[0]` is the end of a sentence about it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one child process may use."""

    #: beyond what the loaded plugin takes
    memory_mb: int = 512
    cpu_seconds: int = 60
    open_files: int = 64


# -- the worker and a stem process --------------------------------------------------------------


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """The first word to a stem process: what to load."""

    plugin: str
    lock: str
    #: plugins whose connectors this one asks for
    beside: tuple[str, ...] = ()
    limits: Limits = Limits()


class Spawn(msgspec.Struct, frozen=True, kw_only=True, tag="spawn"):
    """Have a child process made; the socket to talk to it comes along."""

    number: int


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """Have a child process ended, with all that it began."""

    number: int


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """A stem process is ready, or says why its plugin cannot be used."""

    problem: str = ""


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="ended"):
    """A child process is gone: its wait status, None where there was none."""

    number: int
    status: int | None = None


ToStem = Load | Spawn | End
FromStem = Loaded | Ended

# -- the worker and a child process -------------------------------------------------------------


class CallBody(msgspec.Struct, frozen=True, kw_only=True):
    """A `Call`, on its way; the parameters are decoded by whoever knows their type."""

    params: msgspec.Raw
    targets: tuple[Target, ...]
    key: str
    note: str
    deadline: datetime
    incident_id: str | None = None
    run_id: str | None = None
    before: dict[str, Observation] = msgspec.field(default_factory=dict[str, Observation])


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """What a child process is to do."""

    do: Kind
    plugin: str
    #: the action's name, or that of the entity class which a resolver is for
    name: str
    system: str
    identity: str
    tenant_id: str
    now: datetime
    seconds: float
    call: CallBody | None = None
    target: Target | None = None
    operation: Operation | None = None
    entity: Entity | None = None
    #: which plugin offers a connector, by the connector's name
    owners: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class Go(msgspec.Struct, frozen=True, kw_only=True, tag="go"):
    """The last word before the plugin's function is called."""


class Thrown(msgspec.Struct, frozen=True, kw_only=True):
    """An error of ours, to be raised again on the other side."""

    module: str
    name: str
    fields: dict[str, Any]


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag="reply"):
    """The answer to a child's question."""

    number: int
    body: Any = None
    error: Thrown | None = None


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello"):
    """A child process lives."""

    pid: int


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Everything is there; the plugin's function is called upon `Go`, and not before."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The plugin's function cannot be called, and was not."""

    reason: str
    remedy: str = ""


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """A child needs something that the worker has."""

    number: int
    about: About
    #: which settings, or which connector
    name: str = ""
    identity: str = ""
    body: Any = None


class LookedUp(msgspec.Struct, frozen=True, kw_only=True):
    """What a look-up gave: one of the two."""

    found: Resolution | None = None
    unresolved: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result"):
    """What came of it; decoded by the type that was asked for."""

    body: msgspec.Raw


ToChild = Order | Go | Reply
FromChild = Hello | Ready | Refused | Ask | Result


def _encode_other(value: Any) -> Any:
    if isinstance(value, Secret):
        return str(value)  # its mask: no secret leaves the worker
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, msgspec.Struct | set | frozenset):
        return msgspec.to_builtins(value)
    raise TypeError(f"a {type(value).__name__} cannot be handed over")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_other)


def encode(value: Any) -> bytes:
    """Write plain data, masking secrets. Raises TypeError or OverflowError for anything else."""
    return _encoder.encode(value)


@cache
def decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """Give what reads a type; making it takes longer than using it, so that it is kept."""
    return msgspec.msgpack.Decoder(kind)


def decode(body: bytes | msgspec.Raw, kind: Any) -> Any:
    """Read data by type. Raises Garbled."""
    try:
        return decoder(kind).decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Garbled("answered with something of the wrong shape") from error


def frame(message: ToStem | FromStem | ToChild | FromChild) -> bytes:
    """Write a message the way it is sent."""
    body = encode(message)
    return LENGTH.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader, kind: Any, most: int = MOST_FROM_CHILD) -> Any:
    """Read one message. Raises Garbled, IncompleteReadError at the end."""
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    if length > most:
        raise Garbled(f"answered with more than {most // 1024**2} MB")
    return decode(await reader.readexactly(length), kind)


def read_frame(sock: socket.socket) -> bytes:
    """Wait for one message; for processes that have nothing else to do. Raises EOFError."""
    (length,) = LENGTH.unpack(_exactly(sock, LENGTH.size))
    return _exactly(sock, length)


def _exactly(sock: socket.socket, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        part = sock.recv(min(length - len(found), 1 << 20))
        if not part:
            raise EOFError
        found += part
    return bytes(found)
