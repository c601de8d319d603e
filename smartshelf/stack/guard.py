"""Ends services that hang, so that supervisord starts them again: processes that live and do not answer any more.

Supervisord sees only that a process has ended. A loop that hangs ends its own process (``smartshelf.service``); what
is left are processes that cannot: a stopped one, a server that accepts connections and says nothing.

A process of its own and small: the standard library and supervisor's client, nothing of the store.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor import childutils

#: Real seconds between two looks.
LOOK_SECONDS = 5.0
#: Looks in a row without an answer until a service is ended: 40 s. A machine that was suspended makes none of them.
LOOKS = 8
#: Real seconds that a server may take for its answer.
ANSWER_SECONDS = 2.0
#: A service touches its file once a second; older (real seconds) is no answer.
STALE_AFTER = 15.0

_HTTP = b"GET %s HTTP/1.0\r\n\r\n"
#: What each server answers before it asks who is there; any answer will do, also a refusal.
QUESTIONS: dict[str, bytes] = {
    "redis": b"PING\r\n",
    # ApiVersions, version 0: size, key 18, version, correlation id, no client id.
    "kafka": bytes.fromhex("0000000a 0012 0000 00000001 ffff"),
    # SSLRequest.
    "postgres": bytes.fromhex("00000008 04d2162f"),
    "connect": _HTTP % b"/",
    "dashboard": _HTTP % b"/_stcore/health",
}


def answers(port: int, question: bytes) -> bool:
    """Whether a server says anything; also where nobody listens, as in one that starts: that is no hang."""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as server:
            server.sendall(question)
            server.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def is_fresh(file: Path, since: float) -> bool:
    """Whether a process that runs ``since`` (epoch seconds) has touched its file lately, or not at all: it starts."""
    try:
        touched = file.stat().st_mtime
    except FileNotFoundError:
        return True
    return touched < since or time.time() - touched < STALE_AFTER


class Guard:
    """``look`` every LOOK_SECONDS; ``supervisor`` is its XML-RPC interface."""

    def __init__(self, supervisor: Any, home: Path, ports: Mapping[str, int]) -> None:
        self._supervisor, self._home, self._ports = supervisor, home, ports
        #: Service -> its process, and how often in a row that has not answered.
        self._silent: dict[str, tuple[int, int]] = {}

    def look(self) -> None:
        """Ask every running service, and end those that have been silent for too long."""
        for info in self._supervisor.getAllProcessInfo():
            name, pid = info["name"], info["pid"]
            if info["statename"] != "RUNNING" or self._answers(name, info["start"]):
                self._silent.pop(name, None)
                continue
            known, looks = self._silent.get(name, (pid, 0))
            looks = looks + 1 if known == pid else 1
            self._silent[name] = pid, looks
            if looks >= LOOKS:
                del self._silent[name]
                print(f"{_now()} {name} (process {pid}) has not answered {looks} times: ended, to be started again")
                self._supervisor.signalProcess(name, "KILL")

    def _answers(self, name: str, since: float) -> bool:
        if name in QUESTIONS and name in self._ports:
            return answers(self._ports[name], QUESTIONS[name])
        return is_fresh(self._home / "run" / f"{name}.alive", since)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def main() -> None:
    """``python -m smartshelf.stack.guard HOME``, under supervisord."""
    home = Path(sys.argv[1])
    supervisor = childutils.getRPCInterface(os.environ).supervisor
    guard = Guard(supervisor, home, json.loads((home / "ports.json").read_text()))
    while True:
        time.sleep(LOOK_SECONDS)
        guard.look()


if __name__ == "__main__":
    main()
