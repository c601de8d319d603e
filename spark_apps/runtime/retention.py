"""Which records nobody needs any more (pure).

Facts, ticks, tasks and logs of rows have no retention by wall clock: they are kept until a simulated month has been
brought forward and everybody who reads them has passed. A rebuild then starts from what was brought forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from smartshelf.contracts.control import Offsets
from smartshelf.contracts.rows import JobProgress
from smartshelf.contracts.topics import TOPICS
from spark_apps.runtime import recovery
from spark_apps.runtime.cuts import Positions

#: Topics whose records are deleted by offset. Dead letters stay until somebody has looked at them, and what people
#: said is little and read from its beginning by the bridge.
DELETED: tuple[str, ...] = tuple(
    topic.name for topic in TOPICS.values() if not topic.compacted and topic.kind in ("fact", "state", "control")
)


def put_away(
    progress: Iterable[JobProgress], carried: Iterable[Mapping[str, Any]], grace: int
) -> dict[str, dict[str, Mapping[str, Any]]] | None:
    """By job and store, the state brought forward that no rebuild will start before; None when a store has none yet.

    A state counts when its job has sent ``grace`` steps more: by then the world, too, is beyond that step.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    rows = list(carried)
    for job in progress:
        settled = {store: step - grace for store, step in job.steps.items()}
        found[job.job] = recovery.last_carried((row for row in rows if row["job"] == job.job), settled)
        if found[job.job].keys() != job.steps.keys():
            return None
    return found or None


def not_needed(
    seen: Mapping[str, Mapping[str, Positions]],
    by_time: Offsets,
    partitions: Mapping[str, int],
    passed: Iterable[Offsets],
) -> Offsets:
    """The first offset that has to stay, by topic and partition.

    ``seen``: by job and store how far the state brought forward had read; ``by_time``: the same for topics that no
    stage reads, from the time of that state; ``passed``: where each reader of some of these topics goes on.
    """
    stay: Offsets = {}
    for topic, count in partitions.items():
        reading = [job for job in seen.values() if any(topic in positions.offsets for positions in job.values())]
        ends = [recovery.needed_from(job, topic, count) for job in reading] or [by_time.get(topic, {})]
        stay[topic] = {part: min(end.get(part, 0) for end in ends) for part in map(str, range(count))}
    for reader in passed:
        for topic in reader.keys() & stay.keys():
            stay[topic] = {part: min(at, max(reader[topic].get(part, 0), 0)) for part, at in stay[topic].items()}
    return stay


def held_back(wanted: Offsets, stay: Offsets) -> list[str]:
    """Topics of which a reader still needs records that a rebuild does not."""
    return sorted(topic for topic in wanted if wanted[topic] != stay[topic])
