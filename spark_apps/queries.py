"""What main supervises: a running query, and how its failure is told."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from py4j.protocol import Py4JError

from smartshelf.errors import Fenced, SmartShelfError
from smartshelf.io.delta import DeltaSink

#: Looks, a minute apart, at one and the same batch until a query hangs: the largest batches take seconds.
PATIENT_LOOKS = 30


class QueryFailed(SmartShelfError):
    """A query ended by an error of ours."""

    exit_code = 1


class StartAgain(SmartShelfError):
    """A query ended by something that a new start gets over."""

    exit_code = 3


@dataclass
class Query:
    """A started query. ``failure``: the exception its foreachBatch raised, where it was ours."""

    name: str
    spark: Any
    failure: Callable[[], Exception | None] = lambda: None
    sinks: tuple[DeltaSink, ...] = ()
    #: Called with the error's text; returns a sentence when it has made a new start worth while.
    repair: Callable[[str], str | None] = lambda _: None
    #: The batch before the one at work, and how often in a row it was that.
    _seen: tuple[int | None, int] = (None, 0)

    def look(self) -> None:
        """Once a minute: note whether it gets on. Looks are counted, so a machine that slept makes no difference."""
        with jvm_of(self.name):
            last = self.spark.lastProgress
            batch = last["batchId"] if last else None
            known, looks = self._seen
            is_same = self.spark.status["isTriggerActive"] and batch == known
            self._seen = batch, looks + 1 if is_same else 0

    def has_worked(self) -> bool:
        """Whether it has run a batch, or seen that there is nothing to do."""
        with jvm_of(self.name):
            waiting = self.spark.status["message"].startswith("Waiting for")
            return waiting or bool(self.spark.recentProgress)

    def stop(self, seconds: float) -> None:
        """Stop between two batches; one that takes longer (real seconds) is cut off, and replayed at the next start."""
        deadline = time.monotonic() + seconds
        with jvm_of(self.name):
            while self.spark.status["isTriggerActive"] and time.monotonic() < deadline:
                time.sleep(0.01)
            self.spark.stop()

    def check(self) -> None:
        """Raise why the query has ended; SmartShelfError with the exit code that fits."""
        with jvm_of(self.name):
            self._check()

    def _check(self) -> None:
        if self._seen[1] >= PATIENT_LOOKS:
            raise StartAgain(f"Query {self.name} has been at one batch for {PATIENT_LOOKS} minutes")
        if self.spark.isActive:
            return
        ours = self.failure()
        if isinstance(ours, Fenced | StartAgain):
            raise ours
        error = self.spark.exception()
        text = str(ours or error or "it was stopped")
        if sentence := self.repair(text):
            raise StartAgain(f"Query {self.name}: {sentence}", value=reason(text))
        # What effects raise beside bugs is that Kafka does not take them.
        if isinstance(ours, KafkaException | SmartShelfError) or "org.apache.kafka." in text:
            raise StartAgain(f"Query {self.name} lost Kafka", value=reason(text))
        if "CONCURRENT_STREAM_LOG_UPDATE" in text:
            raise StartAgain(f"Query {self.name}: another process works on its checkpoint", value=reason(text))
        raise QueryFailed(f"Query {self.name} failed", value=reason(text))


@contextmanager
def jvm_of(name: str) -> Iterator[None]:
    """Tell a JVM that is gone (killed, out of memory) in a sentence."""
    try:
        yield
    except (Py4JError, OSError) as gone:
        raise StartAgain(f"The JVM of query {name} has gone", value=reason(str(gone))) from gone


def reason(text: str) -> str:
    """The line of a stack trace that says what happened."""
    # Behind this Spark prints the whole plan of the query.
    told = text.partition("=== Streaming Query ===")[0]
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(Caused by: )?[\w.$]*(Error|Exception)\b", line)]
    return (telling[-1] if telling else next(iter(lines), ""))[:500]
