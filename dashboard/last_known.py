"""Readings that all open pages share: each is taken once for all of them, and outlives a source that is down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from smartshelf.errors import Unavailable

T = TypeVar("T")

#: Real seconds until a source that failed is asked again.
RETRY_AFTER = 2.0


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A value, when it was read (wall clock), and why the newest attempt failed, if it did, with what to do."""

    value: T | None = None
    read_at: datetime | None = None
    problem: str | None = None
    remedy: str = ""


class LastKnown(Generic[T]):
    """A reading shared by all pages: taken at most once per ``ttl`` real seconds, kept when the source fails.

    Only one page at a time asks the source; the others show what is known meanwhile.
    """

    def __init__(self, fetch: Callable[[], T], ttl: float, now: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._ttl, self._now = fetch, ttl, now
        self._lock = threading.Lock()
        self._reading: Reading[T] = Reading()
        self._due = float("-inf")

    def get(self) -> Reading[T]:
        """The newest reading; never raises."""
        if self._now() < self._due:
            return self._reading
        first = self._due == float("-inf")
        if not self._lock.acquire(blocking=first):
            return self._reading
        try:
            if self._now() >= self._due:
                self._take()
            return self._reading
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Ask the source again at the next call, for instance after a command."""
        self._due = min(self._due, self._now())

    def _take(self) -> None:
        try:
            self._reading = Reading(self._fetch(), datetime.now(UTC))
            self._due = self._now() + self._ttl
        except Unavailable as failed:
            known = self._reading
            self._reading = Reading(known.value, known.read_at, failed.what.rstrip("."), failed.remedy)
            self._due = self._now() + max(self._ttl, RETRY_AFTER)
