"""Settings kept from the field work; those that went are refused with what replaces them."""

from __future__ import annotations

from datetime import time

import pytest

from smartshelf.errors import SettingError
from smartshelf.settings import load


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("SLEEP", "TIME_MULTIPLIER"),
        ("SHELF_SLEEP", "TIME_MULTIPLIER"),
        ("TIME_SCALE", "TIME_MULTIPLIER"),
        ("WRITE_TO_PG", "Kafka Connect"),
    ],
)
def test_a_retired_setting_is_refused_with_what_replaces_it(name: str, remedy: str) -> None:
    with pytest.raises(SettingError) as refused:
        load({name: "1"})
    assert f"{name} does not exist any more" in str(refused.value)
    assert remedy in str(refused.value)


def test_the_weeks_cutoffs_and_deliveries_are_settings() -> None:
    set_by_hand = {"CUTOFF_DOWS": "mon,fri", "CUTOFF_HOUR": "9", "DELIVERY_DOWS": "1", "DELIVERY_MINUTE": "30"}
    calendar = load(set_by_hand).calendar
    assert (calendar.cutoff.weekdays, calendar.cutoff.at) == (frozenset({0, 4}), time(9, 0))
    assert (calendar.delivery.weekdays, calendar.delivery.at) == (frozenset({1}), time(8, 30))


def test_a_number_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match="NEAR_EXPIRY_DAYS"):
        load({"NEAR_EXPIRY_DAYS": "-1"})
