"""The engine inside Spark: one key per store, one call per store and batch, the state in Spark's state store."""

from __future__ import annotations

import gc
import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import msgspec
import pandas as pd
from pyspark.sql.streaming import StatefulProcessor

from smartshelf.domain.calendar import Calendar
from spark_apps.runtime import books, codec
from spark_apps.runtime.engine import CONFIG, DEAD_LETTERS, RUNTIME, Past, Result, StoreEngine
from spark_apps.runtime.rates import NOTHING, WEEK, Opening
from spark_apps.runtime.records import Record, Refused, dead_letter
from spark_apps.runtime.stage import Stage, tellers

#: What a call gives back: ``kind`` is record, done, step or carried.
OUTPUT = "store_id string, kind string, stage string, topic string, key binary, value binary, step long, n long"
COLUMNS = ("store_id", "kind", "stage", "topic", "key", "value", "step", "n")
INITIAL = "store_id string, state binary"
FORMAT = 1
#: Name of the state value that tells one whole state of a store from any other.
STAMP = "stamp"
#: Engines of this worker process by (query, store), each with the stamp of the state that it has written last: reading
#: and decoding a state that nobody else has touched is most of what a small batch costs.
_kept: dict[tuple[str, str], tuple[bytes, StoreEngine]] = {}
#: Stores whose engines a worker keeps.
KEPT = 16

Row = tuple[str, str, str, str | None, bytes | None, bytes | None, int, int]


def pack_values(values: Mapping[str, bytes]) -> bytes:
    """A store's whole state as one versioned value."""
    return codec.pack(FORMAT, values)


def unpack_values(data: bytes) -> dict[str, bytes]:
    """The state values of a store that was brought forward."""
    values: dict[str, bytes] = codec.unpack(data, FORMAT, "brought forward")
    return values


class StoreProcessor(StatefulProcessor):
    """Hands each store's rows to its engine. Everything it is made with must stay the same within a checkpoint.

    ``past``: by store, what earlier epochs have sent (recovery.Generation); ``learnt``: by store, as for its engine.
    """

    def __init__(
        self,
        stages: Sequence[Stage[Any]],
        *,
        epoch: int,
        step_seconds: int,
        upstream: Sequence[str] = (),
        telling: Mapping[str, str] | None = None,
        past: Mapping[str, Past] | None = None,
        learnt: Mapping[str, Opening] | None = None,
        calendar: Calendar = WEEK,
    ) -> None:
        self._stages, self._epoch, self._step_seconds = tuple(stages), epoch, step_seconds
        self._upstream, self._past = tuple(upstream), dict(past or {})
        self._learnt, self._calendar = dict(learnt or {}), calendar
        self._telling = tellers(stages) if telling is None else dict(telling)
        #: Kept engines are those of this very query: others may have been made with something else.
        self._query = uuid4().hex

    def __getstate__(self) -> bytes:
        # Spark sends the processor along with every batch, and with it what stages know of a year of history.
        return zlib.compress(pickle.dumps(self.__dict__))

    def __setstate__(self, made: bytes) -> None:
        self.__dict__.update(_unpacked(made))

    def init(self, handle: Any) -> None:
        # A map, not one variable per stage: a new stage then needs no new state schema.
        self._values = handle.getMapState("values", "name string", "value binary")

    def handleInputRows(  # noqa: N802  # Spark's name
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: Any,  # noqa: ARG002, N803
    ) -> Iterator[pd.DataFrame]:
        store_id = key[0]
        with collector_paused():
            records = [record for frame in rows for record in _records(frame)]
            answer = _frame(self._process(store_id, records) if store_id else self._letters_of_nobody(records))
        yield answer

    def handleInitialState(self, key: Any, initialState: pd.DataFrame, timerValues: Any) -> None:  # noqa: ARG002, N802, N803
        store_id = key[0]
        values = unpack_values(bytes(initialState["state"].iloc[0]))
        engine = self._engine(store_id, values)
        engine.rebuilt(self._past.get(store_id, Past()))
        self._save(values | engine.dump())

    def close(self) -> None:
        pass

    def _process(self, store_id: str, records: list[Record]) -> Iterator[Row]:
        stamp = self._value(STAMP)
        # Taken out for as long as it works: a batch that fails is repeated on the state as it is stored.
        written, engine = _kept.pop((self._query, store_id), (None, None))
        is_new = engine is None or written != stamp
        if engine is None or is_new:
            engine = self._engine(store_id, self._load())
        result = engine.process(records)
        changed = engine.dump()
        self._save(changed)
        stamp = _stamp(stamp, changed)
        self._save({STAMP: stamp})
        if len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[self._query, store_id] = stamp, engine
        if is_new:
            # Spark's worker looks for cycles after every batch: 40 ms, nearly all in modules and in what stays here.
            gc.freeze()
        return _rows(store_id, result)

    def _letters_of_nobody(self, records: Sequence[Record]) -> Iterator[Row]:
        own = {stage.name for stage in self._stages}
        for record in records:
            if self._telling.get(record.topic) in own:
                letter = dead_letter(Refused(record, "names no store"), "")
                yield "", "record", "", DEAD_LETTERS, record.origin.encode(), letter, -1, 0

    def _engine(self, store_id: str, values: Mapping[str, bytes]) -> StoreEngine:
        return StoreEngine(
            store_id,
            self._stages,
            epoch=self._epoch,
            step_seconds=self._step_seconds,
            values=values,
            upstream=self._upstream,
            telling=self._telling,
            past=self._past.get(store_id),
            learnt=self._learnt.get(store_id, NOTHING),
            calendar=self._calendar,
        )

    def _load(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for name in (RUNTIME, CONFIG, *books.VALUES, *(f"stage:{stage.name}" for stage in self._stages)):
            value = self._value(name)
            if value is not None:
                found[name] = value
        return found

    def _value(self, name: str) -> bytes | None:
        value = self._values.getValue((name,))
        return None if value is None or value[0] is None else bytes(value[0])

    def _save(self, values: Mapping[str, bytes]) -> None:
        for name, value in values.items():
            self._values.updateValue((name,), (value,))


def _stamp(before: bytes | None, changed: Mapping[str, bytes]) -> bytes:
    """Of the state that follows from another one by these values."""
    digest = blake2b(before or b"", digest_size=16)
    for name, value in sorted(changed.items()):
        digest.update(b"%s %d " % (name.encode(), len(value)))
        digest.update(value)
    return digest.digest()


@lru_cache(maxsize=4)
def _unpacked(made: bytes) -> dict[str, Any]:
    attributes: dict[str, Any] = pickle.loads(zlib.decompress(made))  # our own driver has made it
    return attributes


@contextmanager
def collector_paused() -> Iterator[None]:
    """A batch makes hundreds of thousands of objects and no cycles: looking for some takes an eighth of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _records(frame: pd.DataFrame) -> Iterator[Record]:
    columns = (frame[name].tolist() for name in ("topic", "partition", "offset", "arrived_ms", "key", "value"))
    return map(Record._make, zip(*columns, strict=True))


def _rows(store_id: str, result: Result) -> Iterator[Row]:
    for stage, output in result.emitted:
        yield store_id, "record", stage, output.topic, output.key, output.value, result.step, result.n
    for stage, k in result.done.items():
        yield store_id, "done", stage, None, None, None, k, result.n
    for carried in result.carried:
        at = msgspec.json.encode(carried.at)
        yield store_id, "carried", "", None, at, pack_values(carried.values), carried.k, 0
    yield store_id, "step", "", None, None, None, result.step, result.n


def _frame(rows: Iterator[Row]) -> pd.DataFrame:
    return pd.DataFrame.from_records(list(rows), columns=list(COLUMNS))
