"""The broker's storage: formatted once with an id of its own."""

from __future__ import annotations

import base64
import subprocess
import uuid
from pathlib import Path

from smartshelf.errors import SmartShelfError
from smartshelf.stack import jars, progress
from smartshelf.stack.java import Java
from smartshelf.stack.layout import Layout


def cluster_id() -> str:
    """A random id as Kafka writes it: 16 bytes in URL-safe base64 without padding, never with a leading dash."""
    while (name := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return name


def format_storage(layout: Layout, runtime: Java, properties: Path) -> None:
    """Format the log folder unless it is formatted; raises SmartShelfError with Kafka's reason."""
    if (layout.state / "kafka" / "meta.properties").is_file():
        return
    progress.say("formatting Kafka's storage")
    command = [str(runtime.binary), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", jars.class_path(layout.jars / "kafka"), "kafka.tools.StorageTool", "format"]
    command += ["-t", cluster_id(), "-c", str(properties), "--ignore-formatted"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise SmartShelfError("Could not format Kafka's storage", value=(output or ["nothing said"])[-1])
