"""Every example query that analysts are given runs, as the analyst, on a store that has data."""

from __future__ import annotations

import re

import pytest

from smartshelf.io import postgres
from smartshelf.settings import CHECKOUT
from tests.integration.servers import Servers

pytestmark = [pytest.mark.servers]

QUERIES = re.findall(r"```sql\n(.*?)```", (CHECKOUT / "postgresql" / "README.md").read_text(), re.DOTALL)

STATE = """
insert into state.shelf_state
select 1, 1, 0, p.store_id, p.shelf_id, p.category, p.subcategory, s.current_stock - 1, p.maximum_stock,
       s.current_stock * p.item_weight, 1, 0, s.snapshot_ts
from config.shelf_profiles p join ref.store_inventory_snapshot s using (store_id, shelf_id)
on conflict do nothing
"""


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.split("\n")[0])
def test_an_example_query_runs_and_finds_something(connected: Servers, query: str) -> None:
    with postgres.connect(connected.config, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(STATE)
    with postgres.connect(connected.config, "analyst") as connection, connection.cursor() as cursor:
        cursor.execute(query)
        assert cursor.fetchall()


def test_there_are_examples() -> None:
    assert len(QUERIES) >= 5
