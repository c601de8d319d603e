"""``spark_apps.main`` that kills itself, JVM and all, at a chosen point of a chosen batch.

``python -m tests.spark.app POINT BATCH [JOBS]``. POINT: before (the transaction begins), inside (everything is
with the broker, nothing committed), after (Kafka has committed, Spark has not).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import psutil

from smartshelf.io.kafka import TransactionalWriter
from smartshelf.service import running
from spark_apps import jobs, main, store
from spark_apps.runtime.effects import Effects


def die() -> None:
    for child in psutil.Process().children(recursive=True):
        child.kill()
    os.kill(os.getpid(), signal.SIGKILL)


def mortal(point: str, batch: int) -> type[Effects]:
    """Effects that do not survive the batch."""

    class Mortal(Effects):
        def take(self, table: Any, batch_id: int) -> None:
            if batch_id == batch and point == "before":
                die()
            if batch_id == batch and point == "inside":
                TransactionalWriter.produce = _dying(TransactionalWriter.produce)  # type: ignore[method-assign]
            super().take(table, batch_id)

        def after_send(self, batch_id: int) -> None:
            if batch_id == batch and point == "after":
                die()

    return Mortal


def _dying(produce: Any) -> Any:
    def until_the_last(writer: TransactionalWriter, topic: str, *rest: Any) -> None:
        if topic == "job_progress":
            writer.flush()
            die()
        produce(writer, topic, *rest)

    return until_the_last


if __name__ == "__main__":
    original, mortal_class = store.start, mortal(sys.argv[1], int(sys.argv[2]))
    store.start = lambda *arguments: original(*arguments, effects_class=mortal_class)  # type: ignore[assignment]
    with running("spark") as service:
        main.run(service, jobs.select(sys.argv[3] if len(sys.argv) > 3 else "all"))
