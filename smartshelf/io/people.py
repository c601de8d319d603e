"""What a person sees and asks of the store, in Postgres: open alerts, commands and their outcomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

#: Worst first, then oldest first.
_ALERTS = text("""
select a.store_id, a.alert_id, a.event_type, a.severity, a.status, a.shelf_id, a.batch_code, a.location, a.why,
       a.assigned_to, a.acknowledged_by, a.created_at, p.aisle, p.item_name
from ops.alerts a left join config.shelf_profiles p using (store_id, shelf_id)
where a.store_id = :store_id and a.status in ('open', 'ack')
order by array_position(array['critical', 'warning', 'info'], a.severity), a.created_at, a.alert_id
""")
_ENTER = text("""
insert into ops.commands (store_id, who, what) values (:store_id, :who, cast(:what as jsonb)) returning command_id
""")
_ANSWER = text("""
select outcome, reason from ops.command_outcomes where store_id = :store_id and command_id = cast(:command_id as uuid)
""")


@dataclass(frozen=True)
class OpenAlert:
    """An alert that still needs somebody; ``aisle`` and ``item_name`` are None where the shelf has no profile."""

    store_id: str
    alert_id: str
    event_type: str
    severity: str
    status: str
    shelf_id: str
    batch_code: str | None
    location: str
    why: str
    assigned_to: str | None
    acknowledged_by: str | None
    created_at: datetime
    aisle: int | None
    item_name: str | None


@dataclass(frozen=True)
class Answer:
    """What came of a command: ``outcome`` done or refused, and the reason as a sentence."""

    outcome: str
    reason: str


def open_alerts(connection: Connection, store_id: str) -> list[OpenAlert]:
    """Alerts that are open or acknowledged: the worst first, of these the oldest."""
    return [OpenAlert(*row) for row in connection.execute(_ALERTS, {"store_id": store_id})]


def enter(connection: Connection, store_id: str, who: str, what: Mapping[str, Any]) -> str:
    """Enter a command (contracts/commands.py) and return its id; Postgres' error says why it takes none."""
    values = {"store_id": store_id, "who": who, "what": json.dumps(what)}
    return str(connection.execute(_ENTER, values).scalar_one())


def answer(connection: Connection, store_id: str, command_id: str) -> Answer | None:
    """What came of a command; None as long as the store has not said."""
    row = connection.execute(_ANSWER, {"store_id": store_id, "command_id": command_id}).first()
    return None if row is None else Answer(*row)
