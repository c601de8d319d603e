"""The Spark session: conf/spark-defaults.conf plus what depends on this machine and store."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from smartshelf.errors import SmartShelfError
from smartshelf.settings import CHECKOUT, Settings

DEFAULTS = CHECKOUT / "conf" / "spark-defaults.conf"


def defaults(text: str) -> dict[str, str]:
    """``name value`` lines; ``#`` begins a comment line."""
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


def class_path(folder: Path) -> str:
    """Every jar that Spark needs beyond its own; SmartShelfError when there is none."""
    jars = sorted(str(path) for path in folder.glob("*.jar"))
    if not jars:
        raise SmartShelfError("Spark's jars are not there", value=str(folder), remedy="`smartshelf up` fetches them.")
    return os.pathsep.join(jars)


def start(config: Settings, name: str = "smartshelf") -> SparkSession:
    """Start the JVM of this process; call once, before anything else touches Spark."""
    # Spark's own default is whatever `python3` means on the PATH.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    scratch = config.home / "run" / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    settings = defaults(DEFAULTS.read_text()) | {
        "spark.driver.extraClassPath": class_path(config.jars / "spark"),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }
    builder = SparkSession.builder.appName(name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
