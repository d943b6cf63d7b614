"""The simulator as a process of its own: ready file, options, a clean end."""

from __future__ import annotations

import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from quell_microsoft.simulator.server import SimulatorOptions, start

KEYS = {
    "base_url", "ca_file", "tenant_id", "client_id", "client_secret", "subscription_id",
    "resource_group", "workspace", "ingestion_url", "dcr_immutable_id", "identities",
    "control_token", "skipped",
}  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    while not path.exists():
        assert process.poll() is None, "the simulator ended early"
        time.sleep(0.02)
    ready: dict[str, Any] = json.loads(path.read_text())
    return ready


def test_it_runs_alone_writes_the_ready_file_and_ends_on_sigterm(tmp_path: Path) -> None:
    # given
    path = tmp_path / "deep" / "ready.json"
    command = [
        sys.executable, "-m", "quell_microsoft.simulator", "--port", "0", "--ready-file", str(path),
        "--story", "--time-scale", "60", "--config", '{"mail_active_limit": 7}',
    ]  # fmt: skip

    # when
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        ready = wait_for(path, process)
        context = ssl.create_default_context(cafile=ready["ca_file"])
        with httpx.Client(base_url=ready["base_url"], verify=context) as client:
            form = {
                "grant_type": "client_credentials",
                "client_id": ready["client_id"],
                "client_secret": ready["client_secret"],
                "scope": "https://graph.microsoft.com/.default",
            }
            token = client.post(f"/{ready['tenant_id']}/oauth2/v2.0/token", data=form).json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            incidents = client.get("/v1.0/security/incidents", headers=headers).json()
            config = client.get(
                "/_simulator/config", headers={"X-Simulator-Token": ready["control_token"]}
            ).json()
        mode = stat.S_IMODE(path.stat().st_mode)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=20)

    # then
    assert set(ready) >= KEYS
    assert set(ready["identities"]) >= {"reader", "sync", "device", "user", "mail"}
    assert len(incidents["value"]) >= 30
    assert config["mail_active_limit"] == 7
    assert mode == 0o600
    assert code == 0
    assert not Path(ready["ca_file"]).exists()
    assert os.listdir(path.parent) == ["ready.json"]


def test_it_listens_on_loopback_only_and_stops_twice_without_harm() -> None:
    # given
    running = start(SimulatorOptions())

    # when
    address = running.address
    running.stop()
    running.stop()

    # then
    assert address[0] == "127.0.0.1"
    assert not running.is_alive
    assert not running.ca_file.exists()


def test_a_taken_port_is_an_error_at_once() -> None:
    # given
    with start(SimulatorOptions()) as running:
        # when
        with pytest.raises(RuntimeError, match="did not start"):
            start(SimulatorOptions(port=running.port))

        # then
        assert running.is_alive


def test_options_are_read_as_a_command_line_gives_them(tmp_path: Path) -> None:
    # when
    options = SimulatorOptions.from_mapping(
        {"port": 5, "load": str(tmp_path), "ready_file": None, "config": '{"seed": 3}'}
    )

    # then
    assert options == SimulatorOptions(port=5, load=tmp_path, config={"seed": 3})
