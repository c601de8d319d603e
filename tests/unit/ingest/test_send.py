"""How facts go into the streams: what stages and bridge can take, and not done before Kafka has them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from smartshelf.errors import Unavailable
from smartshelf.ingest import send
from smartshelf.ingest.kinds import KINDS
from smartshelf.ingest.layers import Layers
from smartshelf.ingest.runs import Run
from smartshelf.ingest.send import Sender
from smartshelf.settings import load
from tests.unit.ingest.store import Store
from tests.unit.ingest.test_run import DELIVERIES, lot, written

LOTS = 40


class Redis:
    """Streams, the mark of progress, and a world that goes on by a step whenever it is asked ``patience`` times."""

    def __init__(self, patience: int = 3) -> None:
        self.step, self._asked, self._patience = 7, 0, patience
        self.by_step: Counter[int] = Counter()
        self.reached: dict[str, int] = {}
        self.queued: list[tuple[str, Any]] = []
        self.refuses_after: int | None = None

    def hget(self, _hash: str, name: str) -> int | None:
        return self.reached.get(name)

    def hmget(self, _hash: str, _names: list[str]) -> list[bytes]:
        self._asked += 1
        self.step += not self._asked % self._patience
        return [b"1", str(self.step).encode(), b"1", b"0"]

    def xlen(self, _stream: str) -> int:
        return 0

    def pipeline(self, *, transaction: bool) -> Redis:
        assert transaction
        self.queued = []
        return self

    def xadd(self, stream: str, _fields: dict[str, Any]) -> None:
        self.queued.append((stream, None))

    def hset(self, _hash: str, name: str, row: int) -> None:
        self.queued.append((name, row))

    def execute(self) -> None:
        if self.refuses_after is not None and sum(self.by_step.values()) >= self.refuses_after:
            raise redis.ConnectionError("gone")
        *facts, (mark, row) = self.queued
        self.by_step[self.step] += len(facts)
        self.reached[mark] = row


@pytest.fixture
def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Layers]:
    """A run with its verdict on record and nothing sent."""
    monkeypatch.setattr(send, "AT_ONCE", 2)
    monkeypatch.setattr(send, "PATIENCE", 0.0)
    store = Store(tmp_path)
    store.streams.fails_after = 0
    with pytest.raises(Unavailable):
        store.take(written(tmp_path / "a.csv", DELIVERIES, *(lot(f"L{i}") for i in range(LOTS))), "deliveries")
    (run,) = store.record.unfinished()
    return run, Layers(tmp_path / "delta", KINDS["deliveries"], run.file_hash)


def sender(client: Redis) -> Sender:
    return Sender(load({}), cast("redis.Redis", client), lambda _text: None)


def forwarded(monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    monkeypatch.setattr(send, "_forwarded", lambda _bootstrap, _source: {"wh_events": last})


def test_a_step_gets_no_more_facts_than_stages_can_hold(
    accepted: tuple[Run, Layers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "PER_STEP", 6)
    monkeypatch.setattr(send, "PATIENCE", 5.0)
    forwarded(monkeypatch, LOTS)
    client = Redis()
    assert sender(client).send(accepted[0], KINDS["deliveries"], accepted[1]) == LOTS
    assert max(client.by_step.values()) <= 6
    assert sum(client.by_step.values()) == LOTS


def test_while_the_clock_stands_it_says_so_and_goes_on_later(
    accepted: tuple[Run, Layers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "PER_STEP", 6)
    forwarded(monkeypatch, LOTS)
    client = Redis(patience=10**9)
    with pytest.raises(Unavailable, match=r"does the clock run.*goes on where it stopped"):
        sender(client).send(accepted[0], KINDS["deliveries"], accepted[1])
    assert client.by_step == {7: 6}
    monkeypatch.setattr(send, "PER_STEP", 1_000)
    assert sender(client).send(accepted[0], KINDS["deliveries"], accepted[1]) == LOTS - 6


def test_a_redis_that_goes_away_is_a_sentence_and_no_fact_is_counted_twice(
    accepted: tuple[Run, Layers], monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarded(monkeypatch, LOTS)
    client = Redis()
    client.refuses_after = 10
    with pytest.raises(Unavailable, match="Redis does not take the facts"):
        sender(client).send(accepted[0], KINDS["deliveries"], accepted[1])
    client.refuses_after = None
    assert sender(client).send(accepted[0], KINDS["deliveries"], accepted[1]) == LOTS - 10
    assert sum(client.by_step.values()) == LOTS


def test_it_is_not_done_before_kafka_has_the_last_fact(
    accepted: tuple[Run, Layers], monkeypatch: pytest.MonkeyPatch
) -> None:
    forwarded(monkeypatch, LOTS - 1)
    with pytest.raises(Unavailable, match="the bridge to forward the last fact"):
        sender(Redis()).send(accepted[0], KINDS["deliveries"], accepted[1])
