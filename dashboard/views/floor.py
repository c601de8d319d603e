"""The store map: what is drawn once (floor plan, shelves) and what changes with every reading."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dashboard.queries import Profile, StoreState
from dashboard.views import fill
from data.catalogue import load_catalogue
from data.layout import (
    Layout,
    ShelfPosition,
    aisle_labels,
    load_layout,
    place_shelves,
    wall_segments,
    zone_areas,
)

#: Side of a square shelf and of an aisle's gap in the plan made up for products without an aisle, metres.
CELL, GAP = 1.2, 2.4


@dataclass(frozen=True, eq=False)
class Floor:
    """A drawn floor: the order of the shelves, which the live values follow, and the drawing as JSON."""

    shelf_ids: tuple[str, ...]
    drawing: str


def floor(products: Mapping[str, Profile]) -> Floor:
    """The floor of one store; the same object for the same products."""
    return _floor(tuple(sorted(products.values(), key=lambda profile: profile.shelf_id)))


@lru_cache(maxsize=16)
def _floor(products: tuple[Profile, ...]) -> Floor:
    layout = load_layout()
    placed = {aisle.category for aisle in layout.aisles}
    if all(profile.category in placed for profile in products):
        shelves = place_shelves(layout, ((profile.shelf_id, profile.category) for profile in products))
        plan = _plan(layout)
    else:
        shelves, plan = arranged(products)
    by_id = {profile.shelf_id: profile for profile in products}
    plan["shelves"] = [_shelf(position, by_id[position.shelf_id]) for position in shelves]
    plan["ramps"] = {"light": fill.RAMP_LIGHT, "dark": fill.RAMP_DARK}
    drawing = json.dumps(plan, separators=(",", ":"), ensure_ascii=False)
    return Floor(tuple(position.shelf_id for position in shelves), drawing)


def _shelf(position: ShelfPosition, profile: Profile) -> list[Any]:
    place = (position.x, position.y, position.width, position.depth)
    product = (profile.item_name, profile.category.capitalize(), round(profile.item_price, 2))
    return [position.shelf_id, *(round(value, 2) for value in place), *product]


def _plan(layout: Layout) -> dict[str, Any]:
    storage = {zone.zone_id: zone.storage for zone in load_catalogue().zones}
    zones = zone_areas(layout)
    widths = {aisle.aisle: aisle.width for aisle in layout.aisles}
    labels = zip(layout.aisles, aisle_labels(layout), strict=True)
    return {
        "size": [layout.width, layout.height],
        "walls": wall_segments(layout),
        "doors": [[door.kind, *door.start, *door.end] for door in layout.doors],
        "boxes": [
            [zone.kind, _room(zone.name), storage.get(zone.zone_id or "", "ambient")]
            + [round(value, 2) for value in (zone.box.x0, zone.box.y0, zone.box.x1, zone.box.y1)]
            for zone in zones
        ],
        "labels": [[label.text, label.short, label.x, label.y, widths[aisle.aisle]] for aisle, label in labels],
    }


def _room(name: str) -> str:
    """One word for a room of the backroom: 'Cold store fish' is 'Fish', 'Freezer room' is 'Freezer'."""
    words = name.split()
    return (words[-1] if name.startswith("Cold store") else words[0]).capitalize()


def arranged(products: Iterable[Profile]) -> tuple[list[ShelfPosition], dict[str, Any]]:
    """A plain grid by category, for a store whose assortment is not that of the floor plan (a replayed one)."""
    by_category: dict[str, list[Profile]] = {}
    for profile in products:
        by_category.setdefault(profile.category, []).append(profile)
    total = sum(len(shelves) for shelves in by_category.values())
    columns = max(10, math.ceil(math.sqrt(total * 1.6)))
    rows = sum(math.ceil(len(shelves) / columns) for shelves in by_category.values())
    width = columns * CELL + 2 * GAP
    height = rows * CELL + (len(by_category) + 1) * GAP
    positions, labels, top = [], [], height - GAP
    for category, shelves in sorted(by_category.items()):
        labels.append([category.capitalize(), "", width / 2, round(top + GAP / 3, 2), columns * CELL])
        for index, profile in enumerate(sorted(shelves, key=lambda profile: profile.shelf_id)):
            x, y = GAP + (index % columns + 0.5) * CELL, top - (index // columns + 0.5) * CELL
            size = 0.9 * CELL
            positions.append(
                ShelfPosition(profile.shelf_id, profile.aisle, category, round(x, 2), round(y, 2), size, size)
            )
        top -= math.ceil(len(shelves) / columns) * CELL + GAP
    return positions, {"size": [width, height], "walls": [], "doors": [], "boxes": [], "labels": labels}


@lru_cache(maxsize=16)
def live_values(drawn: Floor, state: StoreState | None) -> str:
    """Stock, maximum, units in baskets and time of the last change by shelf, in the floor's order; null = no row."""
    rows = [state.rows.get(shelf_id) if state else None for shelf_id in drawn.shelf_ids]
    return json.dumps(
        {
            "stock": [row and row.current_stock for row in rows],
            "max": [row and row.max_stock for row in rows],
            "baskets": [row and row.in_baskets for row in rows],
            "changed": [row and int(row.last_update_ts.timestamp()) for row in rows],
        },
        separators=(",", ":"),
    )


def picked_shelf(value: object, products: Mapping[str, Profile]) -> str | None:
    """The shelf that a click, a search or a link names; None when there is no such shelf."""
    return value if isinstance(value, str) and value in products else None


def summary(state: StoreState | None, shelves: int) -> str:
    """The map in one sentence, for those who cannot see it."""
    if state is None or not state.rows:
        return f"Map of the store with {shelves} shelves; no stock is known yet."
    bands = [fill.band(row) for row in state.rows.values()]
    return (
        f"Map of the store with {shelves} shelves: {bands.count('empty')} are empty, "
        f"{bands.count('low')} are filled under 30 percent, {bands.count('full')} over 70 percent."
    )
