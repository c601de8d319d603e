"""Every Postgres table that Kafka Connect keeps in step, and the direction.

The tables themselves are made by the migrations in postgresql/; a check compares them with these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smartshelf.contracts import rows as r
from smartshelf.contracts.topics import TOPICS, Topic


@dataclass(frozen=True)
class Table:
    """``sink``: Kafka -> Postgres by upsert; ``source``: Postgres -> Kafka by log-based capture."""

    schema: str
    name: str
    row: type[r.Row]
    direction: Literal["sink", "source"]
    #: Whether a tombstone deletes the row; history tables keep it.
    deletes: bool = True

    @property
    def topic(self) -> Topic:
        return TOPICS[self.name]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"


TABLES: dict[str, Table] = {
    table.full_name: table
    for table in (
        Table("state", "shelf_state", r.ShelfState, "sink"),
        Table("config", "shelf_profiles", r.ShelfProfile, "source"),
        Table("config", "shelf_policies", r.ShelfPolicy, "source"),
        Table("config", "wh_policies", r.WhPolicy, "source"),
    )
}
