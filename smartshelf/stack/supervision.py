"""Keeping services alive: a supervisord of the store's own, driven over its Unix socket."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from smartshelf.errors import SettingError, SmartShelfError
from smartshelf.settings import CHECKOUT
from smartshelf.stack import postgres
from smartshelf.stack.graph import Service
from smartshelf.stack.layout import Layout

_DAEMON_SECONDS = 15.0
#: What looks after services that hang; no service of the store itself.
GUARD = "guard"


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows about one service. ``since`` is wall time in epoch seconds, 0 when not running."""

    name: str
    state: str
    pid: int
    since: float
    exit_code: int
    complaint: str

    @property
    def is_up(self) -> bool:
        return self.state in {"STARTING", "RUNNING"}


def configuration(layout: Layout, services: Iterable[Service]) -> str:
    """The text of supervisord.conf. No service starts by itself: the launcher knows what has to be well first."""
    lines = [
        "[unix_http_server]",
        f"file={_escaped(layout.socket)}",
        "chmod=0700",
        "[supervisord]",
        f"logfile={_escaped(layout.log('supervisord'))}",
        "logfile_maxbytes=2MB",
        "logfile_backups=1",
        f"pidfile={_escaped(layout.run / 'supervisord.pid')}",
        f"childlogdir={_escaped(layout.logs)}",
        f"directory={_escaped(CHECKOUT)}",
        "identifier=smartshelf",
        # Supervisord warns when root starts it without being told that this is meant.
        *(["user=root"] if os.geteuid() == 0 else []),
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    shared = {"SMARTSHELF_HOME": str(layout.home), "PYTHONUNBUFFERED": "1"}
    lines += [
        f"[program:{GUARD}]",
        f"command={_escaped(shlex.join((sys.executable, '-m', 'smartshelf.stack.guard', str(layout.home))))}",
        _variables(shared),
        "autorestart=true",
        "redirect_stderr=true",
        f"stdout_logfile={_escaped(layout.log(GUARD))}",
        "stdout_logfile_maxbytes=1MB",
        "stdout_logfile_backups=1",
    ]
    for service in services:
        lines += [
            f"[program:{service.name}]",
            f"command={_escaped(shlex.join(service.command))}",
            _variables({**shared, **service.environment}),
            "autostart=false",
            f"autorestart={'false' if service.one_shot else 'true'}",
            "exitcodes=0",
            # A one-shot may end at once; others count as started when they have lived for a second.
            f"startsecs={0 if service.one_shot else 1}",
            "startretries=20",
            f"stopsignal={service.stop_signal}",
            f"stopwaitsecs={service.stop_seconds}",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_escaped(layout.log(service.name))}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=2",
            *([f"user={service.user}"] if service.user else []),
        ]
    return "\n".join(lines) + "\n"


def _variables(values: Mapping[str, str]) -> str:
    return "environment=" + ",".join(f"{name}={_quoted(name, value)}" for name, value in sorted(values.items()))


def _escaped(text: object) -> str:
    return str(text).replace("%", "%%")


def _quoted(name: str, value: str) -> str:
    """A value of ``environment=``; SettingError for one that supervisor's parser would cut or refuse."""
    if '"' in value or value != value.strip("'") or re.search(r"\s[;#]|\n", value):
        raise SettingError(
            f"The setting {name} has a quote, or a blank before ; or #, which the supervisor cannot pass on",
            remedy="Choose a value without it.",
        )
    return f'"{_escaped(value)}"'


class Supervisor:
    """The store's supervisord, which may or may not be running. Safe to use from several threads."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, f"unix://{self.layout.socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        finally:
            transport.close()

    def is_running(self) -> bool:
        """Whether supervisord answers."""
        try:
            with self._rpc() as rpc:
                return cast(str, rpc.getState()["statename"]) == "RUNNING"
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def start_daemon(self, configuration_file: Path) -> None:
        """Start supervisord in the background and wait until it answers."""
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration_file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SmartShelfError("The supervisor did not start", value=(done.stderr or done.stdout).strip()[-500:])
        deadline = time.monotonic() + _DAEMON_SECONDS
        while not self.is_running():
            if time.monotonic() > deadline:
                log = self.layout.log("supervisord")
                raise SmartShelfError("The supervisor does not answer", remedy=f"See {log}.")
            time.sleep(0.05)

    def stop_daemon(self) -> None:
        """End supervisord and wait until it has gone; its services should be stopped before."""
        pid = self._daemon_pid()
        with self._rpc() as rpc:
            rpc.shutdown()
        if pid:
            try:
                psutil.Process(pid).wait(timeout=60)
            except psutil.NoSuchProcess:
                return
            except psutil.TimeoutExpired:
                raise SmartShelfError("The supervisor does not end", value=f"process {pid}") from None

    def _daemon_pid(self) -> int:
        with self._rpc() as rpc:
            return int(rpc.getPID())

    def renew(self, names: Iterable[str]) -> None:
        """Let stopped services take their new configuration, if the file has one."""
        with self._rpc() as rpc:
            ((_, changed, _),) = rpc.reloadConfig()
            for name in set(changed) & set(names):
                rpc.removeProcessGroup(name)
                rpc.addProcessGroup(name)

    def processes(self) -> dict[str, ProcessInfo]:
        """What supervisord knows of every service."""
        with self._rpc() as rpc:
            found = rpc.getAllProcessInfo()
        return {entry["name"]: _info(entry) for entry in found if entry["name"] != GUARD}

    def process(self, name: str) -> ProcessInfo:
        """What supervisord knows of one service."""
        with self._rpc() as rpc:
            return _info(rpc.getProcessInfo(name))

    def start(self, name: str) -> None:
        """Start a service unless it runs; does not wait."""
        self._call("startProcess", name, Faults.ALREADY_STARTED)

    def stop(self, name: str) -> None:
        """Stop a service and wait until it has ended."""
        self._call("stopProcess", name, Faults.NOT_RUNNING)

    def _call(self, method: str, name: str, harmless: int) -> None:
        try:
            with self._rpc() as rpc:
                getattr(rpc, method)(name, method == "stopProcess")
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != harmless:
                raise SmartShelfError(f"The supervisor refused to change {name}", value=fault.faultString) from None


def _info(entry: Mapping[str, Any]) -> ProcessInfo:
    up = entry["statename"] in {"STARTING", "RUNNING", "STOPPING"}
    return ProcessInfo(
        entry["name"],
        entry["statename"],
        entry["pid"],
        entry["start"] if up else 0,
        entry["exitstatus"],
        entry["spawnerr"],
    )


def left_over(layout: Layout) -> list[psutil.Process]:
    """Services of this store that outlived their supervisord (it was killed); told by the mark it gives them."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue  # gone, or not ours to read
        if "SUPERVISOR_PROCESS_NAME" in environment and environment.get("SMARTSHELF_HOME") == str(layout.home):
            found.append(process)
    # Root in a container may not look into a process of Postgres' own user.
    if (server := postgres.running(postgres.locate(layout))) and server not in found:
        found.append(server)
    # The caller may itself run under a store's supervisor (a test does).
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in found if process.pid not in mine]


def end(processes: list[psutil.Process], seconds: float) -> None:
    """Ask processes to end; kill those that have not after ``seconds``."""
    for process in processes:
        with _gone_is_fine():
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=seconds)
    for process in stubborn:
        with _gone_is_fine():
            process.kill()
    psutil.wait_procs(stubborn, timeout=10)


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return
