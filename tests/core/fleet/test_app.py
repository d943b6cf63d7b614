"""The Celery application: what it refuses, what it says, and what is set in it whoever starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from tests.fleet_stage import ROOT, environment

INSPECT = """
from worker import app

made = app.Worker(pool_cls="celery.concurrency.thread:TaskPool", without_gossip=False)
options = app.conf
print(
    options.task_acks_late, options.worker_pool, options.accept_content,
    options.worker_prefetch_multiplier, options.task_ignore_result,
)
print(sorted(name for name in app.tasks if not name.startswith("celery.")))
print([step.name for step in made.consumer.steps if type(step).__name__ in {"Gossip", "Mingle"}
       and step.enabled])
"""


def run(*arguments: str, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(QUELL_CONFIG=str(config)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Give a configuration with no tenant and no broker."""
    path = tmp_path / "quell.toml"
    path.write_text(tomli_w.dumps({"state_dir": "state"}))
    return path


@pytest.mark.parametrize(
    "start", [("-m", "celery", "-A", "worker", "worker"), ("-m", "quell", "worker")]
)
def test_without_a_broker_it_says_which_setting_is_missing(
    config: Path, start: tuple[str, ...]
) -> None:
    # when
    ran = run(*start, config=config)

    # then
    assert ran.returncode != 0
    assert "redis_url" in ran.stderr
    assert "quell up" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_it_needs_is_set_in_the_application_whatever_the_command_line_says(
    config: Path,
) -> None:
    # given
    with config.open("a") as file:
        file.write('redis_url = "redis://127.0.0.1:1/0"\n')

    # when
    ran = run("-c", INSPECT, config=config)

    # then
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "False threads ['json'] 1 True",
        "['quell.look_at']",
        "[]",
    ]
