"""The pages over the twin, for a browser without any server: ``streamlit run tests/dashboard/twin_app.py``."""

import os
import runpy
import time
from pathlib import Path

from dashboard import queries
from tests.dashboard.twin import TwinClock, TwinStore, twin_feed

if queries.installed() is None:
    store = TwinStore(TwinClock(time.monotonic))
    store.control.pass_time(float(os.environ.get("TWIN_MINUTES", "450")))
    queries.use(twin_feed(store))
runpy.run_path(str(Path(__file__).parents[2] / "dashboard" / "app.py"))
