"""Who comes when, and what each shopper has in mind: pure functions of (seed, store, step, shopper).

Shape of the week and the day: J. Goodman, "Grocery Shopping: Who, Where and When" (Time Use Institute, 2008, from
the American Time Use Survey): Saturday is the busiest day, then Friday and Sunday, Monday and Tuesday the quietest;
on weekdays most people come between 4 and 5 in the afternoon; a trip takes 41 minutes on average. E. Zeballos and
K. Ralston, "Food-Related Time Use" (USDA ERS, 2019): a second weekday peak between 11 and 13, which is the peak on
weekends. The figures below are our own, drawn after these shapes; trips are shorter, as stores here are smaller.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from itertools import accumulate
from typing import Literal, NamedTuple

from producers.body import Body
from producers.randomness import numbers

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONDAY_1970 = 4 * DAY  # 1970-01-05, a Monday

OPENS, LAST_ENTRY = 7 * HOUR, 21 * HOUR + 30 * MINUTE
#: Share of the mean day by weekday from Monday.
WEEKDAYS = (0.955, 0.955, 0.97, 0.98, 1.03, 1.075, 1.035)
#: Relative flow of people entering by hour from 7 to 21; entries end at 21:30.
WORKDAY = (3.0, 4.5, 6.0, 7.5, 9.0, 8.5, 6.5, 6.0, 8.0, 10.0, 9.5, 8.0, 6.0, 4.0, 2.5)
WEEKEND = (2.0, 3.5, 6.5, 9.5, 11.0, 10.5, 8.5, 7.5, 7.5, 7.5, 7.0, 6.0, 4.5, 3.0, 2.0)

TimeSlot = Literal["morning", "midday", "afternoon", "evening"]
SLOT_ENDS: tuple[tuple[int, TimeSlot], ...] = ((11, "morning"), (14, "midday"), (18, "afternoon"))


class Mission(NamedTuple):
    """Why somebody comes: share of visits, distinct products (from, to), minutes in the store (from, to)."""

    share: float
    products: tuple[int, int]
    minutes: tuple[float, float]


MISSIONS = (
    Mission(0.55, (1, 4), (10.5, 33.0)),  # a few things
    Mission(0.32, (4, 10), (22.0, 55.0)),  # the next days
    Mission(0.13, (11, 20), (42.0, 70.0)),  # the week
)
#: Chances of 1, 2, 3, 4 units of a product, cumulated.
UNITS = (0.74, 0.93, 0.98, 1.0)
PUTS_BACK = 0.055
#: Chance to reach for the unit that expires first.
TAKES_EARLIEST = 0.80
#: The scale's error on one reading, grams (standard deviation).
SCALE_ERROR = 0.8
#: From the last shelf to the tills, and from the door to the first shelf.
WALK = MINUTE
TAKE, PUT_BACK = 0, 1


class Action(NamedTuple):
    """Something to do at a shelf. ``choices``: one number 0-1 per unit; ``errors``: of the scale, grams."""

    at: int
    kind: int
    shelf: int
    quantity: int
    choices: tuple[float, ...]
    error: float


class Plan(NamedTuple):
    """What a shopper has in mind on entering; times in simulated ms since 1970."""

    enters: int
    actions: tuple[Action, ...]
    to_till: int
    door: int


def weekday(at: int) -> int:
    """0 = Monday."""
    return (at - MONDAY_1970) // DAY % 7


def time_slot(at: int) -> TimeSlot:
    hour = at % DAY // HOUR
    return next((slot for end, slot in SLOT_ENDS if hour < end), "evening")


def iso_date(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()


def flow(at: int, visits_a_day: float) -> float:
    """People entering per ms around an instant."""
    time = at % DAY
    if not OPENS <= time < LAST_ENTRY:
        return 0.0
    day = weekday(at)
    hours = WEEKEND if day >= 5 else WORKDAY
    half_last = hours[-1] / 2
    share = hours[time // HOUR - OPENS // HOUR] / (sum(hours) - half_last)
    return visits_a_day * WEEKDAYS[day] * share / HOUR


class Shoppers:
    """The people of one store."""

    def __init__(self, body: Body, world: int) -> None:
        self._world, self._body = world, body
        self._cumulated = list(accumulate(shelf.demand for shelf in body.shelves))

    def arrivals(self, step: int, since: int, until: int) -> list[int]:
        """Instants in (since, until] at which shoppers 0, 1, 2, ... of this step enter, in order."""
        rate = flow(since, self._body.visits_a_day)
        if not rate:
            return []
        random = numbers(self._world, step, 0)
        count = int(random.poisson(rate * (until - since)))
        instants = sorted(since + 1 + int(u * (until - since)) for u in random.random(count).tolist())
        return [at for at in instants if at % DAY <= LAST_ENTRY]

    def plan(self, step: int, number: int, enters: int) -> Plan:
        """The plan of shopper ``number`` of a step; the same whenever it is asked for."""
        random = numbers(self._world, step, number + 1)
        u = random.random(4).tolist()
        mission = _mission(u[0])
        low, high = mission.products
        wanted = low + int(u[1] * (high - low + 1))
        stay = int(MINUTE * (mission.minutes[0] + u[2] * (mission.minutes[1] - mission.minutes[0])))
        draws = random.random((wanted, 9)).tolist()
        errors = (random.standard_normal(2 * wanted) * SCALE_ERROR).tolist()
        first, span = enters + WALK, stay - 3 * WALK
        instants = sorted(first + int(draw[0] * span) for draw in draws)
        # People walk the aisles in order, each product once.
        chosen = {self._product(draw[1]): draw for draw in draws}
        to_till = enters + stay - WALK
        actions = []
        for at, (shelf, draw), error in zip(instants, sorted(chosen.items()), errors[::2], strict=False):
            quantity = bisect_right(UNITS, draw[2]) + 1
            actions.append(Action(at, TAKE, shelf, quantity, tuple(draw[5 : 5 + quantity]), error))
            if draw[3] < PUTS_BACK:
                back = at + 1 + int(draw[4] * (to_till - at - 2))
                actions.append(Action(back, PUT_BACK, shelf, quantity, (), -error / 2))
        return Plan(enters, tuple(sorted(actions)), to_till, int(u[3] * self._body.doors) + 1)

    def _product(self, draw: float) -> int:
        return min(bisect_right(self._cumulated, draw * self._cumulated[-1]), len(self._cumulated) - 1)


def _mission(draw: float) -> Mission:
    for mission in MISSIONS:
        if draw < mission.share:
            return mission
        draw -= mission.share
    return MISSIONS[-1]
