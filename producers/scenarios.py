"""What a presenter may break on purpose: each switch a class that bends one thing the world does.

Off by default. A switch is an input of the world: it takes effect at a step's boundary, is saved with the world before
the step begins, and what it then does is a function of (seed, store, switch, step, shopper). What really happened goes
to the topic ``world_truth``, which no decision may read.

To add one: a class here. It overrides those of the hooks that it bends; ``effects`` tells what it does from the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.body import Body, ZoneBody
from producers.pos import Item
from producers.randomness import numbers, store_key
from producers.shoppers import DAY, HOUR, iso_date, weekday


class Effect(NamedTuple):
    """Ground truth told when a switch is turned on: a shelf's index, if it concerns one, and what is done to it."""

    shelf: int | None
    detail: str


class Scenario:
    """One switch of one store. Hooks that are not overridden change nothing; times are simulated ms since 1970."""

    name: ClassVar[str]
    about: ClassVar[str]

    def __init__(self, body: Body) -> None:
        self.body = body
        self.key = store_key(body.seed, f"{body.store_id}/{self.name}")

    def effects(self, since: int) -> Iterator[Effect]:  # noqa: ARG002
        """What it does from the moment on at which it was turned on."""
        yield from ()

    def crowd(self) -> float:
        """Factor of the people coming in."""
        return 1.0

    def craved(self, since: int) -> int | None:  # noqa: ARG002
        """Index of a shelf whose product many people take on top of what they came for."""
        return None

    def unpaid(self, step: int, shopper: int, basket: list[Item]) -> list[int]:  # noqa: ARG002
        """Units of each item of a basket that pass the till without being paid."""
        return [0] * len(basket)

    def weighed(self, shelf: int, grams: float) -> float | None:  # noqa: ARG002
        """What the scale says instead of ``grams``; None: nothing."""
        return grams

    def late(self, order: int) -> int:  # noqa: ARG002
        """Ms by which an order (a number that belongs to it) comes late."""
        return 0

    def delivered(self, order: int, units: int) -> int:  # noqa: ARG002
        """Units that come of an order."""
        return units

    def reading(self, zone: ZoneBody, since: int, at: int, reading: tuple[float, float]) -> tuple[float, float]:  # noqa: ARG002
        """Temperature (Celsius) and kWh of a zone."""
        return reading

    def chance(self, step: int, number: int) -> NDArray[np.float64]:
        """Numbers 0-1 that belong to a step and a number in it."""
        return numbers(self.key, step, number).random(64)


class _SomeShelves(Scenario):
    """Concerns a share of the shelves, always the same."""

    share: ClassVar[float]

    @cached_property
    def bias(self) -> dict[int, float]:
        """Index of each shelf concerned, with a number of its own from -1 to 1."""
        draws = numbers(self.key, 0, 0).random((len(self.body.shelves), 2))
        chosen = np.flatnonzero(draws[:, 0] <= max(self.share, draws[:, 0].min()))
        return dict(zip(chosen.tolist(), (2 * draws[chosen, 1] - 1).tolist(), strict=True))


class Theft(Scenario):
    """Some people hide part of what they took."""

    name = "theft"
    about = "One shopper in 25 hides half of the basket and pays only the rest."
    thieves = 0.04

    def unpaid(self, step: int, shopper: int, basket: list[Item]) -> list[int]:
        draws = self.chance(step, shopper)
        if draws[0] >= self.thieves:
            return [0] * len(basket)
        return [item.quantity if draws[1 + place % 63] < 0.5 else 0 for place, item in enumerate(basket)]


class MisScan(Scenario):
    """Units that pass the scanner without a beep."""

    name = "mis-scan"
    about = "The tills miss one product in 60."
    missed = 1 / 60

    def unpaid(self, step: int, shopper: int, basket: list[Item]) -> list[int]:
        draws = self.chance(step, shopper)
        return [int(draws[place % 64] < self.missed) for place in range(len(basket))]


class SensorDrift(_SomeShelves):
    """Scales whose zero wanders with every movement."""

    name = "sensor-drift"
    about = "One scale in 20 is wrong by up to 15 g at every movement, always the same way."
    share = 0.05
    grams = 15.0

    def effects(self, since: int) -> Iterator[Effect]:  # noqa: ARG002
        for shelf, bias in self.bias.items():
            yield Effect(shelf, f"{bias * self.grams:+.1f} g a movement")

    def weighed(self, shelf: int, grams: float) -> float | None:
        return grams + self.bias.get(shelf, 0.0) * self.grams


class SensorSilence(_SomeShelves):
    """Scales that say nothing."""

    name = "sensor-silence"
    about = "One scale in 30 sends no weights."
    share = 1 / 30

    def effects(self, since: int) -> Iterator[Effect]:  # noqa: ARG002
        for shelf in self.bias:
            yield Effect(shelf, "silent")

    def weighed(self, shelf: int, grams: float) -> float | None:
        return None if shelf in self.bias else grams


class LateDelivery(Scenario):
    """Lorries in a jam."""

    name = "late-delivery"
    about = "One order in two comes 4 to 28 hours late."

    def late(self, order: int) -> int:
        draws = self.chance(0, order)
        return int((4 + 24 * draws[1]) * HOUR) if draws[0] < 0.5 else 0


class ShortDelivery(Scenario):
    """Suppliers who send less than was ordered."""

    name = "short-delivery"
    about = "One order in two brings 30 to 90 % of what was ordered."

    def delivered(self, order: int, units: int) -> int:
        draws = self.chance(0, order)
        return int(units * (0.3 + 0.6 * draws[1])) if draws[0] < 0.5 else units


class RushHour(Scenario):
    """Everybody at once."""

    name = "rush-hour"
    about = "Two and a half times as many people come in."

    def crowd(self) -> float:
        return 2.5


class ColdChainFailure(Scenario):
    """A compressor gives up."""

    name = "cold-chain-failure"
    about = "One cold zone loses its compressor and warms towards 20 degrees; it is cold again when switched off."
    room_c, hours = 20.0, 5.0

    @cached_property
    def broken(self) -> ZoneBody | None:
        """The zone."""
        cold = [zone for zone in self.body.zones if zone.target_c < 10]
        return cold[int(self.chance(0, 0)[0] * len(cold))] if cold else None

    def effects(self, since: int) -> Iterator[Effect]:  # noqa: ARG002
        if self.broken:
            yield Effect(None, f"{self.broken.zone_id} without compressor")

    def reading(self, zone: ZoneBody, since: int, at: int, reading: tuple[float, float]) -> tuple[float, float]:
        if zone != self.broken:
            return reading
        warmed = 1 - math.exp(-(at - since) / HOUR / self.hours)
        return reading[0] + (self.room_c - zone.target_c) * warmed, reading[1] * 0.05


class ViralPromotion(Scenario):
    """A product that everybody talks about."""

    name = "viral-promotion"
    about = "One shopper in five takes a product of the weekly offers on top."

    def craved(self, since: int) -> int | None:
        offers = self.body.weekly.get(iso_date(since - weekday(since) * DAY), {})
        listed = [place for place, shelf in enumerate(self.body.shelves) if shelf.shelf_id in offers or not offers]
        return listed[int(self.chance(since // DAY, 0)[0] * len(listed))] if listed else None

    def effects(self, since: int) -> Iterator[Effect]:
        if (shelf := self.craved(since)) is not None:
            yield Effect(shelf, "one shopper in five takes it")


#: Every switch by name.
SCENARIOS: dict[str, type[Scenario]] = {
    kind.name: kind
    for kind in (
        Theft,
        MisScan,
        SensorDrift,
        SensorSilence,
        LateDelivery,
        ShortDelivery,
        RushHour,
        ColdChainFailure,
        ViralPromotion,
    )
}


class Switches:
    """Which scenarios are on in which steps, of one store; ``past``: name -> [first step, first step without]."""

    def __init__(self, body: Body, past: dict[str, list[tuple[int, int | None]]] | None = None) -> None:
        self.past = past or {}
        self._kinds = {name: kind(body) for name, kind in SCENARIOS.items()}

    def on(self, step: int) -> list[tuple[Scenario, int]]:
        """The scenarios of a step, each with the step since which it is on."""
        return [
            (self._kinds[name], first)
            for name, spans in sorted(self.past.items())
            for first, end in spans
            if name in self._kinds and first <= step and (end is None or step < end)
        ]

    def turn(self, wanted: frozenset[str], step: int, oldest: int) -> Switches | None:
        """As they are when just ``wanted`` are on from ``step`` on; None when they are already.

        What ended before step ``oldest`` is forgotten.
        """
        known = wanted & SCENARIOS.keys()
        now = {name for name, spans in self.past.items() if spans and spans[-1][1] is None}
        if now == known:
            return None
        past = {
            name: [span for span in spans if span[1] is None or span[1] >= oldest] for name, spans in self.past.items()
        }
        for name in now - known:
            first, _ = past[name].pop()
            # What is taken back before its step was never on.
            past[name] += [(first, step)] if first < step else []
        for name in known - now:
            spans = past.setdefault(name, [])
            first = spans.pop()[0] if spans and spans[-1][1] == step else step
            spans.append((first, None))
        turned = Switches.__new__(Switches)
        turned.past, turned._kinds = {name: spans for name, spans in past.items() if spans}, self._kinds
        return turned

    def turned_at(self, step: int) -> list[tuple[Scenario, bool]]:
        """What was turned on (True) or off at the beginning of a step."""
        return [
            (self._kinds[name], first == step)
            for name, spans in sorted(self.past.items())
            for first, end in spans
            if name in self._kinds and step in (first, end)
        ]
