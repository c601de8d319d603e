"""Does the store live for months without growing? Days at ``auto``, a look after each, and what grew per day."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import redis

from simulated_time.store import Clock
from smartshelf.bench import measures
from smartshelf.bench.table import percentile
from smartshelf.errors import SmartShelfError
from smartshelf.io import redis_stream
from smartshelf.settings import Settings
from smartshelf.stack.layout import Layout

#: Days after which caches, heaps and the tables' few minutes of history are filled.
SETTLING = 2
#: Real seconds in which a simulated day must have passed.
PATIENCE = 1_800.0
RSS, FILES, P50 = "memory", "files", "p50"
#: Greatest growth per simulated day, as a share of the mean.
LIMITS = {RSS: 0.01, FILES: 0.05, P50: 0.02}


class Sample(NamedTuple):
    """One look at the store: simulated days since the first, and figures by name."""

    day: float
    figures: dict[str, float]


class Slope(NamedTuple):
    """How a figure changes per simulated day, as shares of its mean; ``error`` is the standard error."""

    name: str
    first: float
    last: float
    per_day: float
    error: float
    limit: float | None

    @property
    def is_too_steep(self) -> bool:
        """Above the limit by more than chance: two quiet runs of one machine differ by the error."""
        return self.limit is not None and self.per_day - self.error > self.limit


def slopes(samples: Sequence[Sample]) -> list[Slope]:
    """The slope of every figure by least squares, leaving out the days in which the store settles."""
    settled = [sample for sample in samples if sample.day >= SETTLING - 0.5]
    if len(settled) < 3:
        raise SmartShelfError(
            f"{len(settled)} days after the store has settled tell no slope",
            remedy=f"Use --days {SETTLING + 2} or more.",
        )
    days = np.array([sample.day for sample in settled])
    found = []
    for name in settled[0].figures:
        values = np.array([sample.figures[name] for sample in settled])
        mean = max(float(values.mean()), 1e-9)
        per_day, error = _line(days, values)
        found.append(Slope(name, values[0], values[-1], per_day / mean, error / mean, LIMITS.get(name)))
    return found


def _line(days: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Slope of the line of least squares, and its standard error."""
    spread = days - days.mean()
    weight = float((spread**2).sum())
    slope = float((spread * values).sum()) / weight
    left = values - values.mean() - slope * spread
    return slope, float(np.sqrt((left**2).sum() / (len(days) - 2) / weight))


def soak(config: Settings, days: int, tell: Callable[[Sample], None]) -> list[Sample]:
    """Run the store at ``auto`` for so many simulated days and look at it at the start and after each.

    The clock goes back to speed 60. Raises SmartShelfError when a day does not pass.
    """
    client = redis_stream.connect(config.redis_url)
    clock = Clock(client)
    samples: list[Sample] = []
    with measures.at_speed(clock, None):
        began = clock.now()
        for day in range(days + 1):
            _until(clock, lambda day=day: clock.now() >= began + timedelta(days=day), day)  # type: ignore[misc]
            at = (clock.now() - began) / timedelta(days=1)
            samples.append(Sample(at, dict(figures(config, client))))
            tell(samples[-1])
    return samples


def _until(clock: Clock, reached: Callable[[], bool], day: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise SmartShelfError(f"Simulated day {day} did not pass in {PATIENCE:.0f} s", value=str(clock.now()))
        time.sleep(0.5)


def figures(config: Settings, client: redis.Redis) -> Iterator[tuple[str, float]]:
    """What must not grow (memory in MB, number of files, seconds), and where it is."""
    by_service = {name: use.pss / 1e6 for name, use in measures.uses().items()}
    yield RSS, sum(by_service.values())
    yield from ((f"memory {name}", megabytes) for name, megabytes in by_service.items())
    delta, checkpoints = config.delta_root, config.checkpoints
    tables = _files(folder for folder in delta.iterdir() if folder.absolute() != checkpoints.absolute())
    state = _files([checkpoints])
    yield FILES, len(tables) + len(state)
    yield "files of tables", len(tables)
    yield "files of checkpoints", len(state)
    yield "MB of tables", sum(tables) / 1e6
    yield "MB of checkpoints", sum(state) / 1e6
    home = Layout.of(config).state
    yield from ((f"MB of {folder.name}", sum(_files([folder])) / 1e6) for folder in sorted(home.iterdir()))
    yield "MB of logs", sum(_files([Layout.of(config).logs])) / 1e6
    yield "MB in redis", client.info("memory")["used_memory"] / 1e6
    yield P50, percentile(measures.waits(config, probes=60), 0.5)


def _files(folders: Iterable[Path]) -> list[int]:
    """Bytes on disk of all files below (Kafka makes its own larger than their content); what goes meanwhile is not."""
    sizes = []
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file():
                    sizes.append(512 * path.stat().st_blocks)
            except OSError:
                continue
    return sizes


def table(found: Iterable[Slope]) -> str:
    """The slopes as a Markdown table."""
    lines = ["| figure | first | last | per simulated day | limit |", "|---|---|---|---|---|"]
    for slope in found:
        limit = "-" if slope.limit is None else f"{slope.limit:.0%}{' exceeded' if slope.is_too_steep else ''}"
        change = f"{slope.per_day:+.1%} ± {slope.error:.1%}"
        lines.append(f"| {slope.name} | {slope.first:,.4g} | {slope.last:,.4g} | {change} | {limit} |")
    return "\n".join(lines)
