"""Retention: deletes Kafka's records of months that were brought forward, when everybody has read them.

And the files that ingests have joined, for readers' sake some minutes later: the next ingest may be far off.

No query of its own: it looks every minute whether there is something to do. Killed at any moment, it finds the same
again: deleting up to an offset twice changes nothing.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from deltalake import DeltaTable

from smartshelf.contracts.control import Offsets
from smartshelf.contracts.render.connect import sink_name
from smartshelf.contracts.tables import TABLES
from smartshelf.io import connect, delta, job_progress, kafka
from smartshelf.settings import Settings
from spark_apps import tables
from spark_apps.jobs import STAGES, mirrors, raw_sinks
from spark_apps.runtime import recovery, retention
from spark_apps.runtime.processor import unpack_values
from spark_apps.runtime.stage import TICKS

log = logging.getLogger(__name__)

NAME = "retention"
#: Simulated time after a month's end: the world, and a Redis that lost a second in a power cut, are beyond it.
GRACE = timedelta(hours=6)
#: Topics that no stage reads are cut by time: so long (real ms) before the first tick that stays. A bridge that is
#: behind may append a step's facts that much before its tick.
MARGIN_MS = 60_000


def sweep(root: Path) -> None:
    """Delete the files of ingest's tables that no version of the last minutes needs; an ingest may be at work."""
    for path in sorted(root.glob("*/ingest/*")):
        if DeltaTable.is_deltatable(str(path)):
            delta.vacuum(DeltaTable(str(path)))


class Retention:
    """``look`` deletes what there is to delete; it remembers only what it need not look at again."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._done: object = None
        self._told: object = None

    def look(self) -> None:
        """Delete what nobody needs; says what it did, and once what holds it back. Raises Unavailable."""
        config, bootstrap = self._config, self._config.kafka_bootstrap
        # Of a month that this code cannot go on from, a rebuild needs the records.
        carried = recovery.readable(delta.read(tables.job_state_path(config.delta_root)), STAGES)
        grace = GRACE // timedelta(seconds=config.step_seconds)
        # Jobs of a former split need nothing any more.
        in_charge = job_progress.in_charge(job_progress.read(bootstrap).values()) if carried else {}
        origins = retention.put_away({row.job: row for row in in_charge.values()}.values(), carried, grace)
        if origins is None:
            return
        which = {(job, store): row["step"] for job, rows in origins.items() for store, row in rows.items()}
        if which == self._done:
            return
        starts = kafka.start_offsets(bootstrap, retention.DELETED)
        partitions = {topic: len(parts) for topic, parts in starts.items()}
        seen = {
            job: recovery.positions_of({store: unpack_values(row["state"]) for store, row in rows.items()})
            for job, rows in origins.items()
        }
        ticks = retention.not_needed(seen, {}, {TICKS: partitions[TICKS]}, [])[TICKS]
        found = [kafka.appended_at(bootstrap, TICKS, int(part), at) for part, at in ticks.items() if at]
        moments = [moment for moment in found if moment is not None]
        # Every store has gone on: what no stage reads is cut by the time of the first tick that stays.
        has_gone_on = bool(found) and len(moments) == len(found)
        by_time = kafka.offsets_since(bootstrap, retention.DELETED, min(moments) - MARGIN_MS) if has_gone_on else {}
        wanted = retention.not_needed(seen, by_time, partitions, [])
        stay = retention.not_needed(seen, by_time, partitions, self._readers())
        self._delete(starts, stay, which)
        waiting = retention.held_back(wanted, stay)
        if not waiting and has_gone_on:
            self._done = which
        elif waiting and (which, waiting) != self._told:
            self._told = which, waiting
            log.info("some records stay until their readers have passed: %s", ", ".join(waiting))

    def _delete(self, starts: Offsets, stay: Offsets, which: dict[tuple[str, str], int]) -> None:
        new = {
            topic: {part: at for part, at in parts.items() if at > starts[topic][part]} for topic, parts in stay.items()
        }
        kafka.delete_before(self._config.kafka_bootstrap, new)
        gone = {
            topic: sum(at - starts[topic][part] for part, at in parts.items()) for topic, parts in new.items() if parts
        }
        if gone:
            steps = ", ".join(f"{store} step {step}" for (_, store), step in sorted(which.items()))
            told = ", ".join(f"{topic} {count:,}" for topic, count in sorted(gone.items()))
            log.info("months up to %s were brought forward; records deleted: %s", steps, told)

    def _readers(self) -> list[Offsets]:
        """Where those go on who keep their place elsewhere than in the state."""
        config = self._config
        raw = recovery.committed_offsets(raw_sinks.folder(config))
        mirrored = recovery.committed_offsets(mirrors.folder(config))
        found: list[Offsets] = [
            {topic.name: raw.get(topic.name, {}) for topic in tables.RAW},
            {table.topic.name: mirrored.get(table.topic.name, {}) for table in tables.MIRRORED},
        ]
        for table in TABLES.values():
            topic = table.topic.name
            if table.direction == "sink" and topic in retention.DELETED:
                at = connect.positions(config.kafka_bootstrap, sink_name(table), topic)
                found.append({topic: {str(part): offset for part, offset in at.items()}})
        return found
