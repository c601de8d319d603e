"""Progress lines of long work: seconds since the start, and what has just happened."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


def say(text: str) -> None:
    """Print one progress line to standard error, so that standard output stays for results."""
    print(f"{time.monotonic() - _started:6.1f} s  {text}", file=sys.stderr, flush=True)
