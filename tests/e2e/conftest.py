"""A whole store on real servers, in a folder with spaces, driven only through its command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from smartshelf.settings import CHECKOUT
from tests.integration.servers import eventually


@dataclass
class Store:
    """One embedded store in its own folders."""

    folder: Path
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SMARTSHELF_")}
        self.env = inherited | {
            "SMARTSHELF_HOME": str(self.folder / "home"),
            "SMARTSHELF_DELTA": str(self.folder / "delta"),
            "SMARTSHELF_DATA": str(self.folder / "data"),
            # Jars are fetched once per checkout, not once per test run.
            "SMARTSHELF_JARS": os.environ.get("SMARTSHELF_JARS", str(CHECKOUT / ".smartshelf" / "jars")),
            "RAW_TRIGGER_MS": "3000",
        }

    def run(self, *arguments: str, timeout: float = 300, check: bool = True) -> subprocess.CompletedProcess[str]:
        """``smartshelf ARGUMENTS``; fails the test with everything the command said."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "smartshelf"), *arguments],
            env=self.env,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"smartshelf {' '.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def report(self, *arguments: str, check: bool = True) -> dict[str, Any]:
        """The ``--json`` form of a command."""
        answer: dict[str, Any] = json.loads(self.run(*arguments, "--json", check=check).stdout)
        return answer

    def service(self, name: str) -> dict[str, Any]:
        return next(service for service in self.report("status", check=False)["services"] if service["name"] == name)

    def kill(self, name: str) -> None:
        """SIGKILL the service and wait until its supervisor has started another."""
        # It may be starting again for the sake of one that was killed before.
        before = eventually(lambda: self.service(name)["pid"], f"{name} to run")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self.service(name)["pid"] not in (None, 0, before), f"{name} to be started again")

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """``smartshelf ARGUMENTS`` in the background."""
        command = [str(Path(sys.executable).parent / "smartshelf"), *arguments]
        return subprocess.Popen(command, env=self.env, cwd=CHECKOUT, stdout=subprocess.DEVNULL, text=True)

    def now(self) -> str:
        return str(self.report("clock", "status")["now"])


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that is not started yet; stopped and removed at the end."""
    store = Store(tmp_path_factory.mktemp("a store with spaces"))
    yield store
    store.run("down", timeout=180, check=False)
