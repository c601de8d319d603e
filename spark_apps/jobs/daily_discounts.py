"""Daily discounts: lots on their last day and the day before are marked down (``daily_discounts``, price tasks).

At midnight for all lots in the store, and later in the day for a lot that is brought to its shelf. The offers of the
week, which the tills know by themselves, are told beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import ClassVar, Literal

import msgspec
import numpy as np

from smartshelf.contracts import events as e
from smartshelf.contracts.rows import DailyDiscount
from smartshelf.domain import pricing
from smartshelf.domain.lots import NO_DATE, UNKNOWN_LOT, LotPlace, day_of
from spark_apps.runtime.books import FORGET_AFTER, Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Step
from spark_apps.runtime.writing import Deciding, gone, lead, row, task

TOPIC = "daily_discounts"
Reason = Literal["weekly", "near_expiry"]
WHOLE_SHELF = "*"
#: Store -> Monday (ISO date) -> shelf -> discount 0-1.
Weekly = Mapping[str, Mapping[str, Mapping[str, float]]]


class State(msgspec.Struct):
    #: Today as days since 1970.
    day: int = -1
    #: Day (ISO) -> (shelf, batch) discounted on it, until their rows leave the topic.
    given: dict[str, list[tuple[str, str]]] = {}


class DailyDiscounts(Deciding[State]):
    """One discount for each lot and day; it is not changed during the day."""

    name: ClassVar = "daily_discounts"
    books: ClassVar = True
    made: ClassVar = State
    version: ClassVar = 3

    def __init__(self, weekly: Weekly | None = None) -> None:
        """``weekly``: the promotion file, fixed for the life of a store."""
        self._weekly = weekly or {}

    def advance(
        self, state: State, facts: Sequence[e.Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[State, list[Output]]:
        if step.n:
            # Nothing is sold and no lot moves while the clock stands.
            return state, []
        today = step.at.date()
        outputs: list[Output] = []
        lots = books.lots
        if day_of(today.isoformat()) != state.day:
            outputs += self._new_day(state, step)
            rows = lots.expiring(LotPlace.STORE, state.day + pricing.MARKDOWN_DAYS)
        else:
            rows = [row for shelf in books.touched for row in lots.index.rows_of.get(shelf, ())]
        return state, outputs + self._mark_down(state, config, step, books, rows)

    def _new_day(self, state: State, step: Step) -> list[Output]:
        """Offers that begin and end with the day."""
        state.day = day_of(step.at.date().isoformat())
        last = (step.at - FORGET_AFTER).date().isoformat()
        outputs = [
            gone(TOPIC, DailyDiscount, _key(step, shelf_id, batch_code, day, "near_expiry"))
            for day in [day for day in state.given if day <= last]
            for shelf_id, batch_code in state.given.pop(day)
        ]
        return outputs + self._of_the_week(step)

    def _of_the_week(self, step: Step) -> list[Output]:
        """Today's offers; those of a day long past leave the topic."""
        outputs: list[Output] = []
        past = (step.at - FORGET_AFTER).date()
        opening = step.at - step.k * (step.at - step.since)
        if past >= opening.date():
            outputs += [
                gone(TOPIC, DailyDiscount, _key(step, shelf_id, WHOLE_SHELF, past.isoformat(), "weekly"))
                for shelf_id in self._offers(step.scope.store_id, past)
            ]
        for shelf_id, discount in self._offers(step.scope.store_id, step.at.date()).items():
            outputs.append(_tell(step, shelf_id, WHOLE_SHELF, "weekly", discount))
        return outputs

    def _offers(self, store_id: str, day: date) -> Mapping[str, float]:
        monday = day - timedelta(days=day.weekday())
        return self._weekly.get(store_id, {}).get(monday.isoformat(), {})

    def _mark_down(
        self, state: State, config: StoreConfig, step: Step, books: Books, rows: Sequence[int]
    ) -> list[Output]:
        if not rows or (step.at + lead(step) * (step.at - step.since)).date() != step.at.date():
            # A price is set L steps later, for the day that is then.
            return []
        lots, today = books.lots, step.at.date().isoformat()
        left = np.where(lots.expiry_day[rows] == NO_DATE, NO_DATE, lots.expiry_day[rows] - state.day)
        units = lots.units[rows, LotPlace.STORE]
        close = (units > 0) & (left >= 0) & (left <= pricing.MARKDOWN_DAYS)
        given = state.given.setdefault(today, [])
        outputs: list[Output] = []
        for at in np.flatnonzero(close).tolist():
            lot = lots.shelf_ids[rows[at]], lots.batch_codes[rows[at]]
            if lot[0] not in config.profiles or lot[1] == UNKNOWN_LOT or lot in given:
                continue
            expected = books.demand.mean[books.shelves.row_of[lot[0]]]
            discount = float(pricing.markdown(left[[at]], units[[at]], expected)[0])
            given.append(lot)
            outputs += _give(step, *lot, discount)
        return outputs


def _give(step: Step, shelf_id: str, batch_code: str, discount: float) -> list[Output]:
    subject = f"{shelf_id}|{batch_code}|{step.at.date().isoformat()}"
    return [
        _tell(step, shelf_id, batch_code, "near_expiry", discount),
        task(step, "price", subject, shelf_id=shelf_id, batch_code=batch_code, discount=discount, reason="near_expiry"),
    ]


def _tell(step: Step, shelf_id: str, batch_code: str, reason: Reason, discount: float) -> Output:
    given = DailyDiscount(
        epoch=step.scope.epoch,
        version=1,
        as_of_step=step.k,
        store_id=step.scope.store_id,
        shelf_id=shelf_id,
        batch_code=batch_code,
        discount_date=step.at.date().isoformat(),
        reason=reason,
        discount=discount,
        created_at=step.at,
    )
    return row(TOPIC, given)


def _key(step: Step, shelf_id: str, batch_code: str, day: str, reason: Reason) -> dict[str, str]:
    return {
        "store_id": step.scope.store_id,
        "shelf_id": shelf_id,
        "batch_code": batch_code,
        "discount_date": day,
        "reason": reason,
    }
