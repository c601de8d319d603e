"""What decision stages write: their own facts, tasks for the world, rows, and alerts with their whole life."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, TypeVar

import msgspec

from smartshelf.contracts import commands
from smartshelf.contracts.commands import Asked
from smartshelf.contracts.control import Task
from smartshelf.contracts.events import SCHEMA_VERSION, Event, Evidence
from smartshelf.contracts.ids import fact_id, stable_id, task_id
from smartshelf.contracts.rows import Alert, CommandOutcome, MirrorRow, key_json
from smartshelf.contracts.stages import lead_steps, step_of
from spark_apps.runtime import codec
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.stage import Output, Stage, Step

S = TypeVar("S", bound=msgspec.Struct)
#: Dicts keep the order in which they were filled, so that a state that was stored goes on as one that was not.
_encode = msgspec.msgpack.Encoder().encode
TASKS, ALERTS, OUTCOMES = "world_tasks", "alerts", "command_outcomes"


class Deciding(Stage[S]):
    """A stage whose state is a ``msgspec.Struct``; ``made`` is its type."""

    made: ClassVar[type[Any]]

    def new(self) -> S:
        state: S = self.made()
        return state

    def begin(self, state: S) -> S:  # noqa: ARG002  # what it decided in silence was never said
        return self.new()

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


def outcome(step: Step, asked: Asked, done: str = "", refused: str = "") -> Output:
    """What came of a command, as a sentence: ``done``, or why it is ``refused``."""
    answer = step.scope.row(
        CommandOutcome,
        version=1,
        command_id=asked.command_id,
        outcome="refused" if refused else "done",
        reason=refused or done,
        at=step.at,
    )
    return row(OUTCOMES, answer)


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


class Adjusted(msgspec.Struct):
    """What counts have corrected that is not in the books yet: a stage's facts count one step later."""

    step: int = -1
    by_place: dict[str, int] = {}

    def difference(self, step: Step, place: str, expected: int, count: commands.CountShelf) -> int:
        """Units counted minus units ``expected`` by the books and by earlier counts of the step."""
        if step.k != self.step:
            self.step, self.by_place = step.k, {}
        before = self.by_place.get(place, 0)
        difference = count.quantity - expected - before
        self.by_place[place] = before + difference
        return difference


class AlertBook(msgspec.Struct):
    """A stage's alerts by subject, as long as their condition lasts. A subject has at most one of a rule.

    A person may acknowledge or dismiss one. It stays here all the same, so that the rule does not raise it again;
    a dismissed one ends in silence with its condition, and what comes back after that is a new alert.
    """

    open: dict[str, Alert] = {}

    def has(self, rule: str, subject: str) -> bool:
        return _name(rule, subject) in self.open

    def of_rule(self, rule: str) -> list[tuple[str, Alert]]:
        """(subject, alert) of all open alerts of a rule, in the order in which they were opened."""
        head = rule + "|"
        return [(name.removeprefix(head), alert) for name, alert in self.open.items() if name.startswith(head)]

    def raise_(self, pen: Pen, stage: str, step: Step, rule: str, subject: str, **fields: Any) -> Output:
        """Open an alert, or tell the new figures of the one that is open; what a person did to it stays."""
        name, scope = _name(rule, subject), step.scope
        if name in self.open:
            return self._tell(pen, step, name, **fields)
        number = pen.number(ALERTS)
        source = Evidence.JOB_PREFIX + stage
        digest = stable_id("alert", scope.store_id, rule, subject, moment_name(step))
        self.open[name] = scope.row(
            Alert,
            version=1,
            alert_id=commands.alert_name(stage, digest),
            event_id=fact_id(f"{source}:{scope.store_id}", ALERTS, number),
            event_type=rule,
            schema_version=SCHEMA_VERSION,
            timestamp=step.at,
            source=source,
            seq=number,
            step=step.k,
            status="open",
            created_at=step.at,
            updated_at=step.at,
            **fields,
        )
        return row(ALERTS, self.open[name])

    def resolve(self, pen: Pen, step: Step, rule: str, subject: str, why: str, **fields: Any) -> list[Output]:
        """Close the alert of a subject; nothing is told when there is none, or when it was dismissed."""
        name = _name(rule, subject)
        if name not in self.open:
            return []
        if self.open[name].status == "dismissed":
            del self.open[name]
            return []
        resolved = self._tell(pen, step, name, status="resolved", why=why, **fields)
        del self.open[name]
        return [resolved]

    def obey(self, pen: Pen, stage: str, config: StoreConfig, step: Step) -> list[Output]:
        """Do what people asked about the stage's alerts; each command gets its outcome."""
        asked = [each for each in config.commands_for(stage) if isinstance(each.what, commands.ALERT_COMMANDS)]
        return [output for each in asked for output in self._obey(pen, step, each)]

    def _obey(self, pen: Pen, step: Step, asked: Asked) -> list[Output]:
        what = asked.what
        name = next((name for name, alert in self.open.items() if alert.alert_id == what.alert_id), None)
        if name is None:
            return [outcome(step, asked, refused=f"There is no open alert {what.alert_id}.")]
        alert = self.open[name]
        if alert.status == "dismissed":
            return [outcome(step, asked, refused=f"Alert {what.alert_id} has been dismissed.")]
        match what:
            case commands.AckAlert() if alert.status == "ack":
                refused = f"Alert {what.alert_id} was acknowledged by {alert.acknowledged_by}."
                return [outcome(step, asked, refused=refused)]
            case commands.AckAlert():
                changes = {"status": "ack", "acknowledged_by": asked.who, "acknowledged_at": step.at}
                done = f"Acknowledged by {asked.who}."
            case commands.DismissAlert():
                changes, done = {"status": "dismissed"}, f"Dismissed by {asked.who}."
            case _:
                changes, done = {"assigned_to": what.assigned_to}, f"Assigned to {what.assigned_to}."
        return [self._tell(pen, step, name, **changes), outcome(step, asked, done)]

    def _tell(self, pen: Pen, step: Step, name: str, **fields: Any) -> Output:
        """The next version of an alert."""
        before, number = self.open[name], pen.number(ALERTS)
        self.open[name] = step.scope.next(
            before,
            event_id=fact_id(f"{before.source}:{before.store_id}", ALERTS, number),
            timestamp=step.at,
            seq=number,
            step=step.k,
            updated_at=step.at,
            **fields,
        )
        return row(ALERTS, self.open[name])


def _name(rule: str, subject: str) -> str:
    return f"{rule}|{subject}"
