"""Simulation truth is for scoring: nothing that decides may read it."""

from __future__ import annotations

from smartshelf.contracts.topics import TOPICS
from spark_apps import store, tables
from spark_apps.jobs import STAGES

TRUTH = {topic.name for topic in TOPICS.values() if topic.truth}


def test_truth_is_what_shoppers_missed_and_what_scenarios_did() -> None:
    assert {"lost_demand", "world_truth"} == TRUTH


def test_no_job_subscribes_to_simulation_truth() -> None:
    assert not TRUTH & store.topics_of(STAGES)
    for stage in STAGES:
        assert not TRUTH & (stage.facts | stage.config | stage.writes), stage.name
    assert not TRUTH & {topic.name for topic in tables.RAW}
