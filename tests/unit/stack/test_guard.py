"""What lives and does not answer is ended; what starts, stops, works or was only away is not."""

import os
import socket
import time

import pytest

from smartshelf.stack import guard
from smartshelf.stack.guard import LOOKS, Guard, answers


class Supervisor:
    """Supervisord with one service."""

    def __init__(self, name):
        self.info = {"name": name, "pid": 7, "start": 0, "statename": "RUNNING"}
        self.ended = []

    def getAllProcessInfo(self):  # noqa: N802 - supervisor's name
        return [dict(self.info)]

    def signalProcess(self, name, signal):  # noqa: N802
        self.ended.append((name, signal))


@pytest.fixture
def bridge(tmp_path):
    """A guard over a bridge that has stopped touching its file, and its supervisor."""
    supervisor = Supervisor("bridge")
    touch(tmp_path, age=60)
    return Guard(supervisor, tmp_path, {}), supervisor


def touch(home, age=0):
    file = home / "run" / "bridge.alive"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    os.utime(file, (time.time() - age,) * 2)


def look(watching, times):
    for _ in range(times):
        watching.look()


def test_a_service_that_is_silent_for_long_is_ended_once(bridge):
    watching, supervisor = bridge
    look(watching, LOOKS - 1)
    assert not supervisor.ended
    look(watching, 1)
    assert supervisor.ended == [("bridge", "KILL")]
    look(watching, LOOKS - 1)
    assert len(supervisor.ended) == 1


def test_a_sign_of_life_begins_the_count_anew(bridge, tmp_path):
    watching, supervisor = bridge
    look(watching, LOOKS - 1)
    touch(tmp_path)
    look(watching, 1)
    touch(tmp_path, age=60)
    look(watching, LOOKS - 1)
    assert not supervisor.ended


@pytest.mark.parametrize("change", [{"pid": 8}, {"statename": "STOPPING"}])
def test_another_process_and_one_that_stops_do_not_inherit_the_count(bridge, change):
    watching, supervisor = bridge
    look(watching, LOOKS - 1)
    supervisor.info |= change
    look(watching, 1)
    supervisor.info |= {"statename": "RUNNING"}
    look(watching, LOOKS - 2)
    assert not supervisor.ended


def test_a_service_that_has_no_file_of_its_own_yet_starts(bridge, tmp_path):
    watching, supervisor = bridge
    supervisor.info["start"] = time.time() - 30
    look(watching, LOOKS)
    (tmp_path / "run" / "bridge.alive").unlink()
    look(watching, LOOKS)
    assert not supervisor.ended


def test_a_server_that_takes_connections_and_says_nothing_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "ANSWER_SECONDS", 0.01)
    supervisor = Supervisor("redis")
    with socket.create_server(("127.0.0.1", 0)) as server:
        look(Guard(supervisor, tmp_path, {"redis": server.getsockname()[1]}), LOOKS)
    assert supervisor.ended == [("redis", "KILL")]


def test_a_server_that_does_not_listen_yet_is_no_hang():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert answers(port, b"?")
