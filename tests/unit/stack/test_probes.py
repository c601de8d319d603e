"""What keeps a service from being well, in a few words."""

import os
import socket

import psutil

from smartshelf.io import connect
from smartshelf.settings import load
from smartshelf.stack import probes


def test_of_several_connectors_that_are_not_well_the_first_is_named(monkeypatch):
    monkeypatch.setattr(connect, "states", lambda *_, **__: {"b": connect.ConnectorState("b", "RUNNING", ("RUNNING",))})
    assert probes.connect_problem("http://x", ["b"]) is None
    assert probes.connect_problem("http://x", ["a", "b"]) == "connector a is not there"
    assert probes.connect_problem("http://x", ["a", "b", "c"]) == "connector a is not there (and 1 more)"


def test_servers_that_are_not_there_are_problems_and_not_exceptions(tmp_path):
    assert probes.redis_problem("redis://127.0.0.1:1/0")
    assert probes.connect_problem("http://127.0.0.1:1", [])
    assert probes.page_problem("http://127.0.0.1:1")
    assert probes.postgres_problem(load({"SMARTSHELF_POSTGRES_PORT": "1", "SMARTSHELF_HOME": str(tmp_path)}))


def test_a_server_is_not_well_by_the_answer_of_another_process_on_its_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert probes.listening_problem(os.getpid(), port) is None
        assert probes.listening_problem(os.getppid(), port) == f"does not listen on {port} yet"


def test_a_process_that_may_not_be_looked_into_is_left_to_its_probe(monkeypatch):
    def denied(process, kind):
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    assert probes.listening_problem(os.getpid(), 5432) is None


def test_a_process_that_has_gone_does_not_listen(monkeypatch):
    def gone(process, kind):
        raise psutil.NoSuchProcess(process.pid)

    monkeypatch.setattr(psutil.Process, "net_connections", gone)
    assert probes.listening_problem(os.getpid(), 5432) == "has ended"
