"""How a real topic may differ from its contract."""

from __future__ import annotations

from smartshelf.contracts.topics import TOPICS
from smartshelf.init.topics import differences

TOPIC = TOPICS["shelf_state"]


def test_a_topic_as_in_the_contract_has_no_differences() -> None:
    assert differences(TOPIC, 3, 3, {**TOPIC.config(), "max.message.bytes": "1048588"}) == []


def test_other_partitions_and_settings_are_told_one_by_one() -> None:
    real = {**TOPIC.config(), "cleanup.policy": "delete", "segment.ms": "1"}
    assert differences(TOPIC, 3, 1, real) == [
        "topic shelf_state has 1 partitions, the settings say 3",
        "topic shelf_state has segment.ms=1, the contract says 600000",
        "topic shelf_state has cleanup.policy=delete, the contract says compact",
    ]
