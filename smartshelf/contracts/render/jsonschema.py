"""JSON Schema of every topic's messages, for outside systems and their tests."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

import msgspec

from smartshelf.contracts.topics import Topic


def topic_schema(topic: Topic) -> dict[str, Any] | None:
    """The schema of one message value; None for topics whose content is not ours (Connect, Debezium)."""
    shapes = topic.events or topic.messages or ((topic.row,) if topic.row else ())
    if not shapes:
        return None
    schema: dict[str, Any] = msgspec.json.schema(reduce(or_, shapes))
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": topic.name,
        "description": topic.about,
        "x-key": list(topic.row.primary_key) if topic.row else topic.key,
    }
    return head | schema
