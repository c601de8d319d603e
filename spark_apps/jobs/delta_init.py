"""Delta init: every table that Spark's jobs own exists, empty where nothing has come yet."""

from __future__ import annotations

import logging

from smartshelf.io.delta import ensure_table
from smartshelf.settings import Settings
from spark_apps import tables

NAME = "delta_init"
log = logging.getLogger(__name__)


def run(config: Settings) -> None:
    """Create what is missing; cheap enough for every start."""
    made = [path.name for path, schema in tables.all_tables(config.delta_root).items() if ensure_table(path, schema)]
    if made:
        log.info("made Delta tables %s", ", ".join(made))
