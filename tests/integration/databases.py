"""Databases of their own inside the servers' Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest

from smartshelf.init import database
from smartshelf.io import postgres
from smartshelf.io.postgres import dsn
from smartshelf.settings import Settings
from tests.integration.servers import Servers


@contextmanager
def database_of_its_own(servers: Servers) -> Iterator[Settings]:
    """Settings of a database without tables; the roles exist. It is dropped in the end."""
    name = f"test_{uuid.uuid4().hex}"
    admin = psycopg2.connect(dsn(servers.config, "owner"))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"create database {name}")
    config = servers.config.model_copy(update={"postgres_db": name})
    with postgres.connect(config) as connection:
        database.ensure_roles(connection, config)
    yield config
    with admin.cursor() as cursor:
        cursor.execute(f"drop database {name} with (force)")
    admin.close()


def ask(config: Settings, statement: str, *values: Any, role: postgres.Role = "owner") -> list[tuple[Any, ...]]:
    """The rows of one statement in a transaction of its own."""
    with postgres.connect(config, role) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


def refusal(config: Settings, statement: str, *values: Any, role: postgres.Role = "owner") -> psycopg2.Error:
    """Why Postgres refuses a statement; fails the test when it does not."""
    with pytest.raises(psycopg2.Error) as caught:
        ask(config, statement, *values, role=role)
    return caught.value
