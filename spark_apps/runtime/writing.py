"""What decision stages write: their own facts, tasks for the world, rows, and alerts with their whole life."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, TypeVar

import msgspec

from smartshelf.contracts.control import Task
from smartshelf.contracts.events import SCHEMA_VERSION, Event, Evidence
from smartshelf.contracts.ids import fact_id, stable_id, task_id
from smartshelf.contracts.rows import Alert, MirrorRow, key_json
from smartshelf.contracts.stages import lead_steps, step_of
from spark_apps.runtime import codec
from spark_apps.runtime.stage import Output, Stage, Step

S = TypeVar("S", bound=msgspec.Struct)
#: Dicts keep the order in which they were filled, so that a state that was stored goes on as one that was not.
_encode = msgspec.msgpack.Encoder().encode
TASKS, ALERTS = "world_tasks", "alerts"


class Deciding(Stage[S]):
    """A stage whose state is a ``msgspec.Struct``; ``made`` is its type, ``version`` that of its format."""

    made: ClassVar[type[Any]]
    version: ClassVar[int] = 1

    def new(self) -> S:
        state: S = self.made()
        return state

    def load(self, data: bytes) -> S:
        state: S = msgspec.msgpack.decode(codec.unpack(data, self.version, self.name), type=self.made)
        return state

    def dump(self, state: S) -> bytes:
        return codec.pack(self.version, _encode(state))


def moment_name(step: Step) -> str:
    """Names the cut in ids of what it opened: the step, and which extra cut while the clock stood."""
    return f"{step.k}.{step.n}" if step.n else str(step.k)


def lead(step: Step) -> int:
    """L of the protocol for a step that takes time."""
    return lead_steps(int((step.at - step.since).total_seconds()))


def row(topic: str, value: MirrorRow) -> Output:
    """A row for a compacted topic or a log of rows."""
    return Output(topic, key_json(type(value), value), msgspec.json.encode(value))


def gone(topic: str, kind: type[MirrorRow], key: dict[str, str]) -> Output:
    """The tombstone of a row."""
    return Output(topic, key_json(kind, key), None)


def task(step: Step, kind: str, subject: str, number: int = 0, *, when: datetime | None = None, **what: Any) -> Output:
    """A task for the world, done L steps after ``step`` or in the step that begins at ``when``, if that is later.

    ``subject`` and ``number`` name it for ever.
    """
    store_id = step.scope.store_id
    begins = 0 if when is None else step_of(step.at, int((step.at - step.since).total_seconds()), when) + 1
    asked = Task(
        task_id=task_id(kind, store_id, subject, number, step.k),
        kind=kind,  # type: ignore[arg-type]  # the contract's decoder checks it in tests
        store_id=store_id,
        step=step.k,
        do_at=step.k + max(lead(step), begins),
        **what,
    )
    return Output(TASKS, store_id.encode(), msgspec.json.encode(asked))


class Pen(msgspec.Struct):
    """Numbers a stage's own facts without gap, by topic."""

    seq: dict[str, int] = {}

    def number(self, topic: str) -> int:
        """The next number of a topic."""
        self.seq[topic] = self.seq.get(topic, 0) + 1
        return self.seq[topic]

    def fact(self, stage: str, step: Step, topic: str, kind: type[Event], **payload: Any) -> Output:
        """A fact of ``stage``, decided in ``step``; it counts one step later."""
        source, number = Evidence.JOB_PREFIX + stage, self.number(topic)
        store_id = step.scope.store_id
        made = kind(
            event_id=fact_id(f"{source}:{store_id}", topic, number),
            schema_version=SCHEMA_VERSION,
            store_id=store_id,
            timestamp=step.at,
            source=source,
            seq=number,
            step=step.k,
            **payload,
        )
        key = store_id if topic == "proposals" else f"{store_id}|{payload['shelf_id']}"
        return Output(topic, key.encode(), msgspec.json.encode(made))


class AlertBook(msgspec.Struct):
    """A stage's open alerts by subject. A subject has at most one open alert of a rule."""

    open: dict[str, Alert] = {}

    def has(self, rule: str, subject: str) -> bool:
        return _name(rule, subject) in self.open

    def of_rule(self, rule: str) -> list[tuple[str, Alert]]:
        """(subject, alert) of all open alerts of a rule, in the order in which they were opened."""
        head = rule + "|"
        return [(name.removeprefix(head), alert) for name, alert in self.open.items() if name.startswith(head)]

    def raise_(self, pen: Pen, stage: str, step: Step, rule: str, subject: str, **fields: Any) -> Output:
        """Open an alert, or tell the new figures of the one that is open."""
        name, scope = _name(rule, subject), step.scope
        before = self.open.get(name)
        number = pen.number(ALERTS)
        source = Evidence.JOB_PREFIX + stage
        first_id = stable_id("alert", scope.store_id, rule, subject, moment_name(step))
        alert = Alert(
            epoch=scope.epoch,
            version=before.version + 1 if before else 1,
            as_of_step=scope.as_of_step,
            store_id=scope.store_id,
            alert_id=before.alert_id if before else first_id,
            event_id=fact_id(f"{source}:{scope.store_id}", ALERTS, number),
            event_type=rule,  # type: ignore[arg-type]  # the contract's decoder checks it in tests
            schema_version=SCHEMA_VERSION,
            timestamp=step.at,
            source=source,
            seq=number,
            step=step.k,
            status="open",
            created_at=before.created_at if before else step.at,
            updated_at=step.at,
            **fields,
        )
        self.open[name] = alert
        return row(ALERTS, alert)

    def resolve(self, pen: Pen, step: Step, rule: str, subject: str, why: str, **fields: Any) -> list[Output]:
        """Close the alert of a subject; nothing when there is none."""
        before = self.open.pop(_name(rule, subject), None)
        if before is None:
            return []
        number = pen.number(ALERTS)
        resolved = msgspec.structs.replace(
            before,
            epoch=step.scope.epoch,
            version=before.version + 1,
            as_of_step=step.scope.as_of_step,
            event_id=fact_id(f"{before.source}:{before.store_id}", ALERTS, number),
            timestamp=step.at,
            seq=number,
            step=step.k,
            status="resolved",
            why=why,
            updated_at=step.at,
            **fields,
        )
        return [row(ALERTS, resolved)]


def _name(rule: str, subject: str) -> str:
    return f"{rule}|{subject}"
