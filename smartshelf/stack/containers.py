"""For the image build: ``python -m smartshelf.stack.containers FOLDER`` fills FOLDER/jars and FOLDER/conf.

The jars are the ones of ``make up``, the configurations come from the same templates; only names and
folders are those of the official images.
"""

from __future__ import annotations

import sys
from pathlib import Path

from smartshelf.settings import CHECKOUT
from smartshelf.stack import jars, java
from smartshelf.stack.launcher import render
from smartshelf.stack.layout import CONF, Layout

#: Configuration template -> values; ``bind`` is every address of the container, ``host`` its service name.
SERVERS: dict[Path, dict[str, object]] = {
    CONF / "redis" / "redis.conf": {"bind": "0.0.0.0", "port": 6379, "directory": "/data"},
    CONF / "postgres" / "postgresql.conf": {"bind": "*", "port": 5432},
    CONF / "kafka" / "server.properties": {
        "bind": "0.0.0.0",
        "host": "kafka",
        "port": 9092,
        "controller_port": 9093,
        "directory": "/var/lib/kafka/data",
    },
    CHECKOUT / "connect" / "worker.properties": {
        "bind": "0.0.0.0",
        "host": "connect",
        "port": 8083,
        "kafka": "kafka:9092",
        "offsets": "/var/lib/connect/offsets",
        "plugins": "/opt/smartshelf/plugins",
    },
}


def render_servers(folder: Path) -> None:
    """Write the configuration of every server into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for template, values in SERVERS.items():
        (folder / template.name).write_text(render(template.read_text(), **values))


def main() -> None:
    """Fetch and render; runs once, while the images are built."""
    target = Path(sys.argv[1])
    layout = Layout(home=target / "home", jars=target / "jars")
    layout.create()
    jars.ensure(layout, java.find(layout))
    render_servers(target / "conf")


if __name__ == "__main__":
    main()
