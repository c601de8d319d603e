"""What people want to buy, by product, day and hour: the one model behind the year of history and the live store.

Shapes and their sources (figures are ours where no source is named):

- weekday and hour: J. Goodman, "Grocery Shopping: Who, Where and When" (Time Use Institute, 2008, American Time Use
  Survey) and E. Zeballos and K. Ralston, "Food-Related Time Use" (USDA ERS, 2019).
- long tail among the products of a category: log-normal, sigma 1.6 before room binds; more visible and cheaper
  products sell more.
- room: a shop gives best-sellers more room, so no product sells more than what a delivery can fill (backroom and half
  the shelf) holds for ``COVER_DAYS``; and it does not list perishables whose supplier batch outlasts their life ("fresh
  case cover", batch size over sales during shelf life: "Quantifying the potential to improve on food waste, freshness
  and sales", IJPE 2019).
- season: direction from Kantar Worldpanel (Scottish Grocer, "Liquid route to seasonal sales", 2015: beer +13 % and
  ice cream, soft drinks, fruit and salads up in the summer weeks), and hot drinks mirrored (CStore Products,
  "Embrace the Seasons", 2015); sweets, wines and spirits rise in December (FRED blog on alcohol sales, St. Louis Fed).
- holidays: Italian national holidays (Legge 260/1949 with its later changes, 4 October from 2026 by Legge 151/2025).
- price: T. Bijmolt, H. van Heerde, R. Pieters, "New Empirical Generalizations on the Determinants of Price Elasticity"
  (JMR 2005): -2.62 on average over 1,851 estimates; -2.0 here, since much of that is switching between brands on offer
  at once.
- substitution: M. Emmelhainz et al., "Consumer Responses to Retail Stock-outs" (Journal of Retailing, 1991): 20.5 %
  took another brand and 17.5 % another variety.
- weather-like noise: stationary AR(1) series for visits, for warmth and for each product; they are a function of the
  day, not of what was asked before.

Calling it from the live world: make ``Demand`` once; each hour ``weights(day, hour)`` is every product's share of what
is wanted (multiply by ``uplift(discount)``, normalise, draw products from it), and ``mean_visits`` x ``traffic(day)``
people come (weekday, holiday, weather and trend are in it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from hashlib import blake2b
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rates = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Units wanted a day (about 7,700 are sold, the rest is not found) and visits a day of a store with REFERENCE_SHELVES
#: shelves; both grow with the assortment.
UNITS_A_DAY, VISITS_A_DAY, REFERENCE_SHELVES = 7_750.0, 1_100.0, 1_142

OPENS, CLOSES = 7, 22
HOURS = CLOSES - OPENS
#: Share of the mean day by weekday from Monday.
WEEKDAYS = (0.955, 0.955, 0.97, 0.98, 1.03, 1.075, 1.035)
#: Relative flow by hour from 7 to 21; the last counts half, the last entry is at 21:30.
WORKDAY_HOURS = (3.0, 4.5, 6.0, 7.5, 9.0, 8.5, 6.5, 6.0, 8.0, 10.0, 9.5, 8.0, 6.0, 4.0, 2.5)
WEEKEND_HOURS = (2.0, 3.5, 6.5, 9.5, 11.0, 10.5, 8.5, 7.5, 7.5, 7.5, 7.0, 6.0, 4.5, 3.0, 2.0)

LONG_TAIL = 1.6
#: Exponent of a product's price relative to the median of its subcategory.
CHEAPER_SELLS = -0.5
#: No product sells more a day than its room holds for so many days (deliveries are two or three days apart).
COVER_DAYS = 3.5
#: A product sells its supplier batch within so many shelf lives on average, or would not be listed: a perishable, and
#: one that keeps, of which nobody lists what lies there for a year.
BATCH_WITHIN_LIFE, BATCH_WITHIN_LONG_LIFE = 1.5, 0.5
SHORT_LIFE_DAYS = 60

ELASTICITY = -2.0
#: A reduction for a near date moves less: willingness to pay for perishables falls as their date comes closer (M.
#: Tsiros and C. Heilman, "The Effect of Expiration Dates and Perceived Risk on Purchasing Behavior in Grocery Store
#: Perishable Categories", Journal of Marketing, 2005), and the reduction first has to make up for that.
MARKDOWN_ELASTICITY = -0.7
#: Share of people who take a product's neighbour when it is out of stock.
SUBSTITUTES = 0.38

HOLIDAY, EVE, EVE_OF_EVE = 0.86, 1.16, 1.06
#: The two weeks before Christmas draw more people.
ADVENT = 1.08
#: Growth a year.
TREND = 0.02
VISITS_NOISE, VISITS_MEMORY = 0.035, 0.55
WARMTH_MEMORY = 0.75
#: A product's own ups and downs (a dish in fashion, a neighbour's offer, salads in the sun): size for goods that keep
#: and for perishables, and what is left of them the next day.
FASHION_NOISE, FASHION_NOISE_FRESH, FASHION_MEMORY = 0.25, 0.50, 0.92

#: Season by category: amplitude of a yearly cosine, month of its peak (1-12, fractions allowed), factor in December
#: from the 8th on, and effect of one standard deviation of warmth.
SEASONS: Mapping[str, tuple[float, float, float, float]] = {
    "BEVERAGES": (0.20, 7.5, 1.05, 0.05),
    "BEERS": (0.25, 7.5, 1.00, 0.06),
    "WINES": (-0.05, 7.5, 1.45, 0.0),
    "SPIRITS AND APERITIFS": (0.05, 7.0, 1.60, 0.0),
    "FRUITS AND VEGETABLES": (0.07, 7.0, 1.00, 0.01),
    "FROZEN": (0.18, 7.5, 1.00, 0.05),
    "SWEETS AND BREAKFAST": (0.08, 1.0, 1.30, -0.02),
    "HOT BEVERAGES": (0.20, 1.0, 1.05, -0.04),
    "SAVORY SNACKS": (0.10, 7.5, 1.20, 0.02),
    "MEAT": (0.04, 1.0, 1.10, -0.01),
    "FISH": (0.03, 7.0, 1.25, 0.0),
    "FLOURS AND SUGAR": (0.12, 1.0, 1.25, -0.02),
    "REFRIGERATED": (0.04, 7.0, 1.05, 0.01),
    "LONG-LIFE FRUIT": (0.06, 1.0, 1.35, 0.0),
    "CANNED GOODS": (0.05, 1.0, 1.00, -0.01),
    "HOUSE CLEANING PRODUCTS": (0.05, 4.5, 1.00, 0.0),
}
#: Categories bought rather early (negative) or late in the day: exponent per seven hours around 14:00.
HOUR_TILT: Mapping[str, float] = {
    "BREAD AND BREADSTICKS": -0.25,
    "FRUITS AND VEGETABLES": -0.15,
    "FISH": -0.35,
    "MEAT": -0.15,
    "BEERS": 0.30,
    "WINES": 0.20,
    "SPIRITS AND APERITIFS": 0.20,
    "SAVORY SNACKS": 0.25,
    "FROZEN": 0.15,
}

_HOLIDAYS = ((1, 1), (1, 6), (4, 25), (5, 1), (6, 2), (8, 15), (11, 1), (12, 8), (12, 25), (12, 26))
_SAINT_FRANCIS, _SAINT_FRANCIS_SINCE = (10, 4), 2026
_AR_TERMS = 32
_STANDARD = NormalDist()


def easter(year: int) -> date:
    """Easter Sunday (the anonymous Gregorian computus)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


@lru_cache(maxsize=16)
def holidays(year: int) -> frozenset[date]:
    """Italian national holidays."""
    fixed = [date(year, month, day) for month, day in _HOLIDAYS]
    if year >= _SAINT_FRANCIS_SINCE:
        fixed.append(date(year, *_SAINT_FRANCIS))
    sunday = easter(year)
    return frozenset([*fixed, sunday, sunday + timedelta(days=1)])


def is_holiday(day: date) -> bool:
    """Whether ``day`` is an Italian national holiday."""
    return day in holidays(day.year)


def calendar_factor(day: date) -> float:
    """Visits relative to the mean day: weekday, holidays and the days before them, Advent."""
    factor = WEEKDAYS[day.weekday()]
    if is_holiday(day):
        factor *= HOLIDAY
    elif is_holiday(day + timedelta(days=1)):
        factor *= EVE
    elif is_holiday(day + timedelta(days=2)):
        factor *= EVE_OF_EVE
    if day.month == 12 and 11 <= day.day <= 24:
        factor *= ADVENT
    return factor


def season(categories: Sequence[str], day: date, warmth: float = 0.0) -> Rates:
    """Factor of each category on a day; ``warmth``: deviation from the usual temperature, standard deviations."""
    month = day.month + (day.day - 1) / 31
    flat = (0.0, 1.0, 1.0, 0.0)
    shape = np.array([SEASONS.get(category, flat) for category in categories], dtype=np.float64).reshape(-1, 4)
    wave = 1 + shape[:, 0] * np.cos(2 * math.pi * (month - shape[:, 1]) / 12)
    if day.month == 12 and day.day >= 8:
        wave = wave * shape[:, 2]
    return wave * np.exp(shape[:, 3] * warmth)


def hours(categories: Sequence[str], weekday: int) -> Rates:
    """Share of a day's demand by category (rows) and open hour (columns); rows sum to 1."""
    flow = np.array(WEEKEND_HOURS if weekday >= 5 else WORKDAY_HOURS)
    flow[-1] /= 2
    tilt = np.array([HOUR_TILT.get(category, 0.0) for category in categories])
    shape = flow * np.exp(tilt[:, None] * (np.arange(OPENS, CLOSES) - 14) / 7)
    return shape / shape.sum(axis=1, keepdims=True)


def uplift(discount: Any, elasticity: float = ELASTICITY) -> Any:
    """Demand at a discount (0-1) relative to the list price: (1 - discount) ^ elasticity."""
    return (1 - np.asarray(discount)) ** elasticity


def liking(product_ids: Iterable[str]) -> Rates:
    """How much each product is liked, standard normal: of the product alone, so that it sells alike in every store."""
    return np.array([_normal(product.encode()) for product in product_ids])


def substitutes(group: Codes, price: Rates) -> Codes:
    """For every product the one people take instead: the next dearer of its group, the next cheaper for the dearest.

    A product without neighbours is its own: nobody substitutes it.
    """
    order = np.lexsort((price, group))
    grouped, place = group[order], np.arange(len(order))
    dearer = np.append(grouped[1:] == grouped[:-1], False)
    cheaper = np.insert(grouped[1:] == grouped[:-1], 0, False)
    neighbour = np.where(dearer, place + 1, np.where(cheaper, place - 1, place))
    chosen = np.empty(len(order), dtype=np.int64)
    chosen[order] = order[neighbour]
    return chosen


@dataclass(frozen=True, eq=False)
class Products:
    """Columns over shelves that demand depends on; units, days, EUR."""

    product_id: Sequence[str]
    category: Sequence[str]
    subcategory: Sequence[str]
    price: Rates
    visibility: Rates
    #: What a delivery can fill (``fillable``).
    room: Rates
    batch: Codes
    shelf_life_days: Codes


def fillable(maximum_stock: Codes, warehouse_capacity: Codes) -> Rates:
    """Units a delivery can bring in: the backroom, and half the shelf, which is refilled only when it is low."""
    return warehouse_capacity + maximum_stock / 2


def base_rates(products: Products, popularity: Mapping[str, float]) -> Rates:
    """Units a day of each product at list price on a mean day; together UNITS_A_DAY for 1,142 shelves.

    ``popularity``: each category's share of units (any scale); one that is not named gets the mean of those that are.
    Within a category room and batch bind (COVER_DAYS, BATCH_WITHIN_LIFE); what that cuts or adds is shared by the rest.
    """
    names, code = np.unique(np.asarray(products.category), return_inverse=True)
    usual = sum(popularity.values()) / len(popularity) if popularity else 1.0
    share = np.array([popularity.get(name, usual) for name in names.tolist()])
    wanted = share / share.sum() * UNITS_A_DAY * len(code) / REFERENCE_SHELVES
    appeal = np.maximum(products.visibility, 0.01) * np.exp(LONG_TAIL * liking(products.product_id))
    appeal = appeal * (products.price / _median(products)) ** CHEAPER_SELLS
    most = products.room / COVER_DAYS
    is_short = products.shelf_life_days <= SHORT_LIFE_DAYS
    lives = np.where(is_short, BATCH_WITHIN_LIFE, BATCH_WITHIN_LONG_LIFE)
    least = np.minimum(products.batch / (lives * products.shelf_life_days), most)
    rates = np.empty(len(code))
    for category, total in enumerate(wanted.tolist()):
        rows = np.flatnonzero(code == category)
        rates[rows] = _bounded(appeal[rows], least[rows], most[rows], total)
    return rates


def _median(products: Products) -> Rates:
    _, code = np.unique(np.asarray(products.subcategory), return_inverse=True)
    order = np.lexsort((products.price, code))
    sizes = np.bincount(code)
    middle = order[np.cumsum(sizes) - sizes + sizes // 2]
    return products.price[middle][code]


def _bounded(appeal: Rates, least: Rates, most: Rates, total: float) -> Rates:
    """Proportional to appeal within bounds, summing to ``total`` as far as the bounds let it."""
    low, high = 0.0, max(float((most / appeal).max()), 1e-12)
    for _ in range(60):
        middle = (low + high) / 2
        if np.clip(middle * appeal, least, most).sum() < total:
            low = middle
        else:
            high = middle
    return np.clip(high * appeal, least, most)


class Demand:
    """What one store's customers want: the same for the same seed, store and day, in whatever order days are asked.

    Columns are over the products in the order given, which is part of the seed: history and live world both take the
    profiles in the catalogue's order.
    """

    def __init__(
        self, products: Products, popularity: Mapping[str, float], *, seed: int, store_id: str, since: date
    ) -> None:
        """``since``: the day from which the trend counts, a year before the store opens."""
        rates = base_rates(products, popularity)
        self._begin(rates, products.category, products.shelf_life_days, f"{seed}/{store_id}", since)

    @classmethod
    def of_rates(
        cls, rates: Rates, category: Sequence[str], shelf_life_days: Codes, *, seed: int, store_id: str, since: date
    ) -> Demand:
        """The same for a store whose base rates are known already: the live world keeps them with its shelves."""
        demand = cls.__new__(cls)
        demand._begin(rates, category, shelf_life_days, f"{seed}/{store_id}", since)
        return demand

    def _begin(self, rates: Rates, category: Sequence[str], shelf_life_days: Codes, key: str, since: date) -> None:
        self.rates = rates
        names, self.category = np.unique(np.asarray(category), return_inverse=True)
        self.categories: list[str] = names.tolist()
        self.mean_visits = VISITS_A_DAY * len(self.rates) / REFERENCE_SHELVES
        self._since = since
        self._key = key
        fading = FASHION_MEMORY ** np.arange(_AR_TERMS)
        self._swing = np.where(shelf_life_days <= SHORT_LIFE_DAYS, FASHION_NOISE_FRESH, FASHION_NOISE)
        self._fading = fading / math.sqrt(float((fading**2).sum()))
        self._recent: dict[int, Rates] = {}
        self._hours = {kind: hours(self.categories, kind) for kind in (0, 5)}

    def traffic(self, day: date) -> float:
        """Visits relative to the mean day of the first year."""
        growth = (1 + TREND) ** ((day - self._since).days / 365 - 0.5)
        return calendar_factor(day) * growth * math.exp(VISITS_NOISE * self.weather("visits", day, VISITS_MEMORY))

    def warmth(self, day: date) -> float:
        """Deviation from the usual temperature of the season, standard deviations."""
        return self.weather("warmth", day, WARMTH_MEMORY)

    def fashion(self, day: date) -> Rates:
        """Factor of each product's own ups and downs, which last for weeks; 1 on average."""
        today = day.toordinal()
        wave = self._fading @ np.stack([self._whims(today - back) for back in range(_AR_TERMS)])
        return np.exp(self._swing * wave - self._swing**2 / 2)

    def day(self, day: date) -> Rates:
        """Units wanted of each product on ``day``, expected, at list price."""
        mix = season(self.categories, day, self.warmth(day))
        return self.rates * self.traffic(day) * mix[self.category] * self.fashion(day)

    def hours(self, day: date) -> Rates:
        """Share of each category's day by open hour: (categories, hours); ``category`` has each product's row."""
        return self._hours[5 if day.weekday() >= 5 else 0]

    def weights(self, day: date, hour: int) -> Rates:
        """Share of each product in what is wanted in an open hour (7-21) of ``day``, at list price; sums to 1."""
        mix = season(self.categories, day, self.warmth(day)) * self.hours(day)[:, hour - OPENS]
        wanted = self.rates * mix[self.category] * self.fashion(day)
        return wanted / wanted.sum()

    def _whims(self, day: int) -> Rates:
        """Standard normal numbers of one day, one per product; those of the last days are kept."""
        if day not in self._recent:
            if len(self._recent) > 4 * _AR_TERMS:
                self._recent.clear()
            key = int.from_bytes(blake2b(f"{self._key}/fashion".encode(), digest_size=8).digest(), "little")
            random = np.random.Generator(np.random.Philox(key=[key, day]))
            self._recent[day] = random.standard_normal(len(self.rates))
        return self._recent[day]

    def weather(self, name: str, day: date, memory: float) -> float:
        """Standard normal noise of a day, ``memory`` the correlation with the day before."""
        today = day.toordinal()
        terms = (memory**back * _shock(f"{self._key}/{name}", today - back) for back in range(_AR_TERMS))
        return math.sqrt(1 - memory**2) * sum(terms)


@lru_cache(maxsize=4096)
def _shock(key: str, day: int) -> float:
    return _normal(f"{key}/{day}".encode())


def _normal(name: bytes) -> float:
    """A standard normal number that belongs to a name."""
    digest = int.from_bytes(blake2b(name, digest_size=8).digest(), "little")
    return _STANDARD.inv_cdf((digest + 0.5) / 2**64)
