"""A made-up store's log: profiles, facts and ticks as bridge and Connect would have written them.

Everything follows from a seed. The same log is fed to the pure engine and produced to a real Kafka.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from smartshelf.contracts import events as e
from smartshelf.contracts.control import Tick
from smartshelf.contracts.ids import fact_id
from smartshelf.contracts.rows import ShelfProfile, key_json
from smartshelf.domain.ledger import movements
from spark_apps.runtime.records import Record

START = datetime(2026, 1, 1, 7, tzinfo=UTC)
STEP = 60
ARRIVED = 1_790_000_000_000


def profile(store: str, shelf: str, **changes: object) -> ShelfProfile:
    row = ShelfProfile(
        store_id=store, shelf_id=shelf, product_id=f"P-{shelf}", item_name="Milk", category="REFRIGERATED",
        subcategory="MILK", aisle=1, storage_zone="chilled", zone_id="Z1", item_weight=1000.0, item_price=1.5,
        item_cost=1.0, supplier_id="SUP1", maximum_stock=48, warehouse_capacity=200, standard_batch_size=24,
        shelf_life_days=10, item_visibility=0.5,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


@dataclass
class StoreLog:
    """One store's records by topic, in partition ``partition`` of each; ``skip`` offsets stand for others' records."""

    store: str = "S01"
    seed: int = 1
    shelves: int = 8
    start: datetime = START
    partition: int = 0
    records: dict[str, list[Record]] = field(default_factory=dict)
    #: The same records in the order in which they were written.
    written: list[Record] = field(default_factory=list)
    #: Every fact that is to be booked, in the order written.
    booked: list[e.Event] = field(default_factory=list)
    #: origin of what must end as a dead letter
    refused: set[str] = field(default_factory=set)
    last_step: int = -1

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._seq: Counter[str] = Counter()
        self.shelf_ids = [f"MILKAA{number:04d}" for number in range(self.shelves)]
        self._baskets: Counter[str] = Counter()
        self._maximum: dict[str, int] = {}

    # --- writing ---------------------------------------------------------------------------------

    def write(self, topic: str, key: bytes, value: bytes | None) -> Record:
        log = self.records.setdefault(topic, [])
        offset = log[-1].offset + 1 + self._random.randrange(3) if log else self._random.randrange(3)
        record = Record(topic, self.partition, offset, ARRIVED + offset, key, value)
        log.append(record)
        self.written.append(record)
        return record

    def fact(self, topic: str, kind: type[e.Event], at: datetime, *, books: bool = True, **payload: object) -> None:
        self._seq[topic] += 1
        seq = self._seq[topic]
        source = f"world:{self.store}"
        fact = kind(
            event_id=fact_id(source, topic, seq), schema_version=1, store_id=self.store, timestamp=at, source=source,
            seq=seq, **payload,
        )  # fmt: skip
        record = self.write(topic, self.store.encode(), msgspec.json.encode(fact))
        if books:
            self.booked.append(fact)
        else:
            self.refused.add(record.origin)

    def configure(self, shelf: str, **changes: object) -> None:
        row = profile(self.store, shelf, **changes)
        self._maximum[shelf] = row.maximum_stock
        self.write("shelf_profiles", key_json(ShelfProfile, row), msgspec.json.encode(row))

    def tick(self, k: int, k_from: int | None = None, n: int = 0) -> None:
        """End of step k: everything written so far belongs to it."""
        cut = {topic: self._end(topic) for topic in ("shelf_events", "pos_transactions") if topic in self.records}
        config = {"shelf_profiles": self._end("shelf_profiles")} if "shelf_profiles" in self.records else {}
        tick = Tick(
            store_id=self.store, epoch=1, k_from=k if k_from is None else k_from, k=k, t=self.at(k), cut=cut,
            config=config, n=n,
        )  # fmt: skip
        self.write("sim_ticks", self.store.encode(), msgspec.json.encode(tick))
        self.last_step = k

    def _end(self, topic: str) -> dict[str, int]:
        return {str(self.partition): self.records[topic][-1].offset}

    def at(self, k: int) -> datetime:
        return self.start + timedelta(seconds=k * STEP)

    # --- a made-up life --------------------------------------------------------------------------

    def open(self, stock: int = 40) -> StoreLog:
        """Step 0: profiles, and what lies on the shelves."""
        for shelf in self.shelf_ids:
            self.configure(shelf)
        for shelf in self.shelf_ids:
            self.fact(
                "shelf_events", e.Count, self.start, shelf_id=shelf, batch_code=f"B-{shelf}", quantity=stock,
                adjustment=stock, reason="opening",
            )  # fmt: skip
            self.fact("shelf_events", e.WeightChange, self.start, shelf_id=shelf, delta_weight=stock * 1000.0)
        self.tick(0)
        return self

    def live(self, steps: int, facts: int = 6, odd: bool = True) -> StoreLog:
        """Steps with up to ``facts`` facts each; with ``odd`` also nights, edits, unknown shelves and extra cuts."""
        end = self.last_step + steps
        while self.last_step < end:
            k = self.last_step + 1
            if odd and self._random.random() < 0.15:
                k = min(end, k + self._random.randrange(5))
                self.tick(k, k_from=self.last_step + 1)
                continue
            if odd and self._random.random() < 0.15:
                self.configure(self._random.choice(self.shelf_ids), maximum_stock=self._random.randrange(10, 99))
            for _ in range(self._random.randrange(facts + 1)):
                self._something(self.at(k) - timedelta(seconds=self._random.randrange(STEP)))
            if odd and self._random.random() < 0.1:
                self.fact(
                    "shelf_events", e.Pickup, self.at(k), books=False, customer_id="C9", shelf_id="NOSUCH0001",
                    quantity=1, item_weight=1.0,
                )  # fmt: skip
            self.tick(k)
            if odd and self._random.random() < 0.1:
                self.configure(self._random.choice(self.shelf_ids), maximum_stock=self._random.randrange(10, 99))
                self.tick(k, n=1)
        return self

    def _something(self, at: datetime) -> None:
        shelf = self._random.choice(self.shelf_ids)
        quantity = self._random.randrange(1, 4)
        weight = 1000.0 + self._random.randrange(100) / 10
        if self._baskets[shelf] and self._random.random() < 0.5:
            quantity = self._baskets.pop(shelf)
            line = e.ReceiptLine(line_no=1, shelf_id=shelf, quantity=quantity, unit_price=1.0, total_price=quantity)
            self.fact(
                "pos_transactions", e.PosTransaction, at, transaction_id=f"T{self._seq['pos_transactions']}",
                customer_id="C1", till_id="T1", items=(line,), total_items=quantity, total_amount=float(quantity),
            )  # fmt: skip
            return
        self._baskets[shelf] += quantity
        self.fact("shelf_events", e.Pickup, at, customer_id="C1", shelf_id=shelf, quantity=quantity, item_weight=weight)
        self.fact("shelf_events", e.WeightChange, at, shelf_id=shelf, delta_weight=-quantity * weight, customer_id="C1")

    # --- reading ---------------------------------------------------------------------------------

    def all(self) -> list[Record]:
        return [record for log in self.records.values() for record in log]

    def batches(self, rng: random.Random) -> Iterator[list[Record]]:
        """The log in batches as Kafka would give it: each partition in order, cut and shuffled anyhow."""
        queues = {topic: list(log) for topic, log in self.records.items()}
        while any(queues.values()):
            batch: list[Record] = []
            for queue in queues.values():
                taken = (
                    rng.randrange(0, len(queue) + 1) if rng.random() < 0.5 else rng.randrange(0, 1 + min(9, len(queue)))
                )
                batch += queue[:taken]
                del queue[:taken]
            rng.shuffle(batch)
            yield batch

    def maximum(self, shelf: str) -> int:
        """The maximum stock that was last configured."""
        return self._maximum[shelf]

    def plain_sum(self) -> dict[str, dict[str, int]]:
        """Units by shelf and place, added up without any of the product's fold."""
        sums: dict[str, Counter[str]] = {shelf: Counter() for shelf in self.shelf_ids}
        for fact in self.booked:
            for move in movements(fact):
                sums[move.shelf_id][move.origin.name] -= move.quantity
                sums[move.shelf_id][move.destination.name] += move.quantity
        return {shelf: dict(places) for shelf, places in sums.items()}
