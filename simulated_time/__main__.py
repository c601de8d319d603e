"""The service sim-clock: ``python -m simulated_time``."""

from __future__ import annotations

from simulated_time.service import serve
from smartshelf.service import running

if __name__ == "__main__":
    with running("sim-clock") as service:
        serve(service)
