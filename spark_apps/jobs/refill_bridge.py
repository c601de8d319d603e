"""The refill bridge: what has left the backroom is put on the shelf, L steps later (topic ``world_tasks``).

What has not arrived yet is told as ``shelf_refill_pending``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from smartshelf.contracts.events import Event, Refill, WhAdjust, WhOut
from smartshelf.contracts.ids import task_id
from smartshelf.contracts.ledger import NOT_FOUND
from smartshelf.contracts.rows import RefillPending
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import Deciding, gone, row, task

TOPIC = "shelf_refill_pending"
KIND = "refill"


class State(msgspec.Struct):
    #: Shelf -> its tasks that are not carried out, in the order in which they were given out.
    pending: dict[str, list[RefillPending]] = {}


class RefillBridge(Deciding[State]):
    """Turns every ``wh_out`` into one refill task, and follows it until its units are on the shelf or given up."""

    name: ClassVar = "refill_bridge"
    facts: ClassVar = frozenset({"wh_events", "shelf_events"})
    made: ClassVar = State

    def advance(
        self, state: State, facts: Sequence[Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        outputs = [out for fact in facts if isinstance(fact, WhOut) for out in _send(state, fact, step)]
        for fact in facts:
            if isinstance(fact, Refill):
                outputs += _end(state, fact.shelf_id, fact.batch_code, fact.quantity, step)
            elif isinstance(fact, WhAdjust) and fact.reason == NOT_FOUND:
                outputs += _end(state, fact.shelf_id, fact.batch_code, -fact.qty, step)
        return state, outputs


def _send(state: State, out: WhOut, step: Step) -> list[Output]:
    what: dict[str, Any] = {
        "shelf_id": out.shelf_id,
        "batch_code": out.batch_code,
        "quantity": out.qty,
        "plan_id": out.plan_id,
    }
    name = task_id(KIND, step.scope.store_id, out.event_id, 0, step.k)
    pending = step.scope.row(RefillPending, version=1, task_id=name, **what, picked_at=out.timestamp, due_at=out.due_ts)
    state.pending.setdefault(out.shelf_id, []).append(pending)
    return [task(step, KIND, out.event_id, **what), row(TOPIC, pending)]


def _end(state: State, shelf_id: str, batch_code: str, left: int, step: Step) -> list[Output]:
    """Units of a lot are on the shelf, or were not found: facts name no task, so the oldest of the lot's come first."""
    outputs: list[Output] = []
    waiting = state.pending.pop(shelf_id, [])
    still: list[RefillPending] = []
    for pending in waiting:
        units = min(left, pending.quantity) if pending.batch_code == batch_code else 0
        left -= units
        if units == pending.quantity:
            outputs.append(gone(TOPIC, RefillPending, {"store_id": pending.store_id, "task_id": pending.task_id}))
            continue
        if units:
            pending = step.scope.next(pending, quantity=pending.quantity - units)
            outputs.append(row(TOPIC, pending))
        still.append(pending)
    if still:
        state.pending[shelf_id] = still
    return outputs
