"""The refill bridge: what has left the backroom is put on the shelf, L steps later (topic ``world_tasks``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from smartshelf.contracts.events import Event, WhOut
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Stateless, Step
from spark_apps.runtime.writing import task


class RefillBridge(Stateless):
    """Turns every ``wh_out`` into one refill task."""

    name: ClassVar = "refill_bridge"
    facts: ClassVar = frozenset({"wh_events"})

    def advance(
        self, state: None, facts: Sequence[Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[None, list[Output]]:
        return None, [_refill(fact, step) for fact in facts if isinstance(fact, WhOut)]


def _refill(out: WhOut, step: Step) -> Output:
    return task(
        step,
        "refill",
        out.event_id,
        shelf_id=out.shelf_id,
        batch_code=out.batch_code,
        quantity=out.qty,
        plan_id=out.plan_id,
    )
