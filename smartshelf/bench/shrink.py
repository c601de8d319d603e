"""How well shrink is found out: the alerts of some days against what scenarios really did (``world_truth``).

World and stages run in this process, without servers. Units: what left unpaid, by shelf and day. Causes: the same
units, when the alert names the right one. Scales: shelves whose scale drifts or is silent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from smartshelf.contracts.events import WorldTruth
from smartshelf.contracts.rows import Alert
from smartshelf.contracts.topics import TOPICS
from smartshelf.facts.process import Line, Process
from smartshelf.settings import Settings

#: What is turned on, and the cause that an alert should name.
CAUSES = {"theft": "theft", "mis-scan": "mis_scan", "sensor-drift": "scale_drift", "sensor-silence": "scale_silent"}
UNPAID, PHANTOM = "unpaid", "phantom_stock"


class Score(NamedTuple):
    """Of what was told so much is true (precision), of what is true so much was told (recall)."""

    what: str
    true: int
    told: int
    both: int

    @property
    def precision(self) -> float:
        return self.both / self.told if self.told else 1.0

    @property
    def recall(self) -> float:
        return self.both / self.true if self.true else 1.0


@dataclass
class Evidence:
    """What really happened and what was told, in the order of the log."""

    truth: list[WorldTruth] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def keep(self, topic: str, line: Line) -> None:
        """One record of any topic."""
        if topic == "world_truth":
            self.truth.append(TOPICS[topic].decoder.decode(line.value or b""))
        elif topic == "alerts":
            self.alerts.append(TOPICS[topic].decoder.decode(line.value or b""))


def live(config: Settings, days: int) -> Evidence:
    """Some days of the store with everything turned on that makes shelf, scale and till disagree."""
    evidence = Evidence()
    process = Process(config, evidence.keep)
    process.worlds.switch(CAUSES)
    process.live(days * 86_400 // config.step_seconds)
    return evidence


def scores(truth: Iterable[WorldTruth], alerts: Iterable[Alert]) -> list[Score]:
    """All scores; an alert counts when it opens."""
    truth, opened = list(truth), [alert for alert in alerts if alert.status == "open" and alert.version == 1]
    left = [fact for fact in truth if fact.quantity]
    unpaid = [alert for alert in opened if alert.event_type == UNPAID]
    found = [
        _score("units that were not paid", _units(left), _told(unpaid)),
        *(
            _score(
                f"... by {scenario}",
                _units([fact for fact in left if fact.scenario == scenario]),
                _told([alert for alert in unpaid if alert.likely_cause == CAUSES[scenario]]),
            )
            for scenario in ("theft", "mis-scan")
        ),
    ]
    wrong = [alert for alert in opened if alert.event_type == PHANTOM]
    for scenario in ("sensor-drift", "sensor-silence"):
        concerned = Counter({fact.shelf_id: 1 for fact in truth if fact.scenario == scenario and fact.shelf_id})
        told = Counter({alert.shelf_id: 1 for alert in wrong if alert.likely_cause == CAUSES[scenario]})
        found.append(_score(f"scales: {scenario}", concerned, told))
    return found


def false_losses(alerts: Iterable[Alert]) -> int:
    """Alerts of goods that vanished unseen: no scenario makes any."""
    return sum(alert.likely_cause == "unseen_loss" and alert.version == 1 for alert in alerts)


_ByShelf = Counter[tuple[str, date]]


def _units(facts: Iterable[WorldTruth]) -> _ByShelf:
    units: _ByShelf = Counter()
    for fact in facts:
        units[fact.shelf_id or "", fact.timestamp.date()] += fact.quantity
    return units


def _told(alerts: Iterable[Alert]) -> _ByShelf:
    units: _ByShelf = Counter()
    for alert in alerts:
        units[alert.shelf_id, alert.timestamp.date()] += alert.current_stock
    return units


def _score(what: str, true: Counter[Any], told: Counter[Any]) -> Score:
    return Score(what, true.total(), told.total(), (true & told).total())


def table(found: Sequence[Score], losses: int, days: int) -> str:
    """The scores as a Markdown table."""
    lines = [f"| shrink, {days} days | true | told | precision | recall |", "|---|---|---|---|---|"]
    lines += [f"| {s.what} | {s.true:,} | {s.told:,} | {s.precision:.1%} | {s.recall:.1%} |" for s in found]
    lines.append(f"| goods said to have vanished unseen | 0 | {losses} | | |")
    return "\n".join(lines)
