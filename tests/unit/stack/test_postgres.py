"""A Postgres that outlived its supervisor is found by what it leaves in its own folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smartshelf.stack import postgres
from smartshelf.stack.postgres import Postgres


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Something that waits, with the cluster's folder on its command line."""
    command = [sys.executable, "-c", "print(flush=True); input()", "-D", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun: until then it may show no command line
        yield process
        process.kill()


def pid_file(folder: Path, pid: int) -> Postgres:
    (folder / "postmaster.pid").write_text(f"{pid}\n{folder}\n")
    return Postgres(folder, folder, None)


def test_the_server_of_the_cluster_is_found_by_its_pid_file(tmp_path: Path, server: subprocess.Popen[bytes]) -> None:
    found = postgres.running(pid_file(tmp_path, server.pid))
    assert found is not None
    assert found.pid == server.pid


def test_a_number_that_another_process_has_by_now_is_nobody(tmp_path: Path) -> None:
    assert postgres.running(pid_file(tmp_path, os.getpid())) is None


def test_without_a_pid_file_nothing_runs(tmp_path: Path) -> None:
    assert postgres.running(Postgres(tmp_path, tmp_path, None)) is None
