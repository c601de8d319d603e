"""From the states of jobs as they were split before to the state of a job as it is split now. Pure.

All were brought forward after the same step, so what they have folded is the same. How far each had read beyond that
step differs by topic: of each topic, position and what waits are taken from one of them, and the rest is read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smartshelf.contracts.control import Offsets
from spark_apps.runtime import books, codec, config, engine
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.cuts import Positions
from spark_apps.runtime.engine import CONFIG, RUNTIME, TASKS, Runtime
from spark_apps.runtime.stage import TICKS, Stage, config_of, facts_of

Values = Mapping[str, bytes]
_UPGRADES: Mapping[str, codec.Upgrades] = {RUNTIME: engine.UPGRADES, CONFIG: config.UPGRADES}


def formats(stages: Sequence[Stage[Any]]) -> dict[str, int]:
    """The state values of a job with these stages, and the format in which this version of the code keeps each."""
    shared = {RUNTIME: engine.FORMAT, CONFIG: config.FORMAT}
    if any(stage.books for stage in stages):
        shared |= dict.fromkeys(books.VALUES, books.FORMAT)
    return shared | {f"stage:{stage.name}": stage.version for stage in stages}


def unreadable(state: Values, stages: Sequence[Stage[Any]]) -> dict[str, int]:
    """What a job with these stages would take from a state and cannot read: the values and their formats."""
    return {
        name: found
        for name, newest in formats(stages).items()
        if name in state and not codec.reads(found := codec.version_of(state[name]), newest, _UPGRADES.get(name))
    }


def holds(states: Sequence[Values], stages: Sequence[Stage[Any]], known: Sequence[str]) -> bool:
    """Whether these states of one store, of one step, hold all that a job with these stages has to go on from.

    ``known``: stages that the store has had; a new one begins with nothing.
    """
    names = {name for values in states for name in values}
    needed = {f"stage:{name}" for name in known}
    if any(stage.books for stage in stages):
        needed.update(books.VALUES)
    return bool(states) and needed <= names


def merged(states: Sequence[Values], stages: Sequence[Stage[Any]]) -> dict[str, bytes]:
    """The state values of a job with these stages, from those of the jobs that had them before."""
    runtimes = [Runtime.load(values[RUNTIME]) for values in states]
    values = {RUNTIME: _runtime(runtimes, stages).dump(), CONFIG: _config(states, runtimes)}
    wanted = [f"stage:{stage.name}" for stage in stages]
    if any(stage.books for stage in stages):
        wanted += books.VALUES
    for name in wanted:
        if (found := next((state[name] for state in states if name in state), None)) is not None:
            values[name] = found
    return values


def _runtime(runtimes: Sequence[Runtime], stages: Sequence[Stage[Any]]) -> Runtime:
    first = runtimes[0]
    made = Runtime(ticks=first.ticks, last=first.last)
    positions: Offsets = {}
    for topic in facts_of(stages) | config_of(stages):
        reader = _reader(runtimes, topic)
        if reader is not None:
            positions[topic] = reader.positions.offsets[topic]
            _take_pending(made, reader, topic)
        elif first.ticks and topic in first.ticks[0].cut:
            # Nobody has read it so far: what it held before the step has been lived without.
            positions[topic] = first.ticks[0].cut[topic]
    if TICKS in first.positions.offsets:
        positions[TICKS] = first.positions.offsets[TICKS]
    positions[TASKS] = _least(
        [runtime.positions.offsets[TASKS] for runtime in runtimes if TASKS in runtime.positions.offsets]
    )
    for runtime in runtimes:
        for stage, (cut, reached) in runtime.marks.items():
            known = made.marks.get(stage, (cut, {}))
            made.marks[stage] = max(cut, known[0]), _greatest(known[1], reached)
    made.positions = Positions({topic: dict(partitions) for topic, partitions in positions.items() if partitions})
    return made


def _reader(runtimes: Sequence[Runtime], topic: str) -> Runtime | None:
    return next((runtime for runtime in runtimes if topic in runtime.positions.offsets), None)


def _take_pending(made: Runtime, reader: Runtime, topic: str) -> None:
    mine, its = made.pending, reader.pending
    mine.facts |= {place: waiting for place, waiting in its.facts.items() if place[0] == topic}
    mine.business += [business for business in its.business if business.topic == topic]
    mine.config += [record for record in its.config if record.topic == topic]


def _config(states: Sequence[Values], runtimes: Sequence[Runtime]) -> bytes:
    parts = [
        (StoreConfig.load(values[CONFIG]), runtime.positions.offsets.keys())
        for values, runtime in zip(states, runtimes, strict=True)
        if CONFIG in values
    ]
    return StoreConfig.joined(parts).dump()


def _least(positions: Sequence[Mapping[str, int]]) -> dict[str, int]:
    common = set(positions[0]).intersection(*positions) if positions else set()
    return {partition: min(each[partition] for each in positions) for partition in common}


def _greatest(first: Offsets, second: Offsets) -> Offsets:
    return {
        topic: {
            partition: max(offsets.get(partition, -1) for offsets in (first.get(topic, {}), second.get(topic, {})))
            for partition in first.get(topic, {}).keys() | second.get(topic, {}).keys()
        }
        for topic in first.keys() | second.keys()
    }
