"""`quell demo`: the whole of it in processes of its own, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

KEYS = {
    "ok",
    "seconds",
    "incidents",
    "pairs_compared",
    "disagreements",
    "effects",
    "duplicate_effects",
    "resumed_after_kill",
    "protected_untouched",
    "time_scale",
}
INCIDENT = {
    "id": "4711",
    "displayName": "Recorded <b>incident</b> {{ title }}",
    "severity": "high",
    "status": "active",
    "createdDateTime": "2024-03-01T10:00:00.1234567Z",
    "lastUpdateDateTime": "2024-03-01T11:00:00Z",
    "customTags": ["kept"],
    "alerts": [
        {
            "id": "da1",
            "title": "Recorded alert",
            "severity": "high",
            "createdDateTime": "2024-03-01T10:00:00Z",
            "lastUpdateDateTime": "2024-03-01T10:00:00Z",
            "evidence": [
                {
                    "@odata.type": "#microsoft.graph.security.deviceEvidence",
                    "mdeDeviceId": "a" * 40,
                    "deviceDnsName": "recorded.corp.example",
                    "osPlatform": "Windows11",
                    "roles": ["compromised"],
                    "verdict": "malicious",
                },
                {"@odata.type": "#microsoft.graph.security.notYetKnownEvidence", "x": 1},
            ],
        }
    ],
}


def run_demo(folder: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    """Run the demo in an empty folder, with a temporary folder of its own to look into."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "quell", "demo", "--json", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_story_ends_well_and_leaves_nothing_behind() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # when
        code, verdict = run_demo(Path(folder))

        # then
        assert (code, verdict["ok"], verdict["disagreements"]) == (0, True, [])
        assert set(verdict) == KEYS
        assert verdict["incidents"] == 31
        assert verdict["pairs_compared"] == 30
        assert verdict["duplicate_effects"] == []
        assert verdict["resumed_after_kill"] is True
        assert verdict["protected_untouched"] is True
        assert verdict["effects"] == {
            # not the one whose severity only a Sentinel user has raised
            "device.isolate": 8,
            "mail.purge": 14,
            "user.disable": 10,
            "user.revoke_sessions": 13,
        }
        assert list(Path(folder).iterdir()) == []


def test_recorded_incidents_are_played_and_what_cannot_be_read_is_passed_over() -> None:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as recorded:
        # given
        Path(recorded, "incident.json").write_text(json.dumps(INCIDENT))
        Path(recorded, "broken.json").write_text('{"id": ')

        # when
        code, verdict = run_demo(Path(folder), "--load", recorded)

        # then
        assert (code, verdict["ok"], verdict["disagreements"]) == (0, True, [])
        assert verdict["incidents"] == 1
        assert verdict["effects"] == {"device.isolate": 1}
        assert verdict["protected_untouched"] is None
        assert list(Path(folder).iterdir()) == []
