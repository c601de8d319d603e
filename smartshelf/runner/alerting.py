"""An alert for a job that has failed for good, resolved when the job has succeeded again (topic ``alerts``)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from smartshelf.contracts.events import SCHEMA_VERSION
from smartshelf.contracts.ids import fact_id, stable_id
from smartshelf.contracts.rows import Alert, key_json
from smartshelf.contracts.stages import step_of
from smartshelf.io import kafka
from smartshelf.settings import Settings, opens_at

TOPIC, SOURCE = "alerts", "runner"
RULE: Final = "job_failed"

#: As shelf of an alert: the whole store.
WHOLE_STORE = "*"


class Alerts:
    """Owner of the event type ``job_failed``: one open alert per store and job, as long as its runs fail."""

    def __init__(self, config: Settings) -> None:
        self._config = config

    def failed(self, failures: Sequence[datetime], job: str, error: str) -> None:
        """Tell the last of the job's ``failures`` in a row (due times, oldest first); the first one opens the alert."""
        why = f"The run of {job} due at {failures[-1]:%Y-%m-%d %H:%M} failed: {error}"[:2_000]
        self._send(job, failures[0], failures[-1], len(failures), "open", why)

    def succeeded(self, failures: Sequence[datetime], job: str, scheduled_for: datetime) -> None:
        """Resolve the alert about ``failures``, which this success has ended."""
        if failures:
            why = f"The run of {job} due at {scheduled_for:%Y-%m-%d %H:%M} succeeded."
            self._send(job, failures[0], scheduled_for, len(failures) + 1, "resolved", why)

    def _send(
        self, job: str, opened: datetime, at: datetime, version: int, status: Literal["open", "resolved"], why: str
    ) -> None:
        config = self._config
        writer = kafka.TransactionalWriter(config.kafka_bootstrap, SOURCE)

        def fill(transaction: kafka.TransactionalWriter) -> None:
            for store in config.stores:
                alert = about(config, store, job, opened, at, version, status, why)
                partition = writer.partition_of(TOPIC, store)
                transaction.produce(TOPIC, msgspec.json.encode(alert), key_json(Alert, alert), partition)

        try:
            writer.transaction(fill)
        finally:
            writer.close()


def about(
    config: Settings,
    store: str,
    job: str,
    opened: datetime,
    at: datetime,
    version: int,
    status: Literal["open", "resolved"],
    why: str,
) -> Alert:
    """The alert about a job: its id follows from the run that opened it, so a repeated one is the same row."""
    alert_id = stable_id("alert", store, RULE, job, opened.isoformat())
    step = step_of(opens_at(config), config.step_seconds, at)
    return Alert(
        epoch=config.epoch,
        version=version,
        as_of_step=step,
        store_id=store,
        alert_id=alert_id,
        event_id=fact_id(f"{SOURCE}:{alert_id}", TOPIC, version),
        event_type=RULE,
        schema_version=SCHEMA_VERSION,
        timestamp=at,
        source=SOURCE,
        seq=version,
        step=step,
        shelf_id=WHOLE_STORE,
        location="store",
        current_stock=0,
        severity="critical",
        why=why,
        status=status,
        created_at=opened,
        updated_at=at,
    )
