"""What io.connect makes of a worker's answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from smartshelf.errors import Unavailable
from smartshelf.io import connect

TRACE = "org.apache.kafka.connect.errors.ConnectException: no table\n\tat Somewhere.java"


def entry(state: str, *tasks: str) -> dict[str, Any]:
    described = [
        {"id": n, "state": task} | ({"trace": TRACE} if task == "FAILED" else {}) for n, task in enumerate(tasks)
    ]
    return {"status": {"connector": {"state": state}, "tasks": described}}


class Worker:
    """Answers as Connect's REST interface does."""

    def __init__(self) -> None:
        self.connectors: dict[str, Any] = {}
        worker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(json.dumps(worker.connectors).encode())

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    thread = Thread(target=worker.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield worker
    worker.server.shutdown()
    worker.server.server_close()


def test_all_running_is_no_problem(worker: Worker) -> None:
    worker.connectors = {"a": entry("RUNNING", "RUNNING"), "b": entry("RUNNING", "RUNNING", "RUNNING")}
    assert connect.problems(connect.states(worker.url), ["a", "b"]) == []


def test_what_is_missing_taskless_or_failed_is_told(worker: Worker) -> None:
    worker.connectors = {"a": entry("RUNNING", "FAILED"), "b": entry("RUNNING"), "d": entry("PAUSED", "PAUSED")}
    assert connect.problems(connect.states(worker.url), ["a", "b", "c", "d"]) == [
        "connector a is RUNNING, its task FAILED: org.apache.kafka.connect.errors.ConnectException: no table",
        "connector b has no task yet",
        "connector c is not there",
        "connector d is PAUSED, its task PAUSED",
    ]


def test_a_worker_that_is_not_there_is_told_in_a_sentence() -> None:
    with pytest.raises(Unavailable, match=r"Kafka Connect does not answer.*Is the service connect running"):
        connect.states("http://127.0.0.1:1")


def test_the_contracts_say_which_connectors_to_expect() -> None:
    assert connect.expected()[0] == "config-source"
    assert "sink-shelf_state" in connect.expected()
