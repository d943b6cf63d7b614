"""The simulated tenant: its identifiers and everything in it."""

from __future__ import annotations

import random
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any

from quell_microsoft.simulator.config import SimulatorConfig
from quell_microsoft.simulator.wire import Json

from .clock import SimulatedClock
from .collection import CollectionRule
from .devices import Devices
from .faults import Faults
from .ledger import Ledger
from .mailboxes import Mailboxes
from .overwrites import Overwrites
from .queue import Queue
from .registrations import ROLES, Registration, grants_of
from .throttle import Throttle
from .users import Users
from .workspaces import Workspace

DOMAIN = "tailspin.example"


@dataclass(slots=True)
class CannedHunt:
    """An answer to every hunting query that matches a pattern."""

    pattern: str
    schema: list[Json]
    results: list[Json]


class Tenant:
    """One Entra tenant with its products; no HTTP in here."""

    def __init__(self, config: SimulatorConfig | None = None, *, time_scale: float = 1.0) -> None:
        self.config = config or SimulatorConfig()
        self._random = random.Random(self.config.seed)  # noqa: S311 - identifiers, not secrets
        self.clock = SimulatedClock(time_scale)
        self.clock.ahead = lambda: self.config.clock_skew_seconds
        self.tenant_id = self.guid()
        self.domain = DOMAIN
        self.subscription_id = self.guid()
        self.control_token = secrets.token_urlsafe(24)
        self.signing_key = secrets.token_bytes(32)
        self.registrations = {role: self._register(role) for role in ROLES}
        self.dcr_immutable_id = "dcr-" + self.guid().replace("-", "")
        self.ledger = Ledger(self.clock)
        self.faults = Faults()
        self.throttle = Throttle(self.clock)
        self.queue = Queue(self.clock, self.config, self.tenant_id)
        self.overwrites = Overwrites(self.queue)
        self.devices = Devices(self.clock, self.config)
        self.users = Users(self.clock, self.config, self.domain)
        self.mail = Mailboxes(self.clock, self.config)
        self.workspaces = [
            Workspace(
                subscription_id=self.subscription_id,
                resource_group=workspace.resource_group,
                name=workspace.name,
                clock=self.clock,
                tenant_id=self.tenant_id,
                guid=self.guid(),
            )
            for workspace in self.config.workspaces
        ]
        for workspace in self.workspaces:
            workspace.lag = lambda: self.config.sentinel_lag_seconds
        self.hunts: list[CannedHunt] = []
        #: rows of raw hunting tables, by table, beside what follows from mails, users and devices
        self.events: dict[str, list[Json]] = {}
        #: rows that the ingestion API took, by stream
        self.collection = CollectionRule()
        self.ingested: dict[str, list[Any]] = {}
        #: what the story says about itself: incident ids by role, expected targets
        self.story: Json = {}
        self.skipped: list[str] = []

    def guid(self) -> str:
        """Make a GUID from the seed, the same at every start."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def wall_clock(self) -> float:
        """Tell the services' own time of day, which tokens go by, in seconds since 1970."""
        return time.time() + self.config.clock_skew_seconds

    def configure(self, config: SimulatorConfig) -> None:
        """Turn knobs while the tenant runs."""
        self.config = config
        self.queue.config = self.devices.config = config
        self.users.config = self.mail.config = config

    def find_registration(self, client_id: str) -> Registration | None:
        """Find an app by its client id."""
        return next((r for r in self.registrations.values() if r.client_id == client_id), None)

    def find_workspace(self, resource_group: str, name: str) -> Workspace | None:
        """Find a workspace; names of Azure resources ignore case."""
        wanted = (resource_group.casefold(), name.casefold())
        return next(
            (
                w
                for w in self.workspaces
                if (w.resource_group.casefold(), w.name.casefold()) == wanted
            ),
            None,
        )

    def _register(self, role: str) -> Registration:
        return Registration(
            name=f"quell-{role}",
            client_id=self.guid(),
            client_secret=secrets.token_urlsafe(24),
            object_id=self.guid(),
            grants=grants_of(role),
        )
