"""The Spark process as a test drives it, and what a reader of its outputs sees."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from smartshelf.contracts.control import Done
from smartshelf.contracts.rows import JobProgress, ShelfState
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.topics import TOPICS
from smartshelf.io import job_progress, kafka
from smartshelf.settings import CHECKOUT, Settings, load
from tests.integration.servers import Servers
from tests.spark.feed import Feed

#: Real seconds; a busy machine needs most of a minute for a JVM and its first batch.
PATIENCE = 150.0


#: All stages in one query, without the archive and the mirrors: they wait for one another's facts.
DECIDING = ",".join(STAGES)


class SparkStore:
    """One store's Spark: started, killed and started again on the same tables and topics."""

    def __init__(self, broker: Servers, delta: Path, partitions: int) -> None:
        self.env = broker.env | {
            "SMARTSHELF_DELTA": str(delta),
            "FACT_PARTITIONS": str(partitions),
            "RAW_TRIGGER_MS": "1000",
            "MIRROR_TRIGGER_MS": "500",
            "STORE_TRIGGER_MS": "50",
        }
        self.log = delta.parent / "spark.log"
        self.feed = Feed(self.config.kafka_bootstrap)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Settings:
        return load(self.env)

    def another(self, number: int = 2) -> SparkStore:
        """A further process for the same store."""
        twin = copy.copy(self)
        twin.log, twin.process = self.log.with_suffix(f".{number}.log"), None
        return twin

    # --- the process -----------------------------------------------------------------------------

    def start(self, jobs: str = "all", **settings: str) -> SparkStore:
        return self._start(["spark_apps.main", "--jobs", jobs], settings)

    def start_mortal(self, point: str, batch: int, jobs: str = "all", **settings: str) -> SparkStore:
        return self._start(["tests.spark.app", point, str(batch), jobs], settings)

    def _start(self, arguments: list[str], settings: dict[str, str]) -> SparkStore:
        assert self.process is None or self.process.poll() is not None, "one at a time"
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", *arguments]
            self.process = subprocess.Popen(command, env=self.env | settings, cwd=CHECKOUT, stdout=log, stderr=log)
        return self

    def kill(self) -> None:
        """SIGKILL to Python, JVM and workers."""
        if self.process is None or self.process.poll() is not None:
            return
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=20)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def ended(self) -> int:
        """Wait until it has ended by itself; the exit code."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def until(self, condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait for a condition while the process lives, so many real seconds."""
        deadline = time.monotonic() + patience
        while not condition():
            if self.process is not None and self.process.poll() is not None:
                pytest.fail(f"spark ended with {self.process.returncode} before {what}\n{self.said()[-4000:]}")
            if time.monotonic() > deadline:
                pytest.fail(f"waited {patience:.0f} s for {what}\n{self.said()[-4000:]}")
            time.sleep(0.2)

    def said(self) -> str:
        return self.log.read_text()

    # --- what it did -----------------------------------------------------------------------------

    def progress(self, job: str = "store") -> JobProgress | None:
        return job_progress.read(self.config.kafka_bootstrap).get(job)

    def until_step(self, patience: float = PATIENCE, **steps: int) -> None:
        """Wait until these stores' steps are decided by all stages."""

        def reached() -> bool:
            found = job_progress.reached(job_progress.read(self.config.kafka_bootstrap).values())
            return all(found.get(store, -1) >= k for store, k in steps.items())

        self.until(reached, f"steps {steps}", patience)

    def states(self) -> dict[tuple[str, str], ShelfState]:
        """The latest row of every shelf."""
        latest = kafka.read_latest(self.config.kafka_bootstrap, "shelf_state").values()
        rows = [msgspec.json.decode(value, type=ShelfState) for value in latest]
        return {(row.store_id, row.shelf_id): row for row in rows}

    def history(self) -> dict[bytes, list[ShelfState]]:
        """Every row ever sent, by key, as a committed reader sees them."""
        rows: dict[bytes, list[ShelfState]] = defaultdict(list)
        for message in kafka.read_all(self.config.kafka_bootstrap, "shelf_state"):
            if message.value() is not None:
                rows[message.key()].append(msgspec.json.decode(message.value(), type=ShelfState))
        return rows

    def done(self) -> dict[str, list[Done]]:
        """Done marks by store, in order."""
        marks: dict[str, list[Done]] = defaultdict(list)
        for message in kafka.read_all(self.config.kafka_bootstrap, "world_tasks"):
            mark = TOPICS["world_tasks"].decoder.decode(message.value())
            if isinstance(mark, Done):
                marks[mark.store_id].append(mark)
        return marks

    def letters(self) -> list[str]:
        """Origins of all dead letters."""
        messages = kafka.read_all(self.config.kafka_bootstrap, "dead_letters")
        return [msgspec.json.decode(message.value())["origin"] for message in messages]
