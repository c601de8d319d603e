"""Real servers for integration tests, in a folder of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from smartshelf.settings import CHECKOUT, Settings, load


class Servers:
    """Redis, Kafka, Postgres and Connect on free ports, started by the launcher that ``make up`` uses."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", str(folder)),
            "SMARTSHELF_HOME": str(self.home),
            "SMARTSHELF_DELTA": str(folder / "delta"),
            "SMARTSHELF_DATA": str(folder / "data"),
            # Programs and jars are fetched once per checkout, not once per test run.
            "SMARTSHELF_JARS": os.environ.get("SMARTSHELF_JARS", str(CHECKOUT / ".smartshelf" / "jars")),
            "STORES": "S01,S02",
            "PYTHONFAULTHANDLER": "1",
        }
        packages = Path(os.environ.get("SMARTSHELF_HOME", CHECKOUT / ".smartshelf")) / "packages"
        if packages.is_dir():
            self.home.mkdir(parents=True, exist_ok=True)
            (self.home / "packages").symlink_to(packages)

    @property
    def config(self) -> Settings:
        """The settings with which a service would find these servers."""
        return load(self.env)

    def run(self, *arguments: str, timeout: float = 600) -> str:
        """``smartshelf ARGUMENTS`` by its own module; fails the test with all that the command said."""
        command = [sys.executable, "-m", "smartshelf.stack", *arguments]
        done = subprocess.run(
            command, env=self.env, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            pytest.fail(f"{' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def python(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of our modules against these servers."""
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self.env,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def pid(self, name: str) -> int | None:
        """Process id of a running server."""
        services = json.loads(self._status())["services"]
        return next(service["pid"] for service in services if service["name"] == name)

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until the supervisor has started another."""
        before = self.pid(name)
        assert before
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self.pid(name) not in (None, before), f"{name} to be started again")

    def _status(self) -> str:
        command = [sys.executable, "-m", "smartshelf.stack", "status", "--json"]
        return subprocess.run(
            command, env=self.env, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
        ).stdout


@contextmanager
def running(folder: Path, *names: str) -> Iterator[Servers]:
    """These servers alone; nothing is left of them afterwards, however it ends."""
    servers = Servers(folder)
    try:
        servers.run("up", "--only", ",".join(names))
        yield servers
    finally:
        servers.run("down")
        servers.run("reset", "--yes")


def eventually(condition: Callable[[], Any], what: str, timeout: float = 90) -> Any:
    """Wait for a condition with a deadline (real seconds); returns what it returned."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.1)
    return found
