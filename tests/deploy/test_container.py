"""The container and compose files: read here and held to the code; nothing is built or started."""

from __future__ import annotations

import json
import re
import shlex
from fnmatch import fnmatch
from typing import Any, cast

import pytest
import yaml
from tests.deploy.given import DEPLOY, ROOT, check_command, quell_variables

from quell.settings.model import WorkerSettings

FOLDER = DEPLOY / "container"
INSTRUCTIONS = {
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "RUN",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
}
#: a name, a version and a distribution; never `latest`
PINNED = re.compile(r"[\w./-]+:\d+\.\d+[\w.]*-[\w.-]+")


def container() -> list[tuple[str, str]]:
    """Read the instructions of the container file."""
    text = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, _, rest in found]


def last(word: str) -> str:
    return [rest for one, rest in container() if one == word][-1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Read the compose file."""
    return cast("dict[str, Any]", yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8")))


def test_the_container_file_says_only_what_a_builder_knows() -> None:
    assert {word for word, _ in container()} <= INSTRUCTIONS
    base = next(rest for word, rest in container() if word == "ARG").partition("=")[2]
    assert PINNED.fullmatch(base)
    assert all(rest.startswith("${BASE}") for word, rest in container() if word == "FROM")


def test_what_the_container_file_copies_is_there_and_is_not_left_out() -> None:
    ignored = (FOLDER / "Containerfile.dockerignore").read_text(encoding="utf-8").split()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    for word, rest in container():
        if word != "COPY" or rest.startswith("--from"):
            continue
        *sources, _ = rest.split()
        assert all((ROOT / one).exists() for one in sources)
        assert set(sources) <= kept
    assert "*" in ignored
    assert not any(fnmatch("quell.toml", one) for one in kept)


def test_the_container_runs_a_known_command_as_nobody_special() -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last("USER"))
    assert json.loads(last("ENTRYPOINT")) == ["quell"]
    check_command(json.loads(last("CMD")))
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_container_sets_only_what_can_be_set_and_asks_its_own_door() -> None:
    values = dict(pair.split("=", 1) for pair in shlex.split(last("ENV")))
    ours = {name for name in values if name.startswith("QUELL")}
    assert ours
    assert ours <= quell_variables()
    assert f":{values['QUELL__HTTP__PORT']}/healthz" in last("HEALTHCHECK")
    assert last("EXPOSE") == values["QUELL__HTTP__PORT"]
    assert last("VOLUME") == values["QUELL__STATE_DIR"]


def test_every_image_is_pinned_or_built_here(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        if "build" not in service:
            assert PINNED.fullmatch(service["image"])
        else:
            context = FOLDER / service["build"]["context"]
            assert context.resolve() == ROOT
            assert (context / service["build"]["dockerfile"]).is_file()


def test_two_workers_run_what_there_is_with_settings_that_there_are(
    compose: dict[str, Any],
) -> None:
    worker = compose["services"]["worker"]
    check_command(worker["command"])
    assert set(worker["environment"]) <= quell_variables()
    assert {"QUELL__JOURNAL", "QUELL__REDIS_URL"} <= set(worker["environment"])
    assert worker["deploy"]["replicas"] == 2
    assert int(worker["stop_grace_period"].removesuffix("s")) >= WorkerSettings().grace + 20


def test_what_services_name_is_declared_and_what_they_wait_for_tells_its_health(
    compose: dict[str, Any],
) -> None:
    for service in compose["services"].values():
        assert set(service.get("networks", [])) <= set(compose["networks"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        for name in service.get("depends_on", {}):
            assert "healthcheck" in compose["services"][name]
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in compose["volumes"]


def test_redis_throws_nothing_out_and_nobody_outside_reaches_a_store(
    compose: dict[str, Any],
) -> None:
    redis, postgres = compose["services"]["redis"], compose["services"]["postgres"]
    at = redis["command"].index("--maxmemory-policy")
    assert redis["command"][at + 1] == "noeviction"
    assert "synchronous_commit=on" in postgres["command"]
    for store in (redis, postgres):
        assert "ports" not in store
        assert store["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True


def test_no_secret_stands_in_a_file(compose: dict[str, Any]) -> None:
    text = json.dumps(compose)
    assert not re.search(r"://[^/@\s\"]+:[^/@\s\"]+@", text)
    worker = compose["services"]["worker"]["environment"]
    assert (
        worker["QUELL__JOURNAL"]
        == f"file:/run/secrets/{compose['services']['worker']['secrets'][0]}"
    )
