"""The images' servers are configured from the same templates as the embedded ones."""

from __future__ import annotations

from pathlib import Path

from smartshelf.stack import containers


def test_every_server_template_renders_for_containers(tmp_path: Path) -> None:
    containers.render_servers(tmp_path)
    rendered = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert "advertised.listeners=PLAINTEXT://kafka:9092" in rendered["server.properties"]
    assert "bootstrap.servers=kafka:9092" in rendered["worker.properties"]
    assert "maxmemory-policy noeviction" in rendered["redis.conf"]
    assert "wal_level = logical" in rendered["postgresql.conf"]
    assert not any("$" in line for text in rendered.values() for line in text.splitlines() if line[:1] != "#")
