"""One line per event on standard error: wall time (UTC), level, service, message."""

from __future__ import annotations

import logging
import os
import sys
import time


def configure(service: str) -> logging.Logger:
    """Set up logging for a service process and return its logger."""
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)-7s {service}: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(os.environ.get("LOG_LEVEL", "INFO").upper())
    # py4j reports every JVM round trip at INFO, httpx every request.
    for noisy in ("py4j", "httpx", "kafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return logging.getLogger(service)
