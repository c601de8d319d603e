"""Pages over the in-memory twin."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import queries
from smartshelf.settings import CHECKOUT
from tests.dashboard.twin import TwinStore, twin_feed


@pytest.fixture
def store() -> TwinStore:
    return TwinStore()


@pytest.fixture
def open_page(store: TwinStore) -> Iterator[Callable[..., AppTest]]:
    """Opens a page of the app over ``store``; every reading is a fresh one."""

    def opened(page: str | None = None, **query: str) -> AppTest:
        feed = twin_feed(store)
        feed.ttl = feed.clock._ttl = 0.0
        queries.use(feed)
        # Components register themselves with the app that imports them first; each test is an app of its own.
        sys.modules.pop("dashboard.components", None)
        app = AppTest.from_file(str(CHECKOUT / "dashboard" / "app.py"), default_timeout=20)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        return app.switch_page(f"app_pages/{page}.py").run() if page else app

    yield opened
    queries.use(None)
