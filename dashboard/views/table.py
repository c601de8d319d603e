"""All shelves as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dashboard.queries import Profile, StoreState
from dashboard.views import figures, fill
from dashboard.views.fill import Band


@dataclass(frozen=True)
class Filter:
    """What to show: all words must occur; an empty set means no restriction."""

    words: str = ""
    categories: frozenset[str] = frozenset()
    bands: frozenset[Band] = frozenset()

    def passes(self, profile: Profile, band: Band) -> bool:
        if self.categories and profile.category not in self.categories:
            return False
        if self.bands and band not in self.bands:
            return False
        text = f"{profile.item_name} {profile.shelf_id} {profile.subcategory} {profile.category}".lower()
        return all(word in text for word in self.words.lower().split())


def categories(products: Mapping[str, Profile]) -> list[str]:
    """Categories in the order of the aisles."""
    return list(dict.fromkeys(profile.category for profile in sorted(products.values(), key=lambda p: p.aisle)))


def frame(products: Mapping[str, Profile], state: StoreState | None, wish: Filter) -> pd.DataFrame:
    """One row per shelf that passes, by aisle and id; cells without live row are empty."""
    lines = []
    for profile in sorted(products.values(), key=lambda p: (p.aisle, p.shelf_id)):
        row = state.rows.get(profile.shelf_id) if state else None
        if not wish.passes(profile, fill.band(row)):
            continue
        check = figures.sensor_check(row, profile) if row else None
        lines.append(
            (
                profile.shelf_id,
                profile.item_name,
                row and row.current_stock,
                row.max_stock if row else profile.maximum_stock,
                round(100 * fill.share(row)) if row else None,
                row and row.in_baskets,
                row and row.on_the_way,
                row and row.last_update_ts,
                profile.aisle,
                profile.category,
                profile.subcategory,
                profile.item_price,
                check and check.measured,
                check and check.measured - check.expected,
            )
        )
    return pd.DataFrame(lines, columns=list(COLUMNS))


COLUMNS = (
    "Shelf",
    "Product",
    "Stock",
    "Maximum",
    "Filled",
    "In baskets",
    "On the way",
    "Last change",
    "Aisle",
    "Category",
    "Subcategory",
    "Price",
    "Weight",
    "Sensor off by",
)
