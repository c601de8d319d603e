"""A store's layout and services without any server."""

import pytest

from smartshelf.stack import environment, graph
from smartshelf.stack.java import Java
from smartshelf.stack.layout import Layout
from smartshelf.stack.ports import USUAL
from smartshelf.stack.postgres import Postgres
from smartshelf.stack.provision import Provision


@pytest.fixture
def layout(tmp_path):
    """A layout in a folder whose name has spaces."""
    made = Layout(tmp_path / "half a home", tmp_path / "half a home" / "jars")
    made.create()
    return made


@pytest.fixture
def services(layout, tmp_path):
    """All services as they would run there."""
    java = tmp_path / "java home"
    provision = Provision(
        Java(java, java / "bin" / "java", 21, "test"),
        tmp_path / "redis server",
        Postgres(tmp_path / "pg", layout.state / "postgres", None),
    )
    store = environment.compose(USUAL, 1, {}, {})
    return graph.services(layout, provision, USUAL, store, tmp_path)
