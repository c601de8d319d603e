from __future__ import annotations

from datetime import UTC, datetime

import pytest

from smartshelf.errors import SettingError
from smartshelf.settings import load

THURSDAY_7 = datetime(2026, 1, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize("days", ["6,1,3", "sun,tue,thu", "Sunday Tuesday Thursday"])
def test_weekdays_may_be_numbers_from_monday_or_names(days, tmp_path):
    calendar = load({"SMARTSHELF_HOME": str(tmp_path), "CUTOFF_DOWS": days}).calendar
    assert calendar.cutoff.weekdays == {6, 1, 3}


def test_the_week_is_what_the_settings_say(tmp_path):
    environ = {"DELIVERY_DOWS": "sat", "DELIVERY_HOUR": "6", "DELIVERY_MINUTE": "45"}
    calendar = load({"SMARTSHELF_HOME": str(tmp_path), **environ}).calendar
    assert calendar.next("delivery", THURSDAY_7) == datetime(2026, 1, 3, 6, 45, tzinfo=UTC)
    assert calendar.next("cutoff", THURSDAY_7) == datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUTOFF_DOWS", ""),
        ("CUTOFF_DOWS", "7"),
        ("DELIVERY_DOWS", "mon,xyz"),
        ("CUTOFF_HOUR", "24"),
        ("DELIVERY_MINUTE", "60"),
    ],
)
def test_a_week_that_cannot_be_is_refused_with_the_name_of_the_setting(name, value, tmp_path):
    with pytest.raises(SettingError, match=f"{name} is wrong"):
        load({"SMARTSHELF_HOME": str(tmp_path), name: value})
