"""The floor plan: where walls, doors, tills and aisles are, and where every shelf stands.

Pure functions from the plan to plain data in metres (origin lower left, y upwards), for anything
that draws or walks the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from data.catalogue import Catalogue, load_catalogue
from data.yaml_source import Problem, Strict, bad_file, load
from smartshelf.errors import BadInput

LAYOUT_FILE = Path(__file__).with_name("store_layout.yaml")

#: Part of its place that a shelf fills, in width and depth; the rest separates it from its neighbours.
FILLED = 0.94

Metres = Annotated[float, Field(ge=0)]
Size = Annotated[float, Field(gt=0)]
Point = tuple[Metres, Metres]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle from (x0, y0), lower left, to (x1, y1), upper right."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share area; touching edges do not count."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def inside(self, other: Box) -> bool:
        """Whether no part of it lies outside ``other``."""
        return other.x0 <= self.x0 and other.y0 <= self.y0 and self.x1 <= other.x1 and self.y1 <= other.y1


class Line(Strict):
    """A straight wall."""

    model_config = ConfigDict(populate_by_name=True)

    name: str
    start: Point = Field(alias="from")
    end: Point = Field(alias="to")


class Door(Strict):
    """An opening in a wall."""

    model_config = ConfigDict(populate_by_name=True)

    door_id: str
    kind: Literal["entrance", "exit", "staff", "dock"]
    start: Point = Field(alias="from")
    end: Point = Field(alias="to")


class Rectangle(Strict):
    """A rectangle by its lower left corner."""

    x: Metres
    y: Metres
    width: Size
    height: Size

    @property
    def box(self) -> Box:
        return Box(self.x, self.y, self.x + self.width, self.y + self.height)


class Till(Rectangle):
    """A till."""

    till_id: str


class Area(Rectangle):
    """A part of the backroom and the zone whose temperature it has."""

    name: str
    zone_id: str


class Aisle(Rectangle):
    """An aisle with its rows of shelves, back to back in pairs."""

    aisle: Annotated[int, Field(ge=1)]
    category: str
    rows: Annotated[int, Field(ge=1)]


class Layout(Strict):
    """The whole plan."""

    schema_version: Literal[1]
    width: Size
    height: Size
    walls: tuple[Line, ...]
    doors: tuple[Door, ...]
    tills: tuple[Till, ...]
    areas: tuple[Area, ...]
    shelf_depth: Size
    label_height: Metres
    aisles: Annotated[tuple[Aisle, ...], Field(min_length=1)]

    @property
    def box(self) -> Box:
        return Box(0.0, 0.0, self.width, self.height)


@dataclass(frozen=True, slots=True)
class ShelfPosition:
    """A shelf seen from above: centre, width along the row, and depth."""

    shelf_id: str
    aisle: int
    category: str
    x: float
    y: float
    width: float
    depth: float

    @property
    def box(self) -> Box:
        half_width, half_depth = self.width / 2, self.depth / 2
        return Box(self.x - half_width, self.y - half_depth, self.x + half_width, self.y + half_depth)


@dataclass(frozen=True, slots=True)
class Label:
    """A text with its centre. ``short`` fits where ``text`` does not."""

    text: str
    short: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class ZoneArea:
    """A clickable aisle (kind ``aisle``), a part of the backroom (``backroom``) or a till (``till``)."""

    kind: Literal["aisle", "backroom", "till"]
    key: str
    name: str
    zone_id: str | None
    box: Box


def load_layout(path: Path = LAYOUT_FILE) -> Layout:
    """The checked plan. Raises BadInput naming file, line, value and remedy of every problem."""
    return _load(path.resolve(), path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> Layout:
    layout = load(path, Layout)
    if problems := list(_contradictions(layout)):
        raise bad_file(path, problems)
    return layout


def _contradictions(layout: Layout) -> Iterator[Problem]:
    seen: set[int] = set()
    for index, aisle in enumerate(layout.aisles):
        here = ("aisles", index)
        if aisle.aisle in seen:
            yield Problem((*here, "aisle"), f"aisle {aisle.aisle} is placed twice; keep one line.")
        seen.add(aisle.aisle)
        if not aisle.box.inside(layout.box):
            yield Problem(here, f"aisle {aisle.aisle} ({aisle.category}) reaches outside the walls; move or shrink it.")
        if aisle.height < layout.label_height + aisle.rows * layout.shelf_depth:
            yield Problem(
                (*here, "height"),
                f"aisle {aisle.aisle} is too shallow for {aisle.rows} rows. Found: {aisle.height}. "
                f"Use at least {layout.label_height + aisle.rows * layout.shelf_depth:.1f} m or fewer rows.",
            )
    for (_, first), (second_index, second) in combinations(enumerate(layout.aisles), 2):
        if first.box.overlaps(second.box):
            yield Problem(
                ("aisles", second_index), f"aisle {second.aisle} overlaps aisle {first.aisle}; move one of them."
            )


def place_shelves(layout: Layout, shelves: Iterable[tuple[str, str]]) -> list[ShelfPosition]:
    """Positions of (shelf id, category) pairs, in whatever order they come (a database's, say).

    A shelf's place depends on the set of shelves in its aisle only. Raises BadInput for a category
    without aisle.
    """
    by_category: dict[str, list[str]] = {}
    for shelf_id, category in shelves:
        by_category.setdefault(category, []).append(shelf_id)
    aisles = {aisle.category: aisle for aisle in layout.aisles}
    if homeless := sorted(set(by_category) - set(aisles)):
        raise BadInput(
            f"category without aisle: {', '.join(homeless)}",
            remedy=f"Give it a place under `aisles` in {LAYOUT_FILE.name}.",
        )
    return [
        position
        for aisle in layout.aisles
        for position in _in_aisle(layout, aisle, sorted(by_category.get(aisle.category, [])))
    ]


def _in_aisle(layout: Layout, aisle: Aisle, shelf_ids: list[str]) -> Iterator[ShelfPosition]:
    pairs = (aisle.rows + 1) // 2
    room = aisle.height - layout.label_height
    walkway = (room - aisle.rows * layout.shelf_depth) / pairs
    taken = 0
    for row in range(aisle.rows):
        here = shelf_ids[taken : taken + (len(shelf_ids) - taken + aisle.rows - row - 1) // (aisle.rows - row)]
        taken += len(here)
        y = aisle.y + (row // 2 + 0.5) * walkway + (row + 0.5) * layout.shelf_depth
        place = aisle.width / max(len(here), 1)
        for number, shelf_id in enumerate(here):
            yield ShelfPosition(
                shelf_id=shelf_id,
                aisle=aisle.aisle,
                category=aisle.category,
                x=round(aisle.x + (number + 0.5) * place, 4),
                y=round(y, 4),
                width=round(FILLED * place, 4),
                depth=round(FILLED * layout.shelf_depth, 4),
            )


def aisle_labels(layout: Layout) -> list[Label]:
    """The name of every aisle, centred in the strip kept free for it."""
    return [
        Label(
            text=f"{aisle.aisle} {aisle.category.capitalize()}",
            short=str(aisle.aisle),
            x=round(aisle.x + aisle.width / 2, 4),
            y=round(aisle.y + aisle.height - layout.label_height / 2, 4),
        )
        for aisle in layout.aisles
    ]


def zone_areas(layout: Layout, catalogue: Catalogue | None = None) -> list[ZoneArea]:
    """Everything with an area, to draw behind the shelves or to click on."""
    catalogue = catalogue or load_catalogue()
    zone_ids = {zone.zone: zone.zone_id for zone in catalogue.zones}
    zone_of = {category.category: zone_ids[category.zone] for category in catalogue.categories}
    return [
        *(
            ZoneArea("aisle", str(aisle.aisle), aisle.category, zone_of.get(aisle.category), aisle.box)
            for aisle in layout.aisles
        ),
        *(ZoneArea("backroom", area.name, area.name, area.zone_id, area.box) for area in layout.areas),
        *(ZoneArea("till", till.till_id, till.till_id, None, till.box) for till in layout.tills),
    ]


def wall_segments(layout: Layout) -> list[tuple[float, float, float, float]]:
    """Walls as (x0, y0, x1, y1), broken where a door is."""
    segments = []
    for wall in layout.walls:
        (x0, y0), (x1, y1) = sorted((wall.start, wall.end))
        along = 0 if y0 == y1 else 1
        at = (x0, y0)
        for door in sorted((sorted((d.start, d.end)) for d in layout.doors if _in_wall(d, wall)), key=lambda d: d[0]):
            segments.append((*at, *door[0]))
            at = door[1]
        if at[along] < (x1, y1)[along]:
            segments.append((*at, x1, y1))
    return segments


def _in_wall(door: Door, wall: Line) -> bool:
    low, high = sorted((wall.start, wall.end))
    return all(low[0] <= x <= high[0] and low[1] <= y <= high[1] for x, y in (door.start, door.end))
