"""What settings may be; wrong, unknown and retired ones are refused with what to use."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest

from smartshelf import settings
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


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant_and_without_its_value() -> None:
    with pytest.raises(SettingError) as refused:
        load({"SMARTSHELF_POSTGRES_OWNER_PASSWRD": "hunter2"})
    assert "SMARTSHELF_POSTGRES_OWNER_PASSWORD?" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("TIME_MULTIPLYER=300\n", "Unknown setting TIME_MULTIPLYER. Did you mean TIME_MULTIPLIER?"),
        ("SLEEP=3\n", "The setting SLEEP does not exist any more"),
        ("# pace\nTIME_MULTIPLIER 300\n", "mine.env line 2 is not NAME=value"),
    ],
)
def test_a_mistake_in_a_profile_is_refused(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    profile = tmp_path / "conf" / "profiles" / "mine.env"
    profile.parent.mkdir(parents=True)
    profile.write_text(text)
    with pytest.raises(SettingError) as refused:
        load({"SMARTSHELF_PROFILE": "mine", "SMARTSHELF_HOME": str(tmp_path)})
    assert told in str(refused.value)


def test_a_store_on_the_wall_clock_without_its_data_says_what_is_missing(tmp_path: Path) -> None:
    config = load({"USE_SIMULATED_TIME": "0", "SMARTSHELF_DATA": str(tmp_path), "SMARTSHELF_HOME": str(tmp_path)})
    with pytest.raises(SettingError, match="SMARTSHELF_DATA"):
        settings.opens_at(config)


@pytest.mark.parametrize("name", ["My Store", "x; drop database postgres", "SmartShelf", ""])
def test_the_name_of_the_database_is_a_plain_one(name: str) -> None:
    with pytest.raises(SettingError, match="SMARTSHELF_POSTGRES_DB"):
        load({"SMARTSHELF_POSTGRES_DB": name})


def test_a_number_out_of_range_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match="NEAR_EXPIRY_DAYS"):
        load({"NEAR_EXPIRY_DAYS": "-1"})
