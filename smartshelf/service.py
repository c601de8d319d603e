"""What every long-running Python service does alike: signals, readiness, waiting for others, exit codes.

Exit codes: 0 asked to stop, 1 a bug (with a stack trace), 2 cannot work (a sentence), 3 fenced,
lost its place or hung: start me again.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from smartshelf import log
from smartshelf.errors import SmartShelfError, Unavailable
from smartshelf.settings import Settings, settings

T = TypeVar("T")

#: A loop that gives no sign of life for so long (real seconds) hangs: no call that it makes waits half as long.
HUNG_AFTER = 300.0
#: Real seconds between two looks at the loop, and between two touches of the alive file.
LOOK_SECONDS = 1.0
#: A service whose ready file is older than this (real seconds) is not healthy.
STALE_AFTER = 30.0


class Service:
    """One running service: ``stopping`` tells its loop to end, ``beat`` tells others that it is well."""

    def __init__(self, name: str, config: Settings) -> None:
        self.name, self.settings = name, config
        self.log = logging.getLogger(name)
        self._stop = threading.Event()
        self._last_beat = 0.0
        self._turns, self._patience = 0, HUNG_AFTER

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self, *_: object) -> None:
        self._stop.set()

    def sleep(self, seconds: float) -> None:
        """Sleep, but wake up at once when asked to stop."""
        self._stop.wait(seconds)
        self._lives()

    def beat(self) -> None:
        """Say 'ready and well'; cheap enough for every turn of a loop (touches a file once a second)."""
        self._lives()
        now = time.monotonic()
        if now - self._last_beat < 1.0:
            return
        if not self._last_beat:
            self.log.info("ready")
        self._last_beat = now
        _touch(ready_file(self.settings, self.name))

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """What happens inside may take so long (real seconds) without a sign of life."""
        before, self._patience = self._patience, seconds
        try:
            yield
        finally:
            self._lives()
            self._patience = before

    def _lives(self) -> None:
        # The loop may be stuck while a helping thread sleeps and wakes.
        if threading.current_thread() is threading.main_thread():
            self._turns += 1

    def watch(self) -> None:
        """End the process when its loop hangs; runs in a thread, for ever.

        Waits are counted, not time: a process that was stopped, or a machine that slept, makes none of them longer.
        """
        turns, silent = -1, 0.0
        while True:
            time.sleep(LOOK_SECONDS)
            _touch(alive_file(self.settings, self.name))
            silent = silent + LOOK_SECONDS if self._turns == turns else 0.0
            turns = self._turns
            if silent >= self._patience:
                self._give_up(silent)

    def _give_up(self, silent: float) -> None:
        # Not by the logging module: its lock may be what the loop hangs on.
        told = f"{self.name}: hangs: no sign of life for {silent:.0f} s; ending, to be started again. All threads:\n"
        os.write(sys.stderr.fileno(), told.encode())
        faulthandler.dump_traceback(sys.stderr.fileno(), all_threads=True)
        # A JVM that hangs too would not notice that its parent has gone.
        for child in psutil.Process().children(recursive=True):
            child.kill()
        os._exit(3)

    def wait_for(self, what: str, attempt: Callable[[], T | None], timeout: float = 600.0) -> T:
        """Call ``attempt`` until it returns something, saying what is missing; Unavailable after ``timeout`` s."""
        return wait_for(
            what, attempt, timeout=timeout, pause=self.sleep, stopping=lambda: self.stopping, say=self.log.info
        )


class Stopped(SystemExit):
    """Asked to stop while waiting for a dependency."""


def wait_for(
    what: str,
    attempt: Callable[[], T | None],
    *,
    timeout: float,
    pause: Callable[[float], None] = time.sleep,
    stopping: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
    every: float = 0.2,
) -> T:
    """Poll ``attempt`` (None or Unavailable = not yet) until ``timeout`` real seconds have passed."""
    deadline, told, reason = time.monotonic() + timeout, 0.0, ""
    while True:
        try:
            if (found := attempt()) is not None:
                return found
        except Unavailable as missing:
            reason = f": {missing}"
        if stopping():
            raise Stopped(0)
        now = time.monotonic()
        if now > deadline:
            raise Unavailable(f"Waited {timeout:.0f} s for {what}{reason}", remedy="See `smartshelf status`.")
        if now - told > 5:
            say(f"waiting for {what}{reason}")
            told = now
        pause(every)


def ready_file(config: Settings, name: str) -> Path:
    """The file whose age tells whether the service is well."""
    return config.home / "run" / f"{name}.ready"


def alive_file(config: Settings, name: str) -> Path:
    """The file whose age tells whether the process runs at all, be it at work on something long."""
    return config.home / "run" / f"{name}.alive"


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def is_healthy(config: Settings, name: str, since: float = 0.0) -> bool:
    """Whether the service has said so within STALE_AFTER seconds, and after ``since`` (seconds since 1970)."""
    try:
        return ready_file(config, name).stat().st_mtime > max(time.time() - STALE_AFTER, since)
    except FileNotFoundError:
        return False


@contextmanager
def running(name: str, *, one_shot: bool = False) -> Iterator[Service]:
    """Set up a service process: logging, settings, SIGTERM/SIGINT, a watch; turn errors into exit codes.

    ``one_shot``: it works something off and ends; nobody watches how long that takes.
    """
    logger = log.configure(name)
    try:
        service = Service(name, settings())
        for left in (ready_file, alive_file):
            left(service.settings, name).unlink(missing_ok=True)
        if not one_shot:
            threading.Thread(target=service.watch, name="watch", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, service.stop)
        yield service
        logger.info("stopped")
    except SmartShelfError as problem:
        logger.error("%s", problem)
        sys.exit(problem.exit_code)
    except Stopped:
        raise
    except Exception:
        logger.exception("unexpected error")
        sys.exit(1)


if __name__ == "__main__":
    # Health check of containers: python -m smartshelf.service NAME
    sys.exit(0 if is_healthy(settings(), sys.argv[1]) else 1)
