"""The launcher's commands on a store that does not run."""

import fcntl
import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def run(tmp_path):
    """Run a command of the launcher in a process of its own, as a person does."""

    def call(*arguments, **environ):
        return subprocess.run(
            [sys.executable, "-m", "smartshelf.stack", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "SMARTSHELF_HOME": str(tmp_path / "a home"), **environ},
        )

    return call


def test_down_when_nothing_runs_says_so_and_is_content(run):
    done = run("down")
    assert (done.returncode, done.stdout) == (0, "The store was not running.\n")


def test_status_of_a_stopped_store_finds_nothing_healthy(run):
    done = run("status", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["healthy"] is False
    assert set(told) >= {"healthy", "services", "urls", "clock", "lag", "counts"}
    assert set(told["urls"]) >= {"dashboard", "postgres", "kafka", "redis", "connect"}


@pytest.mark.parametrize("command", [("start", "redis"), ("stop", "redis"), ("restart", "redis")])
def test_services_of_a_stopped_store_cannot_be_changed(run, command):
    done = run(*command)
    assert done.returncode == 2
    assert done.stderr == "The store is not running. Start it with `make up` (or `smartshelf up`).\n"


def test_a_reset_that_nobody_can_confirm_deletes_nothing(run, tmp_path):
    table = tmp_path / "delta" / "raw"
    table.mkdir(parents=True)
    done = run("reset", SMARTSHELF_DELTA=str(table.parent))
    assert (done.returncode, table.is_dir()) == (2, True)
    assert done.stderr.endswith("Say so with --yes.\n")


@pytest.mark.parametrize("command", [("down",), ("reset", "--yes")])
def test_a_store_that_another_command_is_starting_is_left_alone(run, command, tmp_path):
    home = tmp_path / "a home"
    home.mkdir()
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(*command, SMARTSHELF_DELTA=str(tmp_path / "delta"))
    assert done.returncode == 2
    assert done.stderr.startswith("Another command is starting or stopping this store.")


def test_a_wrong_setting_is_named_with_its_value_and_without_stack_trace(run):
    done = run("up", STEP_SECONDS="soon")
    assert done.returncode == 2
    assert "STEP_SECONDS" in done.stderr
    assert "'soon'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_that_is_not_there_is_one_sentence(run, tmp_path):
    assert run("logs").stderr.startswith("There are no logs yet.")
    logs = tmp_path / "a home" / "logs"
    logs.mkdir(parents=True)
    (logs / "kafka.log").write_text("started\n")
    done = run("logs", "kafak")
    assert (done.returncode, done.stderr) == (2, "There is no log of such a service. Found: 'kafak'. Logs: kafka.\n")


def test_an_unknown_service_is_refused_before_anything_starts(run, tmp_path):
    done = run("up", "--only", "kafak")
    assert done.returncode == 2
    assert done.stderr.startswith("There is no such service. Found: 'kafak'. Services: redis, kafka,")
    assert not (tmp_path / "a home").exists()
