"""Alerts are scored against what really happened, unit by unit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from smartshelf.bench import shrink
from smartshelf.contracts.events import WorldTruth
from smartshelf.contracts.rows import Alert

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def truth(scenario: str, shelf: str, units: int = 0) -> WorldTruth:
    return WorldTruth(
        event_id="e", schema_version=1, store_id="S01", timestamp=AT, source="world:S01", scenario=scenario,
        shelf_id=shelf, quantity=units,
    )  # fmt: skip


def alert(rule: str, shelf: str, cause: str | None, units: int = 0, **changes: Any) -> Alert:
    fields: dict[str, Any] = {
        "epoch": 1, "version": 1, "as_of_step": 1, "store_id": "S01", "alert_id": shelf, "event_id": "e",
        "event_type": rule, "schema_version": 1, "timestamp": AT, "source": "job:shrink", "seq": 1, "step": 1,
        "shelf_id": shelf, "location": "store", "current_stock": units, "severity": "warning", "likely_cause": cause,
        "why": "-", "status": "open", "created_at": AT, "updated_at": AT,
    }  # fmt: skip
    return Alert(**fields | changes)


def scored(truths: list[WorldTruth], alerts: list[Alert]) -> dict[str, tuple[int, int, int]]:
    return {score.what: (score.true, score.told, score.both) for score in shrink.scores(truths, alerts)}


def test_units_count_where_shelf_and_day_are_the_same_and_causes_where_they_are_named() -> None:
    found = scored(
        [truth("theft", "A", 3), truth("mis-scan", "A", 1), truth("mis-scan", "B", 1)],
        [alert("unpaid", "A", "theft", 4), alert("unpaid", "C", "mis_scan", 2)],
    )
    assert found["units that were not paid"] == (5, 6, 4)
    assert found["... by theft"] == (3, 4, 3)
    assert found["... by mis-scan"] == (2, 2, 0)


def test_a_scale_counts_once_and_only_with_its_own_fault() -> None:
    found = scored(
        [truth("sensor-drift", "A"), truth("sensor-drift", "B"), truth("sensor-silence", "C")],
        [
            alert("phantom_stock", "A", "scale_drift"),
            alert("phantom_stock", "A", "scale_drift"),
            alert("phantom_stock", "A", "scale_drift", version=2, status="resolved"),
            alert("phantom_stock", "C", "scale_drift"),
        ],
    )
    assert found["scales: sensor-drift"] == (2, 2, 1)
    assert found["scales: sensor-silence"] == (1, 0, 0)


def test_nothing_told_is_precise_and_nothing_true_is_found() -> None:
    (score, *_) = shrink.scores([], [])
    assert (score.precision, score.recall) == (1.0, 1.0)
