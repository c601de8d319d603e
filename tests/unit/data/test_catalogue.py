"""The assortment: what the file must say, and what a shelf profile is."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml

from data.catalogue import CATALOGUE_FILE, expand, load_catalogue
from smartshelf.contracts.rows import ShelfProfile
from smartshelf.errors import BadInput

CATALOGUE = load_catalogue()
PROFILES = expand(CATALOGUE)


WHOLE_FILE = yaml.load(CATALOGUE_FILE.read_text(), Loader=yaml.CSafeLoader)


def written(tmp_path: Path, change: Any) -> Path:
    """A catalogue of three aisles, the last one FISH, with one change."""
    content = copy.deepcopy({**WHOLE_FILE, "categories": [WHOLE_FILE["categories"][aisle] for aisle in (0, 1, 28)]})
    change(content)
    path = tmp_path / "catalogue.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as refused:
        load_catalogue(path)
    return str(refused.value)


def test_the_store_has_its_shelves_aisles_and_subcategories() -> None:
    assert len(PROFILES) == 1_142
    assert len(set(PROFILES.aisle.tolist())) == len(set(PROFILES.category.tolist())) == 29
    assert len(set(zip(PROFILES.category.tolist(), PROFILES.subcategory.tolist(), strict=True))) == 278
    assert len({shelf[:6] for shelf in PROFILES.shelf_id.tolist()}) == 244


def test_fresh_food_is_four_categories_and_150_shelves() -> None:
    assert CATALOGUE.fresh_categories == {"MEAT", "FISH", "FRUITS AND VEGETABLES", "REFRIGERATED"}
    assert np.isin(PROFILES.category, list(CATALOGUE.fresh_categories)).sum() == 150


def test_shelf_ids_are_unique_and_made_of_prefix_and_number() -> None:
    assert len(set(PROFILES.shelf_id.tolist())) == len(PROFILES)
    assert all(len(shelf) == 10 and shelf[:6].isupper() and shelf[6:].isdigit() for shelf in PROFILES.shelf_id.tolist())
    assert "BEVWAT0001" in PROFILES.shelf_id


def test_subcategories_that_share_a_prefix_share_its_numbers() -> None:
    sparkling = sorted(shelf for shelf in PROFILES.shelf_id.tolist() if shelf.startswith("WINSPA"))
    assert sparkling == [f"WINSPA{number:04d}" for number in range(1, 24)]


def test_every_product_has_a_name_of_its_own() -> None:
    assert max(Counter(PROFILES.item_name.tolist()).values()) == 1


def test_capacities_have_the_means_of_the_reference() -> None:
    assert PROFILES.maximum_stock.mean() == pytest.approx(48, abs=0.5)
    assert PROFILES.warehouse_capacity.mean() == pytest.approx(306, abs=1)
    assert (PROFILES.warehouse_capacity >= PROFILES.standard_batch_size).all()


def test_every_profile_satisfies_the_contract() -> None:
    columns = {name: column.tolist() for name, column in PROFILES.columns().items()}
    rows = [
        dict(zip(columns, values, strict=True)) | {"store_id": "S01"} for values in zip(*columns.values(), strict=True)
    ]
    assert len(msgspec.convert(rows, list[ShelfProfile])) == 1_142


def test_prices_and_weights_stay_within_their_subcategory() -> None:
    ranges = {(c.category, s.name): s for c in CATALOGUE.categories for s in c.subcategories}
    for category, name, weight, price in zip(
        PROFILES.category.tolist(),
        PROFILES.subcategory.tolist(),
        PROFILES.item_weight.tolist(),
        PROFILES.item_price.tolist(),
        strict=True,
    ):
        subcategory = ranges[category, name]
        assert subcategory.weight_g[0] <= weight <= subcategory.weight_g[1]
        assert subcategory.price_eur[0] <= price <= subcategory.price_eur[1]
        assert price == round(price, 2)
    assert (PROFILES.item_cost < PROFILES.item_price).all()
    assert PROFILES.item_visibility.min() >= 0.05
    assert PROFILES.item_visibility.max() <= 0.20


def test_frozen_food_keeps_for_months_and_eggs_for_28_days() -> None:
    frozen = PROFILES.storage_zone == "frozen"
    assert frozen.sum() == 31
    assert PROFILES.shelf_life_days[frozen].min() >= 180
    assert set(PROFILES.shelf_life_days[PROFILES.subcategory == "Eggs"].tolist()) == {28}
    fish = np.isin(PROFILES.subcategory, ["Fresh Fish", "Shellfish"])
    assert PROFILES.shelf_life_days[fish].max() <= 8


def test_a_larger_store_keeps_every_product_of_the_smaller_one() -> None:
    smaller = {row[0]: row for row in zip(*(c.tolist() for c in PROFILES.columns().values()), strict=True)}
    double = expand(CATALOGUE, 2)
    larger = {row[0]: row for row in zip(*(c.tolist() for c in double.columns().values()), strict=True)}
    assert len(larger) == 2 * len(smaller)
    assert smaller.items() <= larger.items()


def test_a_part_of_a_store_has_every_category_in_proportion() -> None:
    tenth = expand(CATALOGUE, 0.1)
    assert len(tenth) == 114
    assert set(tenth.shelf_id.tolist()) <= set(PROFILES.shelf_id.tolist())
    assert set(tenth.category.tolist()) == set(PROFILES.category.tolist())


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 101, 0.0001])
def test_a_scale_that_makes_no_store_is_refused(scale: float) -> None:
    with pytest.raises(BadInput, match="scale"):
        expand(CATALOGUE, scale)


def test_a_category_without_aisle_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, lambda c: c["categories"][2].pop("aisle"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "category: FISH" in text)
    assert f"catalogue.yaml line {line}: category without aisle: FISH" in refusal(path)


def test_a_duplicate_shelf_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path, lambda c: c["categories"][0]["subcategories"].append(c["categories"][0]["subcategories"][0])
    )
    assert "duplicate shelf: subcategory Cola Soft Drinks is listed twice in BEVERAGES" in refusal(path)


def set_to(*place: Any, value: Any) -> Any:
    def change(content: Any) -> None:
        for part in place[:-1]:
            content = content[part]
        content[place[-1]] = value

    return change


PAIR = ("categories", 0, "subcategories", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_to("categories", 1, "aisle", value=1), "duplicate aisle: 1"),
        (set_to("categories", 1, "category", value="BEVERAGES"), "duplicate category: BEVERAGES"),
        (set_to("categories", 0, "zone", value="CELLAR"), "no such zone: CELLAR"),
        (set_to("categories", 0, "supplier", value="SUP-X"), "no such supplier: SUP-X"),
        (set_to(*PAIR, "zone", value="CELLAR"), "no such zone: CELLAR"),
        (set_to(*PAIR, "shelves", value=0), "`shelves`"),
        (set_to(*PAIR, "prefix", value="BEV"), "`prefix`"),
        (set_to(*PAIR, "price_eur", value=[3, 1]), "must run from the smaller to the larger"),
        (set_to(*PAIR, "life_days", value=[2, 30]), "`life_days` is too short"),
        (set_to(*PAIR, "backroom", value=3), "cannot hold one batch"),
        (set_to(*PAIR, "items", value=["Cola", "Cola"]), "duplicate shelf: item Cola"),
        (set_to(*PAIR, "colour", value="red"), "`colour` is not a known name"),
        (set_to("schema_version", value=9), "`schema_version`"),
    ],
)
def test_a_wrong_entry_is_refused_with_file_line_and_remedy(tmp_path: Path, change: Any, said: str) -> None:
    message = refusal(written(tmp_path, change))
    assert "catalogue.yaml line " in message
    assert said in message


def test_every_problem_is_listed_not_only_the_first(tmp_path: Path) -> None:
    def change(content: Any) -> None:
        content["categories"][0]["subcategories"][0]["shelves"] = 0
        content["categories"][2]["margin"] = 2

    assert refusal(written(tmp_path, change)).count("catalogue.yaml line ") == 2


def test_a_file_that_is_not_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text("zones:\n  - {zone: A\nsuppliers: []\n")
    assert "catalogue.yaml line 3 is not YAML" in refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "catalogue.yaml")
