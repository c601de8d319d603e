"""What the commands do: up, down, reset, start, stop, restart."""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

import psutil

from smartshelf import settings as settings_module
from smartshelf.errors import SmartShelfError, Unavailable
from smartshelf.service import is_healthy, ready_file
from smartshelf.settings import CHECKOUT, Settings
from smartshelf.stack import environment, graph, kafka, ports, postgres, probes, progress, provision, supervision
from smartshelf.stack.graph import DRAIN_ORDER, Service
from smartshelf.stack.layout import CONF, Layout, make_own
from smartshelf.stack.provision import Provision
from smartshelf.stack.supervision import Supervisor

CONNECTORS = CHECKOUT / "connect" / "generated"

#: Names in the configuration templates: where a server listens, and as what others know it.
_HERE = {"bind": "127.0.0.1", "host": "127.0.0.1"}

#: How many lines of a log a message about a failed service shows.
_TAIL_LINES = 8


@dataclass(frozen=True)
class Store:
    """One embedded store: its folders, its supervisor, and its services once they are known."""

    settings: Settings
    layout: Layout
    supervisor: Supervisor
    services: Mapping[str, Service]


def up(*, only: Collection[str] = (), without: Collection[str] = ()) -> Store:
    """Start the store, or what is missing of it; returns when every service asked for is well.

    Raises SmartShelfError naming the service that is not well and the end of its log.
    """
    current = settings_module.load()
    graph.select(graph.names(len(current.spark_parts)), only, without)  # refuses a name before anything starts
    layout = Layout.of(current)
    layout.create()
    with _alone(layout):
        running = Supervisor(layout).is_running()
        store = _opened(layout) if running else _prepared(layout)
        wanted = graph.select(list(store.services), only, without)
        states = store.supervisor.processes()
        if running:
            missing = [name for name in wanted if not _is_done(store, states[name])]
            progress.say(f"already running; starting {', '.join(missing)}" if missing else "already running")
            wanted = missing
        start(store, wanted)
    return store


@contextmanager
def opened() -> Iterator[Store]:
    """The running store of this environment, for this command alone; Unavailable when it does not run."""
    layout = Layout.of(settings_module.load())
    if not Supervisor(layout).is_running():
        raise Unavailable("The store is not running", remedy="Start it with `make up` (or `smartshelf up`).")
    with _alone(layout):
        yield _opened(layout)


def is_elsewhere() -> bool:
    """Whether this environment names servers of a store that is not this checkout's embedded one (compose, say)."""
    return "SMARTSHELF_REDIS_URL" in os.environ


def is_stopped() -> bool:
    """Whether this environment means an embedded store that has lived before and does not run now."""
    layout = Layout.of(settings_module.load())
    return environment.path(layout).is_file() and not is_elsewhere() and not Supervisor(layout).is_running()


def _opened(layout: Layout) -> Store:
    found = provision.ensure(layout)
    values = environment.read(layout)
    services = graph.services(layout, found, ports.recall(_ports_file(layout)), values, CONNECTORS)
    return Store(settings_module.load(), layout, Supervisor(layout), services)


def _configure(layout: Layout, services: Mapping[str, Service]) -> Path:
    file = layout.run / "supervisord.conf"
    environment.write_private(file, supervision.configuration(layout, services.values()))
    return file


def _prepared(layout: Layout) -> Store:
    """Provision, choose ports, write every configuration, and start an idle supervisor."""
    found = provision.ensure(layout)
    if orphans := supervision.left_over(layout):
        progress.say(f"ending {len(orphans)} processes that outlived their supervisor")
        supervision.end(orphans, seconds=30)
    before = environment.read(layout)
    chosen = _choose_ports(layout)
    for name, port in chosen.items():
        if port != ports.USUAL[name]:
            progress.say(f"{name} listens on {port} (the usual port is {ports.USUAL[name]})")
    values = environment.compose(chosen, environment.epoch(layout), os.environ, before)
    environment.write(layout, values)
    current = settings_module.load()
    services = graph.services(layout, found, chosen, values, CONNECTORS)
    with provision.full_disk_told(layout.home):
        _prepare_servers(layout, found, chosen, current)
        file = _configure(layout, services)
    supervisor = Supervisor(layout)
    supervisor.start_daemon(file)
    return Store(current, layout, supervisor, services)


def _choose_ports(layout: Layout) -> dict[str, int]:
    """Ports that neither a server listens on nor another store of this user is about to."""
    own = Path(tempfile.gettempdir()) / f"smartshelf-{os.getuid()}"
    make_own(own)
    folder = own / "ports"
    with ports.claims(folder):
        others = ports.claimed(folder, layout.home, _lives)
        chosen = ports.choose(
            environment.wished_ports(os.environ),
            ports.recall(_ports_file(layout)),
            lambda port: port not in others and ports.is_free(port),
        )
        ports.claim(folder, layout.home, chosen)
    ports.remember(_ports_file(layout), chosen)
    return chosen


def _lives(home: Path) -> bool:
    """Whether the store with this home runs or is being started."""
    layout = Layout(home, home)
    try:
        with (home / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return Supervisor(layout).is_running()


def _ports_file(layout: Layout) -> Path:
    return layout.home / "ports.json"


def _prepare_servers(layout: Layout, found: Provision, chosen: Mapping[str, int], current: Settings) -> None:
    run, state = layout.run, layout.state
    for name in ("redis", "kafka", "connect"):
        (state / name).mkdir(exist_ok=True)
    _render(CONF / "redis" / "redis.conf", run / "redis.conf", **_HERE, port=chosen["redis"], directory=state / "redis")
    broker = run / "server.properties"
    _render(
        CONF / "kafka" / "server.properties",
        broker,
        **_HERE,
        port=chosen["kafka"],
        controller_port=chosen["kafka-controller"],
        directory=java_property(state / "kafka"),
    )
    _render(
        CHECKOUT / "connect" / "worker.properties",
        run / "worker.properties",
        **_HERE,
        port=chosen["connect"],
        kafka=current.kafka_bootstrap,
        offsets=java_property(state / "connect" / "offsets"),
        plugins=java_property(layout.jars / "plugins"),
    )
    password = current.postgres_owner_password.get_secret_value()
    with ThreadPoolExecutor() as pool:
        work = [
            pool.submit(kafka.format_storage, layout, found.java, broker),
            pool.submit(postgres.initialise, found.postgres, current.postgres_db, "smartshelf_owner", password),
        ]
        for part in work:
            part.result()
    target = found.postgres.data / "smartshelf.conf"
    _render(CONF / "postgres" / "postgresql.conf", target, **_HERE, port=chosen["postgres"])
    postgres.give(target, found.postgres)


def _render(template: Path, target: Path, **values: object) -> None:
    target.write_text(render(template.read_text(), **values))


def render(template: str, **values: object) -> str:
    """Fill in the ``$names`` of a configuration; KeyError for one that has no value."""
    return Template(template).substitute({name: str(value) for name, value in values.items()})


def java_property(value: object) -> str:
    """A value as Java reads it from a properties file: ASCII, with backslashes doubled."""
    return "".join(
        char if " " <= char <= "~" else "".join(f"\\u{unit:04x}" for unit in _utf16(char))
        for char in str(value).replace("\\", "\\\\")
    )


def _utf16(char: str) -> list[int]:
    raw = char.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


def start(store: Store, names: Collection[str]) -> None:
    """Start services, each as soon as those it needs are well; returns when all are well.

    Services that do not run take changes since the last start, such as new connector files, with them.
    Raises the first failure after all that could start have had their chance.
    """
    _configure(store.layout, store.services)
    store.supervisor.renew(name for name in names if not store.supervisor.process(name).is_up)
    wells: dict[str, Future[None]] = {}
    interrupted = threading.Event()
    with ThreadPoolExecutor(max_workers=max(len(names), 1)) as pool:
        for name in _in_order(store.services, names):
            needed = [wells[other] for other in store.services[name].after if other in wells]
            wells[name] = pool.submit(_start_one, store, name, needed, interrupted)
        try:
            wait(wells.values())
        except KeyboardInterrupt:
            interrupted.set()
            raise
    for well in wells.values():
        well.result()


def _in_order(services: Mapping[str, Service], names: Collection[str]) -> list[str]:
    """``names`` with every service behind those it needs."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        for other in services[name].after:
            visit(other)
        ordered.append(name)

    for name in names:
        visit(name)
    return [name for name in ordered if name in names]


def _start_one(store: Store, name: str, needed: Iterable[Future[None]], interrupted: threading.Event) -> None:
    for other in needed:
        other.result()
    service = store.services[name]
    # An old ready file would make a service look well before it has done anything.
    ready_file(store.settings, name).unlink(missing_ok=True)
    began = time.monotonic()
    store.supervisor.start(name)
    problem = _wait_until_well(store, service, interrupted)
    if problem:
        raise SmartShelfError(
            f"The service {name} is not well",
            value=problem,
            remedy=f"The end of {store.layout.log(name)}:\n{tail(store.layout.log(name), _TAIL_LINES)}",
        )
    progress.say(f"{name} {'done' if service.one_shot else 'ready'} ({time.monotonic() - began:.1f} s)")


def _wait_until_well(store: Store, service: Service, interrupted: threading.Event) -> str | None:
    """None when the service is well, else what it lacks when its time is up, it has given up, or nobody waits."""
    deadline = time.monotonic() + service.start_seconds
    while True:
        info = store.supervisor.process(service.name)
        problem = _problem(store, service, info)
        if problem is None:
            return None
        if info.state == "FATAL" or (service.one_shot and info.state == "EXITED") or time.monotonic() > deadline:
            return problem
        if interrupted.wait(0.1):
            return "interrupted"


def _problem(store: Store, service: Service, info: supervision.ProcessInfo) -> str | None:
    if service.one_shot:
        if info.state == "EXITED":
            return None if info.exit_code == 0 else f"ended with {info.exit_code}"
        return "not finished" if info.is_up else info.state.lower()
    if not info.is_up:
        return info.complaint or f"{info.state.lower()}, exit code {info.exit_code}"
    return problem_of(store.settings, service.name, info.pid)


def problem_of(settings: Settings, name: str, pid: int) -> str | None:
    """What keeps the service running as ``pid`` from being well, asked of itself; None when it is well."""
    port = ports.recall(_ports_file(Layout.of(settings))).get(name)
    # An answer from somebody else's server on our port would look like our own.
    if port and (problem := probes.listening_problem(pid, port)):
        return problem
    if not port and not is_healthy(settings, name, _born(pid)):
        # A process that was killed has left its word behind, fresh for some seconds more.
        return "has not said that it is ready"
    return answer_of(settings, name)


def _born(pid: int) -> float:
    """When a process was started, in seconds since 1970; the end of time for one that has gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return math.inf


def answer_of(settings: Settings, name: str) -> str | None:
    """What keeps a server from being well, asked over the network; None when it is well."""
    return probes.probe_for(name, settings, sorted(file.stem for file in CONNECTORS.glob("*.json")))()


def _is_done(store: Store, info: supervision.ProcessInfo) -> bool:
    if store.services[info.name].one_shot:
        return info.state == "EXITED" and info.exit_code == 0
    return info.is_up


def stop(store: Store, names: Collection[str]) -> None:
    """Stop services in drain order: what feeds others first."""
    for stage in DRAIN_ORDER:
        together = [name for name in names if graph.kind_of(name) in stage]
        with ThreadPoolExecutor(max_workers=max(len(together), 1)) as pool:
            list(pool.map(lambda name: _stop_one(store.supervisor, name), together))


def _stop_one(supervisor: Supervisor, name: str) -> None:
    if not supervisor.process(name).is_up:
        supervisor.stop(name)  # one that is waiting to be restarted
        return
    began = time.monotonic()
    supervisor.stop(name)
    progress.say(f"{name} stopped ({time.monotonic() - began:.1f} s)")


def down() -> bool:
    """Stop the store so that the next ``up`` goes on where it was; False when it did not run."""
    current = settings_module.load()
    layout = Layout.of(current)
    with _alone(layout):
        return _down(current, layout)


def _down(current: Settings, layout: Layout) -> bool:
    supervisor = Supervisor(layout)
    if not supervisor.is_running():
        orphans = supervision.left_over(layout)
        supervision.end(orphans, seconds=30)
        return bool(orphans)
    stop(Store(current, layout, supervisor, {}), list(supervisor.processes()))
    supervisor.stop_daemon()
    return True


def reset() -> int:
    """Stop the store and delete everything it has lived through, programs excepted; returns the new epoch."""
    current = settings_module.load()
    layout = Layout.of(current)
    layout.create()
    with _alone(layout):
        _down(current, layout)
        postgres.forget(layout, postgres.locate(layout))
        for folder in (layout.state, layout.run, layout.logs):
            shutil.rmtree(folder, ignore_errors=True)
        # The folder of the tables has a committed README; only tables and checkpoints are state.
        for folder in (current.delta_root, current.checkpoints):
            for table in folder.iterdir() if folder.is_dir() else ():
                if table.is_dir():
                    shutil.rmtree(table)
        environment.path(layout).unlink(missing_ok=True)
        return environment.raise_epoch(layout)


def tail(path: Path, lines: int) -> str:
    """The last lines of a log."""
    if not path.is_file():
        return "(no log yet)"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 400 * lines))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """One command at a time changes a store."""
    layout.home.mkdir(parents=True, exist_ok=True)
    with (layout.home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SmartShelfError(
                "Another command is starting or stopping this store", remedy="Wait until it has finished."
            ) from None
        yield
