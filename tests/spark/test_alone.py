"""Each job alone, as ``--jobs NAME`` runs it: together they decide what one process decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from smartshelf.contracts.stages import STAGES
from smartshelf.io import job_progress
from spark_apps import jobs
from tests.spark.running import SparkStore
from tests.spark.truth import SCALE, Recorded, assert_decided_alike

pytestmark = [pytest.mark.spark, pytest.mark.servers, pytest.mark.timeout(1200)]

#: Before more steps no stage may have said nothing.
GATE = 5
#: In every step each of fourteen queries waits for the others' done marks: the smallest jobs that there can be.
UNTIL = 25


def test_every_job_runs_alone_and_they_decide_what_one_process_decides(spark_store: SparkStore, built: Path) -> None:
    store, truth = spark_store, Recorded(built)
    store.env |= {"SMARTSHELF_DATA": str(built), "SCALE": SCALE, "STORE_TRIGGER_MS": "0"}
    truth.live(GATE)
    store.feed.feed(truth)
    store.start_alone()
    store.until(lambda: " ready" in store.said(), "every job to be ready")
    truth.live(UNTIL)
    store.feed.feed(truth, ticks_per_transaction=UNTIL)
    store.until_step(**{truth.store: UNTIL})
    assert_decided_alike(store.config, truth)
    progress = job_progress.read(store.config.kafka_bootstrap).values()
    assert sorted(job.stages for job in progress) == sorted((stage,) for stage in STAGES)
    folders = {path.name for path in store.config.checkpoints.iterdir()}
    assert len(folders) == len(set(jobs.select("all")) - {"delta_init", "retention"})
    assert store.stop() == 0
