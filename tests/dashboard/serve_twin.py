"""The page over the twin, for a browser without any server: ``python -m tests.dashboard.serve_twin PORT [MINUTES]``.

MINUTES: how long the store has been open at the start, simulated; its time then passes by the wall clock.
"""

from __future__ import annotations

import sys
import time

from streamlit.web import cli

from dashboard import queries
from smartshelf.settings import CHECKOUT
from tests.dashboard.twin import TwinClock, TwinStore, lively, twin_feed


def main() -> None:
    """Serve until interrupted."""
    port, minutes = sys.argv[1], float((*sys.argv[2:], "450")[0])
    store = lively(TwinStore(TwinClock(time.monotonic)))
    store.control.pass_time(minutes)
    queries.use(twin_feed(store))
    sys.argv[1:] = [
        "run",
        str(CHECKOUT / "dashboard" / "app.py"),
        "--server.port",
        port,
        "--server.address",
        "127.0.0.1",
    ]
    cli.main(prog_name="streamlit")


if __name__ == "__main__":
    main()
