"""The launcher with the real Redis, Kafka, Postgres and Connect: start, kill, stop, go on.

The store lives in a folder with spaces in its name; for root that folder is closed to other users,
so Postgres has to find a place outside.
"""

import contextlib
import json
import os
import signal
import socket
import time

import psutil
import psycopg2
import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from supervisor import childutils

from smartshelf import settings as settings_module
from smartshelf.errors import SettingError
from smartshelf.io import kafka
from smartshelf.io.postgres import dsn
from smartshelf.stack import guard, launcher, ports, postgres, status
from smartshelf.stack.layout import Layout
from smartshelf.stack.supervision import Supervisor

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SERVERS = ("redis", "kafka", "postgres", "connect")

#: SPEC's bound for any one process after SIGKILL, in real seconds.
HEALTHY_AGAIN = 30.0


def make_home(folder, shared):
    """A home for a trial store that uses the programs which are already there."""
    folder.mkdir(parents=True)
    if shared.packages.is_dir():
        (folder / "packages").symlink_to(shared.packages)
    return folder


@contextlib.contextmanager
def environment_of(home, shared):
    """This process works on the store with this home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SMARTSHELF_")]:
            patch.delenv(name)
        patch.setenv("SMARTSHELF_HOME", str(home))
        patch.setenv("SMARTSHELF_JARS", str(shared.jars))
        patch.setenv("SMARTSHELF_DELTA", str(home / "delta"))
        patch.setenv("SMARTSHELF_DATA", str(home / "data"))
        yield patch


@contextlib.contextmanager
def trial_store(home, shared):
    """A store that is gone with its data when the test is over."""
    with environment_of(make_home(home, shared), shared) as patch:
        # Connectors need tables and topics; here Connect runs alone.
        patch.setattr(launcher, "CONNECTORS", home / "no connectors")
        layout = Layout.of(settings_module.load())
        try:
            yield layout
        finally:
            launcher.down()
            postgres.forget(layout, postgres.locate(layout))


@pytest.fixture(scope="module")
def shared():
    """Programs of this checkout's own store (or of the one the environment names), fetched at most once."""
    return Layout.of(settings_module.load())


@pytest.fixture(scope="module")
def layout(shared, tmp_path_factory):
    with trial_store(tmp_path_factory.mktemp("trial") / "a home with spaces", shared) as made:
        yield made


@pytest.fixture
def store(layout):
    """All four servers, running."""
    return launcher.up(only=SERVERS)


def wait_for(problem, seconds):
    """Wait until ``problem()`` is None; fail with the last one after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (found := problem()) is not None:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def pids():
    return {entry["name"]: entry["pid"] for entry in status.collect()["services"] if entry["name"] in SERVERS}


def test_every_server_is_healthy_and_says_where_it_is(store):
    told = status.collect()
    states = {entry["name"]: entry for entry in told["services"]}
    assert told["healthy"]
    assert {name: states[name]["state"] for name in SERVERS} == dict.fromkeys(SERVERS, "healthy")
    assert all(states[name]["rss_mb"] > 1 and states[name]["since"] for name in SERVERS)


def test_postgres_never_runs_as_root(store):
    assert psutil.Process(pids()["postgres"]).uids().effective != 0


def test_servers_listen_on_loopback_only(store):
    for name, pid in pids().items():
        listening = [entry for entry in psutil.Process(pid).net_connections("tcp") if entry.status == "LISTEN"]
        assert listening, name
        assert {entry.laddr.ip.removeprefix("::ffff:") for entry in listening} == {"127.0.0.1"}, name


def healthy_again(store, name, before):
    def problem():
        info = store.supervisor.process(name)
        if info.pid == before or not info.is_up:
            return f"{name} is {info.state}"
        return launcher.problem_of(store.settings, name, info.pid)

    wait_for(problem, HEALTHY_AGAIN)


@pytest.mark.parametrize("name", SERVERS)
def test_a_killed_server_is_healthy_again(store, name):
    before = store.supervisor.process(name).pid
    assert before > 1
    os.kill(before, signal.SIGKILL)
    healthy_again(store, name, before)


def test_every_server_answers_the_guard_and_one_that_hangs_is_started_again(store, monkeypatch):
    known = ports.recall(store.layout.home / "ports.json")
    assert [name for name in SERVERS if not guard.answers(known[name], guard.QUESTIONS[name])] == []
    monkeypatch.setattr(guard, "ANSWER_SECONDS", 0.5)
    rpc = childutils.getRPCInterface({"SUPERVISOR_SERVER_URL": f"unix://{store.layout.socket}"}).supervisor
    watching = guard.Guard(rpc, store.layout.home, known)
    before = store.supervisor.process("redis").pid
    os.kill(before, signal.SIGSTOP)
    for _ in range(guard.LOOKS):
        watching.look()
    healthy_again(store, "redis", before)


def test_a_second_up_leaves_what_runs_alone(store):
    before = pids()
    launcher.up(only=SERVERS)
    assert pids() == before


def test_a_stopped_service_starts_again_by_up_alone(store):
    before = pids()
    launcher.stop(store, ["redis"])
    assert store.supervisor.process("redis").state == "STOPPED"
    launcher.up(only=SERVERS)
    after = pids()
    assert after["redis"] != before["redis"]
    assert {name: pid for name, pid in after.items() if name != "redis"} == {
        name: pid for name, pid in before.items() if name != "redis"
    }


def remember(store, value):
    """Leave a value in Redis and Postgres and a topic in Kafka."""
    with redis.Redis.from_url(store.settings.redis_url) as client:
        client.set("kept", value)
    with contextlib.closing(psycopg2.connect(dsn(store.settings, "owner"))) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (value text PRIMARY KEY)")
        cursor.execute("INSERT INTO kept VALUES (%s)", (value,))
        connection.commit()
    admin = AdminClient({"bootstrap.servers": store.settings.kafka_bootstrap})
    admin.create_topics([NewTopic(value, 1, 1)])[value].result(30)


def recalled(store):
    """What Redis, Postgres and Kafka remember."""
    with redis.Redis.from_url(store.settings.redis_url, decode_responses=True) as client:
        found = [client.get("kept")]
    with contextlib.closing(psycopg2.connect(dsn(store.settings, "owner"))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT to_regclass('kept') IS NOT NULL")
        values = []
        if cursor.fetchone() == (True,):
            cursor.execute("SELECT value FROM kept")
            values = [value for (value,) in cursor.fetchall()]
    topics = AdminClient({"bootstrap.servers": store.settings.kafka_bootstrap}).list_topics(timeout=10).topics
    return found, values, topics


def test_down_and_up_go_on_with_the_same_data_on_the_same_ports(store):
    remember(store, "through-down")
    assert launcher.down()
    assert not Supervisor(store.layout).is_running()
    again = launcher.up(only=SERVERS)
    in_redis, in_postgres, in_kafka = recalled(again)
    assert in_redis == ["through-down"]
    assert "through-down" in in_postgres
    assert "through-down" in in_kafka
    assert again.settings.kafka_bootstrap == store.settings.kafka_bootstrap


def test_up_takes_over_servers_whose_supervisor_was_killed(store):
    remember(store, "through-kill")
    with store.supervisor._rpc() as rpc:
        daemon = rpc.getPID()
    assert daemon > 1
    os.kill(daemon, signal.SIGKILL)
    wait_for(lambda: "still there" if store.supervisor.is_running() else None, 10)
    again = launcher.up(only=SERVERS)
    assert recalled(again)[0] == ["through-kill"]
    assert status.collect()["healthy"]


def test_a_port_asked_for_by_a_setting_and_taken_is_refused_before_anything_starts(shared, tmp_path):
    with socket.socket() as other, trial_store(tmp_path / "third", shared) as layout:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SMARTSHELF_REDIS_URL", f"redis://127.0.0.1:{other.getsockname()[1]}/0")
            with pytest.raises(SettingError, match="port set for redis is taken"):
                launcher.up(only=["redis"])
        assert not Supervisor(layout).is_running()


def test_two_stores_run_side_by_side_and_a_reset_empties_only_one(store, shared, tmp_path):
    mine = store.settings.redis_url
    with redis.Redis.from_url(mine) as client:
        client.set("mine", "1")
    with trial_store(tmp_path / "second", shared):
        second = launcher.up(only=["redis"])
        assert second.settings.redis_url != mine
        with redis.Redis.from_url(second.settings.redis_url) as client:
            client.set("theirs", "1")
        assert launcher.reset() == 2
        again = launcher.up(only=["redis"])
        assert again.settings.epoch == 2
        with redis.Redis.from_url(again.settings.redis_url) as client:
            assert client.get("theirs") is None
    with redis.Redis.from_url(mine) as client:
        assert client.get("mine") == b"1"


def sink(topic):
    """A connector that writes ``topic`` to the table of the same name through our sink task."""
    key = {"type": "struct", "optional": False, "fields": [{"field": "id", "type": "string", "optional": False}]}
    fields = [*key["fields"], {"field": "stock", "type": "int32", "optional": False}]
    value = {"type": "struct", "optional": False, "fields": fields}
    json_converter = "org.apache.kafka.connect.json.JsonConverter"
    database = "127.0.0.1:${env:SMARTSHELF_POSTGRES_PORT}/${env:SMARTSHELF_POSTGRES_DB}"
    return {
        "connector.class": "smartshelf.connect.DlqJdbcSinkConnector",
        "topics": topic,
        "connection.url": f"jdbc:postgresql://{database}?stringtype=unspecified",
        "connection.username": "smartshelf_owner",
        "connection.password": "${env:SMARTSHELF_POSTGRES_OWNER_PASSWORD}",
        "connection.pool.min_size": "1",
        "connection.pool.max_size": "2",
        "collection.name.format": topic,
        "insert.mode": "upsert",
        "primary.key.mode": "record_key",
        "schema.evolution": "none",
        "flush.max.retries": "2",
        "key.converter": json_converter,
        "key.converter.schemas.enable": "true",
        "key.converter.schema.content": json.dumps(key),
        "value.converter": json_converter,
        "value.converter.schemas.enable": "true",
        "value.converter.schema.content": json.dumps(value),
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"dlq.{topic}",
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.group.instance.id": f"sink-{topic}",
    }


@pytest.fixture
def trial_sink(store):
    """Connect, restarted with one connector file more, and the table and topics that it needs."""
    admin = AdminClient({"bootstrap.servers": store.settings.kafka_bootstrap})
    for made in admin.create_topics([NewTopic("trial", 1, 1), NewTopic("dlq.trial", 1, 1)]).values():
        made.result(30)
    with contextlib.closing(psycopg2.connect(dsn(store.settings, "owner"))) as connection:
        connection.cursor().execute("CREATE TABLE trial (id text PRIMARY KEY, stock int CHECK (stock >= 0))")
        connection.commit()
    launcher.CONNECTORS.mkdir()
    file = launcher.CONNECTORS / "sink-trial.json"
    file.write_text(json.dumps({"name": "sink-trial", "config": sink("trial")}))
    launcher.stop(store, ["connect"])
    yield launcher.up(only=SERVERS)
    file.unlink()
    launcher.CONNECTORS.rmdir()
    launcher.stop(store, ["connect"])
    launcher.up(only=SERVERS)


def rows(store):
    with contextlib.closing(psycopg2.connect(dsn(store.settings, "owner"))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT id, stock FROM trial ORDER BY id")
        return dict(cursor.fetchall())


def send(store, **stocks):
    producer = Producer({"bootstrap.servers": store.settings.kafka_bootstrap})
    for name, stock in stocks.items():
        producer.produce("trial", key=json.dumps({"id": name}), value=json.dumps({"id": name, "stock": stock}))
    assert producer.flush(30) == 0


def test_a_row_that_postgres_refuses_is_a_dead_letter_and_an_outage_is_waited_for(trial_sink):
    store = trial_sink
    send(store, a=1, refused=-1, b=2)
    wait_for(lambda: None if rows(store) == {"a": 1, "b": 2} else f"rows are {rows(store)}", 30)
    (letter,) = kafka.read_all(store.settings.kafka_bootstrap, "dlq.trial", timeout=10)
    headers = {name: value.decode() for name, value in letter.headers()}
    assert json.loads(letter.value())["id"] == "refused"
    assert "violates check constraint" in headers["__connect.errors.exception.message"]

    launcher.stop(store, ["postgres"])
    send(store, c=3)
    launcher.start(store, ["postgres"])
    wait_for(lambda: None if rows(store) == {"a": 1, "b": 2, "c": 3} else f"rows are {rows(store)}", 30)
    assert launcher.problem_of(store.settings, "connect", store.supervisor.process("connect").pid) is None
