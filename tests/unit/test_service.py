"""The watch over a service's loop: one that hangs is ended, one that waits or works is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREAMBLE = """
import threading, time
from smartshelf import service as module
module.LOOK_SECONDS, module.HUNG_AFTER = 0.02, 0.5

def hang():
    threading.Lock().acquire() and threading.Event().wait()

def loop_of(service, body):
    service.beat()
    body(service)
    print("went on", flush=True)

def helper(service):
    while True:
        service.sleep(0.01)

def stuck_beside_a_helper(service):
    threading.Thread(target=helper, args=(service,), daemon=True).start()
    hang()

def waits_and_works(service):
    until = time.monotonic() + 1.0
    service.wait_for("a server", lambda: time.monotonic() > until or None)
    with service.patience(30.0):
        time.sleep(1.0)

def beats(service):
    for _ in range(30):
        service.beat()
        service.sleep(0.05)
"""


@contextmanager
def started(home: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    main = f"with module.running('thing') as service: loop_of(service, {body})"
    environment = {**os.environ, "SMARTSHELF_HOME": str(home)}
    command = [sys.executable, "-c", f"{PREAMBLE}\n{main}"]
    with subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_loop_that_hangs_is_ended_and_says_where_it_was(tmp_path: Path) -> None:
    with started(tmp_path, "stuck_beside_a_helper") as process:
        _, told = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "thing: hangs: no sign of life" in told
    assert "in hang" in told


def test_a_loop_that_waits_or_works_goes_on(tmp_path: Path) -> None:
    with started(tmp_path, "waits_and_works") as process:
        out, told = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "went on\n"), told


def test_a_process_that_was_stopped_does_not_count_the_time(tmp_path: Path) -> None:
    with started(tmp_path, "beats") as process:
        ready = tmp_path / "run" / "thing.ready"
        while not ready.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        process.send_signal(signal.SIGCONT)
        out, told = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "went on\n"), told
