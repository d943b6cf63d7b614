"""Makes msgspec's notes about every struct before threads can ask for them side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec

__all__ = ["prepare_structs"]


def prepare_structs() -> int:
    """Have msgspec look at every struct that was declared so far. Gives how many it knows.

    It does so when a struct is first converted to, and two threads that do that at once crash
    the process (msgspec 0.22): the second finds the notes half written. To be called while only
    one thread converts anything.
    """
    known = 0
    for struct in list(_below(msgspec.Struct)):
        # a struct that cannot be converted to is not: generic ones, and those with odd fields
        with contextlib.suppress(TypeError, NameError, AttributeError):
            msgspec.json.Decoder(struct)
            known += 1
    return known


def _below(parent: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for child in parent.__subclasses__():
        yield child
        yield from _below(child)
