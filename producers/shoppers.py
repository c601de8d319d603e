"""Who comes when, and what each shopper has in mind: pure functions of (seed, store, step, shopper).

How many come and what they want is the demand model of the year of history (``smartshelf.domain.demand``, which names
its sources). What is here makes people of it: trips of 10-75 minutes (41 on average in J. Goodman, "Grocery Shopping:
Who, Where and When", Time Use Institute, 2008; stores here are smaller), three missions, and what is bought together.
Those figures are ours.

Bought together: some of a basket belongs to the theme of its first product (a dinner, a breakfast, a clean house). As
the first product is drawn by demand alone, every product keeps its share of what is wanted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

import numpy as np

from producers.body import Body
from producers.randomness import numbers
from smartshelf.domain import demand
from smartshelf.domain.demand import Demand, uplift

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MONDAY_1970 = 4 * DAY  # 1970-01-05, a Monday

OPENS, LAST_ENTRY = demand.OPENS * HOUR, 21 * HOUR + 30 * MINUTE

TimeSlot = Literal["morning", "midday", "afternoon", "evening"]
SLOT_ENDS: tuple[tuple[int, TimeSlot], ...] = ((11, "morning"), (14, "midday"), (18, "afternoon"))


class Mission(NamedTuple):
    """Why somebody comes: share of visits, products wanted and minutes in the store (from, to).

    ``together``: chance that a product is of the theme of the first one.
    """

    share: float
    products: tuple[int, int]
    minutes: tuple[float, float]
    together: float


MISSIONS = (
    Mission(0.55, (1, 4), (10.5, 33.0), 0.50),  # a few things
    Mission(0.32, (4, 10), (22.0, 55.0), 0.25),  # the next days
    Mission(0.13, (11, 20), (42.0, 70.0), 0.10),  # the week
)
#: Categories that are bought together; each belongs to one theme, those that are not named to one of their own.
THEMES: Mapping[str, tuple[str, ...]] = {
    "dinner": (
        "MEAT",
        "FISH",
        "FRUITS AND VEGETABLES",
        "WINES",
        "BREAD AND BREADSTICKS",
        "VINEGAR AND OIL",
        "SPICES",
    ),
    "pasta": ("PASTA AND RICE", "PASTA SAUCES", "SAUCES", "CANNED GOODS"),
    "breakfast": ("SWEETS AND BREAKFAST", "HOT BEVERAGES", "LONG-LIFE DAIRY", "FLOURS AND SUGAR", "LONG-LIFE FRUIT"),
    "fridge": ("REFRIGERATED", "FROZEN"),
    "party": ("BEERS", "BEVERAGES", "SAVORY SNACKS", "SPIRITS AND APERITIFS"),
    "house": ("HOUSE CLEANING PRODUCTS", "LAUNDRY PRODUCTS", "HOUSEHOLD GOODS", "BATH AND PERSONAL CARE"),
}
_THEME_OF = {category: number for number, theme in enumerate(THEMES.values()) for category in theme}

#: Chances of 1, 2, 3, 4 units of a product, cumulated.
UNITS = (0.74, 0.93, 0.98, 1.0)
PUTS_BACK = 0.055
#: Chance to reach for the unit that expires first.
TAKES_EARLIEST = 0.80
#: The scale's error on one reading, grams (standard deviation).
SCALE_ERROR = 0.8
#: Share of people who follow a craze (scenarios).
FOLLOWERS = 0.2
#: From the last shelf to the tills, and from the door to the first shelf.
WALK = MINUTE
TAKE, PUT_BACK = 0, 1

_PRODUCTS_A_VISIT = sum(mission.share * sum(mission.products) / 2 for mission in MISSIONS)
_UNITS_A_PRODUCT = 1 + sum(1 - upto for upto in UNITS)
#: What a visit takes home on a mean day is what demand wants; some of what is taken goes back.
USUAL_SIZE = demand.UNITS_A_DAY / demand.VISITS_A_DAY / (1 - PUTS_BACK) / (_PRODUCTS_A_VISIT * _UNITS_A_PRODUCT)
#: Hours whose demand is kept at hand: people stay up to 75 minutes.
KEPT_HOURS = 3


class Action(NamedTuple):
    """Something to do at a shelf. ``choices``: one number 0-1 per unit; ``errors``: of the scale, grams.

    ``mood``: a number 0-1 that decides on what the plan does not know, as an empty shelf or a reduced price; None:
    takes just what is planned.
    """

    at: int
    kind: int
    shelf: int
    quantity: int
    choices: tuple[float, ...]
    error: float
    mood: float | None = None


class Plan(NamedTuple):
    """What a shopper has in mind on entering; times in simulated ms since 1970."""

    enters: int
    actions: tuple[Action, ...]
    to_till: int
    door: int


class Hour(NamedTuple):
    """What people who come in one hour want; shelves by theme, shares cumulated over them."""

    cumulated: list[float]
    #: Where each theme begins; one more than there are themes.
    begins: list[float]
    #: Products in a basket, relative to MISSIONS.
    size: float


def weekday(at: int) -> int:
    """0 = Monday."""
    return (at - MONDAY_1970) // DAY % 7


def time_slot(at: int) -> TimeSlot:
    hour = at % DAY // HOUR
    return next((slot for end, slot in SLOT_ENDS if hour < end), "evening")


def date_of(at: int) -> date:
    return datetime.fromtimestamp(at / 1000, UTC).date()


def iso_date(at: int) -> str:
    return date_of(at).isoformat()


def flow(at: int, visits: float) -> float:
    """People entering per ms around an instant of a day that brings so many ``visits``."""
    time = at % DAY
    if not OPENS <= time < LAST_ENTRY:
        return 0.0
    hours = demand.WEEKEND_HOURS if weekday(at) >= 5 else demand.WORKDAY_HOURS
    half_last = hours[-1] / 2
    return visits * hours[(time - OPENS) // HOUR] / (sum(hours) - half_last) / HOUR


class Shoppers:
    """The people of one store."""

    def __init__(self, body: Body, world: int) -> None:
        self._world, self._body = world, body
        shelves = body.shelves
        self._demand = Demand.of_rates(
            np.array([shelf.demand for shelf in shelves]),
            [shelf.category for shelf in shelves],
            np.array([shelf.life_days for shelf in shelves]),
            seed=body.seed,
            store_id=body.store_id,
            since=date.fromisoformat(body.since),
        )
        theme = np.array([_THEME_OF.get(shelf.category, len(THEMES)) for shelf in shelves])
        order = np.argsort(theme, kind="stable")
        #: Shelves by theme, and the theme of each place in that order.
        self._order, self._theme = order.tolist(), theme[order].tolist()
        #: Where each theme ends in it.
        self._ends = np.searchsorted(theme[order], np.arange(len(THEMES) + 1), side="right")
        self._index = {shelf.shelf_id: index for index, shelf in enumerate(shelves)}
        self._hours: dict[int, Hour] = {}
        self._visits: tuple[int, float] = (-1, 0.0)

    def visits(self, at: int) -> float:
        """Visits expected on the day of an instant: weekday, holidays, weather and trend are in it."""
        if self._visits[0] != at // DAY:
            self._visits = (at // DAY, self._body.visits_a_day * self._demand.traffic(date_of(at)))
        return self._visits[1]

    def arrivals(self, step: int, since: int, until: int, crowd: float = 1.0) -> list[int]:
        """Instants in (since, until] at which shoppers 0, 1, 2, ... of this step enter, in order.

        ``crowd``: factor of how many there are (scenarios).
        """
        rate = crowd * flow(since, self.visits(since))
        if not rate:
            return []
        random = numbers(self._world, step, 0)
        count = int(random.poisson(rate * (until - since)))
        instants = sorted(since + 1 + int(u * (until - since)) for u in random.random(count).tolist())
        return [at for at in instants if at % DAY <= LAST_ENTRY]

    def plan(self, step: int, number: int, enters: int, craved: int | None = None) -> Plan:
        """The plan of shopper ``number`` of a step; the same whenever it is asked for.

        ``craved``: index of a shelf whose product some take on top of what they came for (scenarios).
        """
        random = numbers(self._world, step, number + 1)
        u = random.random(6).tolist()
        hour, mission = self._hour(enters), _mission(u[0])
        low, high = mission.products
        wanted = max(1, int((low + int(u[1] * (high - low + 1))) * hour.size + u[4]))
        stay = int(MINUTE * (mission.minutes[0] + u[2] * (mission.minutes[1] - mission.minutes[0])))
        *draws, on_top = random.random((wanted + 1, 11)).tolist()
        errors = (random.standard_normal(wanted + 1) * SCALE_ERROR).tolist()
        chosen = self._basket(hour, mission, draws)
        if craved is not None and u[5] < FOLLOWERS:
            chosen.setdefault(craved, []).append(on_top)
            draws.append(on_top)
        first, span = enters + WALK, stay - 3 * WALK
        instants = sorted(first + int(draw[0] * span) for draw in draws)
        to_till = enters + stay - WALK
        actions = []
        # People walk the aisles in order, and come to each shelf once.
        for at, (shelf, of_shelf), error in zip(instants, sorted(chosen.items()), errors, strict=False):
            draw = of_shelf[0]
            choices = tuple(choice for each in of_shelf for choice in each[5 : 6 + bisect_right(UNITS, each[2])])
            actions.append(Action(at, TAKE, shelf, len(choices), choices, error, draw[10]))
            if draw[3] < PUTS_BACK:
                back = at + 1 + int(draw[4] * (to_till - at - 2))
                actions.append(Action(back, PUT_BACK, shelf, len(choices), (), -error / 2))
        return Plan(enters, tuple(sorted(actions)), to_till, int(u[3] * self._body.doors) + 1)

    def _basket(self, hour: Hour, mission: Mission, draws: list[list[float]]) -> dict[int, list[list[float]]]:
        """The draws by the shelf they fall on."""
        chosen: dict[int, list[list[float]]] = {}
        begin, end = 0.0, hour.cumulated[-1]
        for draw in draws:
            share = draw[1] * hour.cumulated[-1]
            if chosen and draw[9] < mission.together:
                share = begin + draw[1] * (end - begin)
            place = min(bisect_right(hour.cumulated, share), len(self._order) - 1)
            if not chosen:
                theme = self._theme[place]
                begin, end = hour.begins[theme], hour.begins[theme + 1]
            chosen.setdefault(self._order[place], []).append(draw)
        return chosen

    def _hour(self, at: int) -> Hour:
        name = at // HOUR
        found = self._hours.get(name)
        if found is None:
            for old in [old for old in self._hours if old < name - KEPT_HOURS]:
                del self._hours[old]
            found = self._hours[name] = self._make_hour(at)
        return found

    def _make_hour(self, at: int) -> Hour:
        day, model = date_of(at), self._demand
        offers = self._uplift(day)
        size = float((model.day(day) * offers).sum() / model.traffic(day) / model.rates.sum())
        shares = model.weights(day, min(max(at % DAY // HOUR, demand.OPENS), demand.CLOSES - 1)) * offers
        cumulated = np.cumsum(shares[self._order])
        begins = np.insert(cumulated, 0, 0.0)[np.insert(self._ends, 0, 0)]
        return Hour(cumulated.tolist(), begins.tolist(), size * USUAL_SIZE)

    def _uplift(self, day: date) -> demand.Rates:
        """What the week's offers do to each shelf's demand."""
        monday = (day - timedelta(days=day.weekday())).isoformat()
        factor = np.ones(len(self._body.shelves))
        for shelf_id, discount in self._body.weekly.get(monday, {}).items():
            if shelf_id in self._index:
                factor[self._index[shelf_id]] = uplift(discount)
        return factor


def _mission(draw: float) -> Mission:
    for mission in MISSIONS:
        if draw < mission.share:
            return mission
        draw -= mission.share
    return MISSIONS[-1]
