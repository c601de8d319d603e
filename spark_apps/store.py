"""The store query: all stages of this process, every store, one batch at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from smartshelf.contracts.ids import stable_id
from smartshelf.contracts.rows import JobProgress
from smartshelf.contracts.stages import STAGES as CONFIGURED
from smartshelf.contracts.stages import lead_steps
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import delta, job_progress, kafka
from smartshelf.io.delta import DeltaSink
from smartshelf.io.kafka import TransactionalWriter
from smartshelf.settings import Settings
from spark_apps import sources, tables
from spark_apps.jobs import STAGES, learnt_by
from spark_apps.queries import Query
from spark_apps.runtime import recovery
from spark_apps.runtime.effects import JOB_STATE, Effects
from spark_apps.runtime.engine import TASKS, Cut
from spark_apps.runtime.processor import INITIAL, OUTPUT, StoreProcessor
from spark_apps.runtime.stage import TICKS, Stage, config_of, facts_of, tellers

log = logging.getLogger(__name__)

JOB = "store"


def job_name(stages: Sequence[Stage[Any]]) -> str:
    """The job's name in job_progress, as transactional.id and of its checkpoint; short, whatever the split.

    ``store``, or when stages are split its first stage and what tells it from any other split.
    """
    first, *others = names = tuple(stage.name for stage in stages)
    if names == CONFIGURED:
        return JOB
    return f"{JOB}:{first}" + (f"+{len(others)}-{stable_id('job', *names)[:8]}" if others else "")


def upstream_of(stages: Sequence[Stage[Any]]) -> tuple[str, ...]:
    """Stages of other processes that write facts which these read."""
    read = facts_of(stages)
    own = {stage.name for stage in stages}
    return tuple(stage.name for stage in STAGES if stage.name not in own and stage.writes & read)


def topics_of(stages: Sequence[Stage[Any]]) -> frozenset[str]:
    """Everything the query subscribes to; fixed for the life of a checkpoint."""
    topics = frozenset({TICKS}) | facts_of(stages) | config_of(stages)
    # Facts that stages write are waited for by their done marks: of other processes, or of a former epoch.
    return topics | {TASKS} if any(stage.writes for stage in stages) or upstream_of(stages) else topics


def start(
    session: SparkSession,
    config: Settings,
    stages: Sequence[Stage[Any]] = STAGES,
    effects_class: type[Effects] = Effects,
) -> Query:
    """Fence predecessors, find the state to go on from, start the query."""
    job, topics = job_name(stages), topics_of(stages)
    writer = TransactionalWriter(config.kafka_bootstrap, job)
    known = _known(config, {topic: writer.partitions[topic] for topic in topics})
    if others := known.others(job, [stage.name for stage in stages]):
        for other in others:
            TransactionalWriter(config.kafka_bootstrap, other).close()
        # Only now nobody adds to what they have sent.
        known = _known(config, known.partitions)
    checkpoints = recovery.Checkpoints(config.checkpoints / _folder(job))
    generation = recovery.choose(checkpoints, job, stages, known, epoch=config.epoch, starting=config.starting_offsets)
    folder, progress = checkpoints.path(generation.epoch), known.jobs.get(job)
    job_state = DeltaSink(tables.job_state_path(config.delta_root), JOB_STATE)
    stores = partial(sources.known_stores, config)
    effects = effects_class(
        job, generation, writer, lambda: recovery.checkpoint_id(folder), progress, job_state, stores
    )
    is_new = recovery.last_batch(folder, "commits") < 0
    initial = (
        recovery.states_to_start_from(generation, stages, known.carried()) if is_new and generation.origins else []
    )
    rows = _rows(session, config, stages, generation, topics, stores(), initial)
    query = (
        rows.writeStream.queryName(job)
        .outputMode("update")
        .option("checkpointLocation", str(folder))
        .trigger(processingTime=f"{config.store_trigger_ms} milliseconds")
        .foreachBatch(effects)
        .start()
    )
    log.info("query %s: epoch %d, %s", job, generation.epoch, _position(progress))

    def repair(error: str) -> str | None:
        if is_new or not recovery.is_damage(error):
            return None
        checkpoints.set_aside(generation.epoch)
        return "its checkpoint is damaged; the next start rebuilds the state"

    return Query(job, query, lambda: effects.failure, (job_state,), repair)


def _known(config: Settings, partitions: Mapping[str, int]) -> recovery.Known:
    facts = [topic for topic in partitions if topic == TICKS or TOPICS[topic].kind == "fact"]
    return recovery.Known(
        jobs=job_progress.read(config.kafka_bootstrap),
        carried=lambda: delta.read(tables.job_state_path(config.delta_root)),
        ticks=lambda: _last_ticks(config.kafka_bootstrap),
        partitions=partitions,
        lead_steps=lead_steps(config.step_seconds),
        starts=lambda: kafka.start_offsets(config.kafka_bootstrap, facts),
    )


def _last_ticks(bootstrap: str) -> dict[str, Cut]:
    """The last cut of every store."""
    ticks = (TOPICS[TICKS].decoder.decode(message.value()) for message in kafka.read_all(bootstrap, TICKS))
    return {tick.store_id: (tick.k, tick.n) for tick in ticks}


def _folder(job: str) -> str:
    """A job's checkpoints; names of many stages would make a path too long."""
    return job if job == JOB else f"{JOB}-{stable_id(job)}"


def _rows(
    session: SparkSession,
    config: Settings,
    stages: Sequence[Stage[Any]],
    generation: recovery.Generation,
    topics: frozenset[str],
    stores: frozenset[str],
    initial: list[tuple[str, bytes]],
) -> DataFrame:
    records = sources.by_store(sources.kafka(session, config, topics, generation.starting), stores)
    processor = StoreProcessor(
        stages,
        epoch=generation.epoch,
        step_seconds=config.step_seconds,
        upstream=upstream_of(stages),
        telling=tellers(STAGES),
        past=generation.past(),
        learnt=learnt_by(config),
        calendar=config.calendar,
    )
    # As many tasks as state partitions: then there is no shuffle.
    tasks = int(session.conf.get("spark.sql.shuffle.partitions") or 1)
    return (
        records.coalesce(tasks)
        .groupBy("store_id")
        .transformWithStateInPandas(
            statefulProcessor=processor,
            outputStructType=OUTPUT,
            outputMode="Update",
            timeMode="None",
            initialState=session.createDataFrame(initial, INITIAL).groupBy("store_id") if initial else None,
        )
    )


def _position(progress: JobProgress | None) -> str:
    if progress is None:
        return "nothing sent so far"
    return f"sent up to batch {progress.batch_id}, steps {progress.steps}"
