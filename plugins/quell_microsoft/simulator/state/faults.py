"""Faults to order: which requests go wrong, how, and how often."""

from __future__ import annotations

import re

import msgspec

KINDS = frozenset(
    {"429", "500", "502", "503", "504", "409", "drop", "slow", "partial206", "truncated"}
    | {"malformed"}
)


class FaultRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One kind of fault for the requests that match; `times` None means until taken away."""

    kind: str
    method: str = ".*"
    path: str = ".*"
    times: int | None = 1
    #: let that many matching requests pass first
    skip: int = 0
    retry_after: float | None = None
    #: real seconds by which a slow answer is late
    delay: float = 1.0
    #: the request takes effect although its answer is an error or gets lost
    after_effect: bool = False

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request falls under this rule."""
        return bool(re.fullmatch(self.method, method)) and bool(re.search(self.path, path))


class Faults:
    """The rules in force, first match wins."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []

    def replace(self, rules: list[FaultRule]) -> None:
        """Put new rules in force; raises ValueError for what is no rule."""
        for rule in rules:
            if rule.kind not in KINDS:
                raise ValueError(f"unknown fault kind {rule.kind!r}; known: {sorted(KINDS)}")
            try:
                re.compile(rule.method)
                re.compile(rule.path)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        self.rules = rules

    def take(self, method: str, path: str) -> FaultRule | None:
        """Pick the rule for a request and count it down; None when all is well."""
        for rule in self.rules:
            if rule.times == 0 or not rule.matches(method, path):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.times is not None:
                rule.times -= 1
            return rule
        return None
