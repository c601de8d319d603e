"""Names of the Redis keys. Streams are named in topics.py."""

from __future__ import annotations

MARKS = "marks"

NOW = "sim:now"
TODAY = "sim:today"
TARGET = "sim:target"
CLOCK = "sim:clock"
HOLDS = "sim:holds"
LEASE = "sim:lease"

#: Hash: scenarios that are to be on, by name (the value says since when, wall clock).
SCENARIOS = "scenarios"

STORES = "stores"
EPOCH = "store:epoch"

#: Hash of the dead-letter tool: ``seq:STREAM`` = its last number, ``done:ORIGIN`` = the entry it was replayed as.
DEAD_LETTERS = "deadletters"

#: Hash of `smartshelf ingest`: by file and kind, its last row whose facts are in the streams.
INGEST = "ingest"


def world(store_id: str) -> str:
    """Hash of one store's physical truth, written only by the world's save script."""
    return f"world:{store_id}"


#: Hash of what all worlds of the process share: step, save number, Kafka position.
WORLD = "world"
