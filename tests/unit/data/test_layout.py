"""The floor plan: every shelf has a place of its own inside the walls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from data.catalogue import expand, load_catalogue
from data.layout import (
    LAYOUT_FILE,
    Box,
    ShelfPosition,
    aisle_labels,
    load_layout,
    place_shelves,
    wall_segments,
    zone_areas,
)
from smartshelf.errors import BadInput

LAYOUT = load_layout()
CATALOGUE = load_catalogue()


def positions(scale: float = 1.0) -> list[ShelfPosition]:
    profiles = expand(CATALOGUE, scale)
    return place_shelves(LAYOUT, zip(profiles.shelf_id.tolist(), profiles.category.tolist(), strict=True))


POSITIONS = positions()


def overlapping(boxes: list[Box]) -> int:
    corners = np.array([(box.x0, box.y0, box.x1, box.y1) for box in boxes])
    x0, y0, x1, y1 = corners.T
    touching = (x0[:, None] < x1) & (x0 < x1[:, None]) & (y0[:, None] < y1) & (y0 < y1[:, None])
    return int(touching.sum() - len(boxes))


@pytest.mark.parametrize("scale", [0.1, 1, 2.5])
def test_no_two_shelves_overlap(scale: float) -> None:
    assert overlapping([position.box for position in positions(scale)]) == 0


def test_every_shelf_stands_in_its_aisle_below_the_label() -> None:
    aisles = {aisle.category: aisle for aisle in LAYOUT.aisles}
    assert len(POSITIONS) == 1_142
    for position in POSITIONS:
        box = aisles[position.category].box
        assert position.box.inside(Box(box.x0, box.y0, box.x1, box.y1 - LAYOUT.label_height))


def test_aisles_tills_and_backroom_lie_inside_the_walls_and_apart() -> None:
    boxes = [area.box for area in zone_areas(LAYOUT, CATALOGUE)]
    assert all(box.inside(LAYOUT.box) for box in boxes)
    assert overlapping(boxes) == 0


def test_every_aisle_has_a_label_of_its_own_in_its_area() -> None:
    labels = {label.short: label for label in aisle_labels(LAYOUT)}
    assert len(labels) == 29
    for aisle in LAYOUT.aisles:
        label = labels[str(aisle.aisle)]
        assert Box(label.x, label.y, label.x, label.y).inside(aisle.box)
        assert aisle.category.lower() in label.text.lower()


def test_the_plan_knows_the_catalogue() -> None:
    assert {(a.aisle, a.category) for a in LAYOUT.aisles} == {(c.aisle, c.category) for c in CATALOGUE.categories}
    assert {area.zone_id for area in LAYOUT.areas} == {zone.zone_id for zone in CATALOGUE.zones}


def test_the_plan_fits_a_screen() -> None:
    assert LAYOUT.width / LAYOUT.height == pytest.approx(4 / 3, abs=0.1)
    assert min(position.width for position in POSITIONS) > 0.6


def test_a_place_does_not_depend_on_the_order_in_which_shelves_come() -> None:
    shelves = [(position.shelf_id, position.category) for position in POSITIONS]
    assert place_shelves(LAYOUT, reversed(shelves)) == POSITIONS


def test_walls_are_open_where_doors_are() -> None:
    length = sum(abs(x1 - x0) + abs(y1 - y0) for x0, y0, x1, y1 in wall_segments(LAYOUT))
    doors = sum(abs(d.end[0] - d.start[0]) + abs(d.end[1] - d.start[1]) for d in LAYOUT.doors)
    walls = sum(abs(w.end[0] - w.start[0]) + abs(w.end[1] - w.start[1]) for w in LAYOUT.walls)
    assert length == pytest.approx(walls - doors)


def test_a_shelf_of_an_unplaced_category_is_refused() -> None:
    with pytest.raises(BadInput, match="category without aisle: GARDEN"):
        place_shelves(LAYOUT, [("GARDEN0001", "GARDEN")])


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("aisles", 0, "x"), 59.0, "reaches outside the walls"),
        (("aisles", 1, "x"), 2.0, "overlaps aisle 29"),
        (("aisles", 1, "aisle"), 29, "aisle 29 is placed twice"),
        (("aisles", 0, "rows"), 40, "too shallow for 40 rows"),
        (("aisles", 0, "width"), -1, "`width`"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, place: tuple[Any, ...], value: Any, said: str
) -> None:
    content = yaml.load(LAYOUT_FILE.read_text(), Loader=yaml.CSafeLoader)
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path = tmp_path / "store_layout.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(BadInput, match=r"store_layout\.yaml line") as refused:
        load_layout(path)
    assert said in str(refused.value)
