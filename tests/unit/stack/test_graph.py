"""The declared services: names, order, and what is asked for."""

import graphlib

import pytest

from smartshelf.errors import BadInput
from smartshelf.stack import graph, launcher

NAMES = list(graph.NAMES)


def stage_of(name):
    return next(number for number, stage in enumerate(graph.DRAIN_ORDER) if name in stage)


def test_every_name_has_its_service(services):
    assert list(services) == NAMES


def test_every_service_waits_only_for_services_there_are_and_never_in_a_circle(services):
    order = graphlib.TopologicalSorter({name: service.after for name, service in services.items()}).static_order()
    assert set(order) == set(NAMES)


def test_every_service_stops_in_exactly_one_stage(services):
    assert sorted(name for stage in graph.DRAIN_ORDER for name in stage) == sorted(services)


def test_nothing_stops_before_those_that_need_it(services):
    for name, service in services.items():
        for needed in service.after:
            if not services[needed].one_shot:
                assert stage_of(name) < stage_of(needed), f"{needed} stops before {name}"


def test_events_drain_downstream():
    assert stage_of("producers") < stage_of("bridge") < stage_of("spark") < stage_of("connect") < stage_of("kafka")


def test_services_start_behind_those_they_need(services):
    assert launcher._in_order(services, ["dashboard", "redis", "init", "postgres"]) == [
        "redis",
        "postgres",
        "init",
        "dashboard",
    ]


def test_connect_alone_gets_the_passwords_in_its_environment(services):
    holders = [name for name, service in services.items() if any("PASSWORD" in key for key in service.environment)]
    assert holders == ["connect"]


def test_selection_keeps_the_declared_order():
    assert graph.select(NAMES, only=["kafka", "redis"]) == ["redis", "kafka"]
    assert "producers" not in graph.select(NAMES, without=["producers"])
    assert graph.select(NAMES) == NAMES


def test_a_split_store_has_a_spark_process_for_each_part_and_stops_them_together():
    names = graph.names(3)
    assert [name for name in names if name not in NAMES] == ["spark-2", "spark-3"]
    assert {graph.kind_of(name) for name in names} == set(NAMES)


def test_an_unknown_service_is_refused_with_the_known_ones():
    with pytest.raises(BadInput, match=r"no such service.*kafak.*redis, kafka"):
        graph.select(NAMES, only=["kafak"])
