"""What Connect's answer says about its connectors."""

import os
import socket

import psutil

from smartshelf.stack import probes


def answer(connector="RUNNING", *tasks, trace=None):
    states = [{"state": state} | ({"trace": trace} if trace else {}) for state in tasks]
    return {"sink": {"status": {"connector": {"state": connector}, "tasks": states}}}


def test_running_connectors_with_running_tasks_are_well():
    assert probes.connectors_problem(answer("RUNNING", "RUNNING"), 1) is None


def test_a_connector_that_is_not_there_yet_is_missed():
    assert probes.connectors_problem({}, 1) == "0 of 1 connectors"


def test_a_connector_without_task_is_not_well():
    assert probes.connectors_problem(answer("RUNNING"), 1) == "sink has no task yet"


def test_a_failed_task_tells_the_first_line_of_its_reason():
    told = probes.connectors_problem(answer("RUNNING", "FAILED", trace="Boom: no table\n at x.y"), 1)
    assert told == "sink is FAILED: Boom: no table"


def test_servers_that_are_not_there_are_problems_and_not_exceptions():
    assert probes.redis_problem("redis://127.0.0.1:1/0")
    assert probes.connect_problem("http://127.0.0.1:1", 0)
    assert probes.page_problem("http://127.0.0.1:1")
    assert probes.postgres_problem("postgresql://nobody@127.0.0.1:1/none")


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
