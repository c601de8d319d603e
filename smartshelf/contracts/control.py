"""Control messages of the step protocol: marks, ticks, tasks and done marks."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from smartshelf.contracts.types import Id, Moment, Share

#: topic -> partition (as text: JSON keys) -> offset
Offsets = dict[str, dict[str, int]]


class Mark(Struct, kw_only=True, frozen=True):
    """End of step ``k`` in Redis: every fact up to the named ids belongs to steps <= k.

    ``k_from`` < ``k`` covers steps without facts in between; ``n`` > 0 is an extra mark while the clock stands.
    """

    epoch: int
    k_from: int
    k: int
    t: Moment
    stores: tuple[str, ...]
    #: stream -> last generated Redis id
    streams: dict[str, str]
    #: Only in mark 0: config rows by store and topic that must be in Kafka before decisions begin.
    rows: dict[str, dict[str, int]] | None = None
    n: int = 0


class Tick(Struct, kw_only=True, frozen=True):
    """A consistent cut of one store's facts and configuration (topic ``sim_ticks``)."""

    store_id: Id
    epoch: int
    k_from: int
    k: int
    t: Moment
    #: Offset of this store's last fact from Redis, by fact topic and partition.
    cut: Offsets
    #: Offset of the last configuration record that concerns this store, by topic and partition.
    config: Offsets
    n: int = 0


class Done(Struct, kw_only=True, frozen=True, tag_field="type", tag="done"):
    """A stage has decided all steps <= k, and these are its last outputs (topic ``world_tasks``).

    ``n`` > 0: and the extra cuts of step k up to this one.
    """

    store_id: Id
    stage: Id
    k: int
    epoch: int
    offsets: Offsets
    n: int = 0


class Task(Struct, kw_only=True, frozen=True, tag_field="type", tag="task"):
    """What the business asks of the world, to be done at the start of step ``do_at``."""

    task_id: Id
    kind: Literal["refill", "remove", "order", "price"]
    store_id: Id
    step: int
    do_at: int
    shelf_id: Id | None = None
    batch_code: Id | None = None
    quantity: int | None = None
    plan_id: Id | None = None
    received_date: str | None = None
    expiry_date: str | None = None
    location: Literal["store", "warehouse"] = "store"
    reason: str | None = None
    #: Kind `price`: what the tills take off on the day of ``do_at``, 0-1.
    discount: Share | None = None
