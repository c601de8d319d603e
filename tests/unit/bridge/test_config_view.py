"""Which configuration concerns which store."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.config_view import ConfigState
from smartshelf.contracts.control import Mark

PROFILE_S01 = b'{"store_id":"S01","shelf_id":"A"}'


def _mark(**rows: dict[str, int]) -> Mark:
    return Mark(epoch=1, k_from=0, k=0, t=datetime(2026, 1, 1, tzinfo=UTC), stores=("S01",), streams={}, rows=rows)


def test_a_tick_names_the_stores_own_records_and_those_for_all() -> None:
    config = ConfigState()
    config.record("shelf_profiles", 0, 4, PROFILE_S01, PROFILE_S01)
    config.record("shelf_policies", 0, 7, b'{"policy_id":"p"}', b'{"policy_id":"p","store_id":null}')
    config.record("shelf_policies", 0, 8, b'{"policy_id":"q"}', b'{"policy_id":"q","store_id":"S02"}')
    assert config.offsets("S01") == {"shelf_profiles": {"0": 4}, "shelf_policies": {"0": 7}}
    assert config.offsets("S02") == {"shelf_policies": {"0": 8}}


def test_a_tombstone_counts_for_the_store_in_its_key_or_for_all() -> None:
    config = ConfigState()
    config.record("shelf_profiles", 0, 9, PROFILE_S01, None)
    assert config.offsets("S01") == {"shelf_profiles": {"0": 9}}
    assert config.offsets("S02") == {}
    config.record("shelf_policies", 0, 3, b'{"policy_id":"p"}', None)
    assert config.offsets("S02") == {"shelf_policies": {"0": 3}}


def test_rows_are_counted_by_key_without_deleted_ones() -> None:
    config = ConfigState()
    for shelf in (b"A", b"B", b"B"):
        key = b'{"store_id":"S01","shelf_id":"%b"}' % shelf
        config.record("shelf_profiles", 0, 1, key, key)
    config.record("shelf_profiles", 0, 2, PROFILE_S01, None)
    assert config.missing(_mark(S01={"shelf_profiles": 2})) == "1 of 2 rows of shelf_profiles for S01"
    assert config.missing(_mark(S01={"shelf_profiles": 1})) == ""
    assert config.missing(_mark(S02={"shelf_profiles": 1})) == "0 of 1 rows of shelf_profiles for S02"


def test_what_is_no_json_concerns_nobody() -> None:
    config = ConfigState()
    config.record("shelf_policies", 0, 1, b"?", b"{}")
    assert config.offsets("S01") == {}
