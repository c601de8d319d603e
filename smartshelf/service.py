"""What every long-running Python service does alike: signals, readiness, waiting for others, exit codes.

Exit codes: 0 asked to stop, 1 a bug (with a stack trace), 2 cannot work (a sentence), 3 fenced or
lost its place: start me again.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from smartshelf import log
from smartshelf.errors import SmartShelfError, Unavailable
from smartshelf.settings import Settings, settings

T = TypeVar("T")

#: A service whose ready file is older than this (real seconds) is not healthy.
STALE_AFTER = 30.0


class Service:
    """One running service: ``stopping`` tells its loop to end, ``beat`` tells others that it is well."""

    def __init__(self, name: str, config: Settings) -> None:
        self.name, self.settings = name, config
        self.log = logging.getLogger(name)
        self._stop = threading.Event()
        self._last_beat = 0.0

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self, *_: object) -> None:
        self._stop.set()

    def sleep(self, seconds: float) -> None:
        """Sleep, but wake up at once when asked to stop."""
        self._stop.wait(seconds)

    def beat(self) -> None:
        """Say 'ready and well'; cheap enough for every turn of a loop (touches a file once a second)."""
        now = time.monotonic()
        if now - self._last_beat < 1.0:
            return
        if not self._last_beat:
            self.log.info("ready")
        self._last_beat = now
        path = ready_file(self.settings, self.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

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


def is_healthy(config: Settings, name: str) -> bool:
    """Whether the service has said so within STALE_AFTER seconds."""
    try:
        return time.time() - ready_file(config, name).stat().st_mtime < STALE_AFTER
    except FileNotFoundError:
        return False


@contextmanager
def running(name: str) -> Iterator[Service]:
    """Set up a service process: logging, settings, SIGTERM/SIGINT; turn errors into exit codes."""
    logger = log.configure(name)
    try:
        service = Service(name, settings())
        ready_file(service.settings, name).unlink(missing_ok=True)
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
