"""What io.postgres says without a server."""

from __future__ import annotations

from pathlib import Path

import psycopg2.extensions
import pytest

from smartshelf.errors import BadInput, Unavailable
from smartshelf.io import postgres
from smartshelf.settings import load


def config(tmp_path: Path, **changes: str):
    return load({"SMARTSHELF_HOME": str(tmp_path), **changes})


def test_any_character_may_stand_in_a_password(tmp_path: Path) -> None:
    password = "a:b@c/d%e f'ß"
    url = postgres.url(config(tmp_path, SMARTSHELF_POSTGRES_SINK_PASSWORD=password), "sink")
    assert (url.username, url.password) == ("smartshelf_sink", password)
    assert postgres.url(config(tmp_path)).password is None
    told = postgres.dsn(config(tmp_path, SMARTSHELF_POSTGRES_SINK_PASSWORD=password), "sink")
    assert psycopg2.extensions.parse_dsn(told)["password"] == password


def test_a_server_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    nowhere = config(tmp_path, SMARTSHELF_POSTGRES_PORT="1")
    with pytest.raises(Unavailable, match=r"Postgres does not answer.*Is the service postgres running"):
        postgres.answers(nowhere)


@pytest.mark.parametrize(("content", "reason"), [(None, "does not exist"), ("", "is empty")])
def test_a_file_to_load_that_is_missing_or_empty_is_named(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "lanes.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput, match=rf"lanes\.csv {reason}"):
        postgres.copy_csv(None, "config.lanes", path)  # type: ignore[arg-type]
