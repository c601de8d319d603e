"""The shelf aggregator: stock, weight, baskets and what is on its way, for every shelf (topic ``shelf_state``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from smartshelf.contracts.events import Event
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.rows import ShelfState, key_json
from smartshelf.domain.ledger import PLACES
from smartshelf.domain.shelf import MILLIGRAMS, ShelfBook, moment
from spark_apps.runtime import codec
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Scope, Stage, Step

FORMAT = 1
TOPIC = "shelf_state"


class ShelfAggregator(Stage[ShelfBook]):
    """Keeps a ``ShelfBook``; decides nothing."""

    name: ClassVar = "shelf_aggregator"
    facts: ClassVar = frozenset({"shelf_events", "pos_transactions", "wh_events"})

    def new(self) -> ShelfBook:
        return ShelfBook()

    def load(self, data: bytes) -> ShelfBook:
        body = codec.unpack(data, FORMAT, self.name)
        places = body.pop("places")
        columns = {name: np.frombuffer(raw, dtype=np.int64).copy() for name, raw in body.items() if name != "shelf_ids"}
        balances = columns.pop("balances").reshape(-1, places)
        # A place that came with newer code has held nothing so far.
        balances = np.pad(balances, ((0, 0), (0, PLACES - places)))
        return ShelfBook(body["shelf_ids"], balances, **columns)

    def dump(self, state: ShelfBook) -> bytes:
        body: dict[str, Any] = {
            name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in vars(state).items()
        }
        del body["row_of"]
        return codec.pack(FORMAT, body | {"places": PLACES})

    def advance(
        self, state: ShelfBook, facts: Sequence[Event], config: StoreConfig, step: Step
    ) -> tuple[ShelfBook, list[Output]]:
        if config.changes.any:
            state.configure((*config.changes.profiles, *config.changes.removed), step.at)
        state.fold(facts)
        return state, []

    def live(self, state: ShelfBook, pending: Sequence[Event]) -> ShelfBook:
        view = state.copy()
        view.fold(pending)
        return view

    def rows(self, before: ShelfBook | None, after: ShelfBook, config: StoreConfig, scope: Scope) -> list[Output]:
        known = before.version if before is not None else np.zeros(0, dtype=np.int64)
        changed = np.ones(len(after.shelf_ids), dtype=bool)
        changed[: len(known)] = after.version[: len(known)] != known
        return [self._row(after, row, config, scope) for row in np.flatnonzero(changed).tolist()]

    def _row(self, book: ShelfBook, row: int, config: StoreConfig, scope: Scope) -> Output:
        shelf_id = book.shelf_ids[row]
        key = key_json(ShelfState, {"store_id": scope.store_id, "shelf_id": shelf_id})
        profile = config.profiles.get(shelf_id)
        if profile is None:
            return Output(TOPIC, key, None)
        balances = book.balances[row]
        state = ShelfState(
            epoch=scope.epoch,
            version=int(book.version[row]),
            as_of_step=scope.as_of_step,
            store_id=scope.store_id,
            shelf_id=shelf_id,
            category=profile.category,
            subcategory=profile.subcategory,
            current_stock=int(balances[Place.SHELF]),
            max_stock=profile.maximum_stock,
            shelf_weight=int(book.weight[row]) / MILLIGRAMS,
            in_baskets=int(balances[Place.BASKET]),
            on_the_way=int(balances[Place.ON_THE_WAY]),
            last_update_ts=moment(int(book.updated[row])),
        )
        return Output(TOPIC, key, msgspec.json.encode(state))
