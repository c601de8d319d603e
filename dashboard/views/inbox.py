"""Alerts as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dashboard.views.text import moment
from smartshelf.io.people import OpenAlert

SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Filter:
    """What to show; an empty set means no restriction."""

    severities: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    aisles: frozenset[int] = frozenset()

    def passes(self, alert: OpenAlert) -> bool:
        return (
            (not self.severities or alert.severity in self.severities)
            and (not self.rules or alert.event_type in self.rules)
            and (not self.aisles or alert.aisle in self.aisles)
        )


def rules(alerts: Iterable[OpenAlert]) -> list[str]:
    """Rules that have an alert."""
    return sorted({alert.event_type for alert in alerts})


def aisles(alerts: Iterable[OpenAlert]) -> list[int]:
    """Aisles that have an alert."""
    return sorted({alert.aisle for alert in alerts if alert.aisle is not None})


def rule_name(rule: str) -> str:
    """A rule as people read it."""
    return rule.replace("_", " ").capitalize()


def title(alert: OpenAlert) -> str:
    """What it is about, in one line."""
    return f"{rule_name(alert.event_type)}: {alert.item_name or alert.shelf_id}. {alert.why}"


def detail(alert: OpenAlert) -> str:
    """Where, since when, and who looks after it."""
    parts = [alert.shelf_id, "backroom" if alert.location == "warehouse" else f"aisle {alert.aisle or '–'}"]
    parts.append(f"since {moment(alert.created_at)}")
    if alert.acknowledged_by:
        parts.append(f"seen by {alert.acknowledged_by}")
    if alert.assigned_to:
        parts.append(f"assigned to {alert.assigned_to}")
    return " · ".join(parts)
