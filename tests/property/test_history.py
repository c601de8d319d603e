"""What holds for the year of any store: units are conserved, nothing is negative, nothing expired is sold."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.catalogue import expand, load_catalogue
from data.discounts import weekly_discounts
from data.history import live_until

CATALOGUE = load_catalogue()
POPULARITY = {category.category: category.popularity for category in CATALOGUE.categories}


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    scale=st.floats(0.005, 0.3),
    start=st.dates(date(2020, 1, 1), date(2035, 12, 31)),
    days=st.integers(1, 40),
    store=st.sampled_from(["S01", "S02"]),
)
def test_units_are_conserved_and_never_negative(seed: int, scale: float, start: date, days: int, store: str) -> None:
    profiles = expand(CATALOGUE, scale)
    offers = weekly_discounts(len(profiles), start, seed, scale=scale, store_id=store)
    past = live_until(start, profiles, POPULARITY, offers, seed=seed, store_id=store, days=days)
    assert not past.books.differences().any()
    for name, column in past.recorded.items():
        if name not in ("min_expiration_days", "avg_expiration_days"):
            assert column.min() >= 0, name
    assert past.recorded["discount"].max() <= 0.95
    assert past.recorded["min_expiration_days"].min() >= 0  # nothing expired lies in the store at the end of a day
    assert past.recorded["stockout_minutes"].max() <= 900
    assert past.hourly_sales.sum() == past.of_year("sales_qty").sum()
    for lots, place in ((past.store_lots, past.books.on_shelf), (past.warehouse_lots, past.books.backroom)):
        assert (lots.stock(len(profiles)) == place).all()
        assert (lots.expiry_date >= np.datetime64(start)).all()
