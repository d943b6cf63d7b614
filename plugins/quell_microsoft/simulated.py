"""Turns a simulator's ready file into the settings of a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ROLES", "settings_from"]

#: the identities that quell uses; the simulator has more, for tests
ROLES = ("reader", "sync", "device", "user", "mail")
#: a simulator is on this machine, and recorded incidents may be years old
PACE = {"poll_every": 1.0, "lookback_days": 3650}
WORKSPACE = ("subscription_id", "resource_group", "workspace")


def settings_from(ready: Mapping[str, Any]) -> dict[str, Any]:
    """Give the sections `microsoft`, `defender` and `sentinel` for the simulated tenant."""
    identities = ready["identities"]
    microsoft = {
        "tenant_id": ready["tenant_id"],
        "base_url": ready["base_url"],
        "ca_file": ready["ca_file"],
        "identities": {role: _identity(identities[role]) for role in ROLES if role in identities},
    }
    workspace = {key: ready[key] for key in WORKSPACE}
    if "dcr_immutable_id" in ready:
        workspace["rules"] = {"default": {"id": ready["dcr_immutable_id"]}}
    return {
        "microsoft": microsoft,
        "defender": dict(PACE),
        "sentinel": {**PACE, "workspaces": [workspace]},
    }


def _identity(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"client_id": one["client_id"], "client_secret": one["client_secret"]}
