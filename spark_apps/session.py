"""The Spark session: conf/spark-defaults.conf plus what depends on this machine and store."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import psutil
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
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
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    scratch = _scratch(config.home / "run" / "spark")
    settings = defaults(DEFAULTS.read_text()) | {
        "spark.driver.extraClassPath": class_path(config.jars / "spark"),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }
    conf = SparkConf().setAppName(name).setAll(list(settings.items()))
    # A group of its own: a signal to this process's group must not take the JVM away in the middle of a batch.
    # It ends by itself when this process does, however that ends.
    gateway = launch_gateway(conf, {"process_group": 0})
    return SparkSession(SparkContext(conf=conf, gateway=gateway))


def _scratch(root: Path) -> Path:
    """A folder for this process's temporary files; those of killed processes are removed."""
    root.mkdir(parents=True, exist_ok=True)
    for left in root.iterdir():
        if left.name.isdigit() and (int(left.name) == os.getpid() or not psutil.pid_exists(int(left.name))):
            shutil.rmtree(left, ignore_errors=True)
    mine = root / str(os.getpid())
    mine.mkdir()
    return mine
