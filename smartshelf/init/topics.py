"""Topics from the contract: created when missing, never altered; what differs is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from smartshelf.contracts.topics import TOPICS, Topic
from smartshelf.io import kafka

#: Real seconds for one answer of the broker.
TIMEOUT = 30


def drift(bootstrap: str, fact_partitions: int, topics: Iterable[Topic] = tuple(TOPICS.values())) -> list[str]:
    """How existing topics differ from the contract, one sentence each. Raises Unavailable without a broker."""
    wanted = {topic.name: topic for topic in topics}
    admin = AdminClient({"bootstrap.servers": bootstrap, **kafka.QUIET})
    try:
        there = admin.list_topics(timeout=TIMEOUT).topics
        names = [name for name in wanted if name in there]
        if not names:
            return []  # all were created just now, and a busy broker does not list them yet
        answers = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in names])
        settings = {
            resource.name: {entry.name: entry.value for entry in answer.result(TIMEOUT).values()}
            for resource, answer in answers.items()
        }
    except KafkaException as failed:
        raise kafka.away(failed) from failed
    found = []
    for name in names:
        partitions = fact_partitions if wanted[name].by_store else 1
        found += differences(wanted[name], partitions, len(there[name].partitions), settings[name])
    return found


def differences(topic: Topic, partitions: int, real_partitions: int, real: Mapping[str, str]) -> list[str]:
    """What is wrong with one real topic; [] when it is as the contract says."""
    wrong = []
    if real_partitions != partitions:
        wrong.append(f"topic {topic.name} has {real_partitions} partitions, the settings say {partitions}")
    for name, value in topic.config().items():
        if real.get(name) != value:
            wrong.append(f"topic {topic.name} has {name}={real.get(name)}, the contract says {value}")
    return wrong
