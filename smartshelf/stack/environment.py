"""``store.env``: how every process finds the embedded store, and the settings it was started with."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from smartshelf.errors import SettingError
from smartshelf.settings import Settings, known_settings, read_env_file
from smartshelf.stack.layout import Layout

ROLES = ("OWNER", "SINK", "DEBEZIUM", "ANALYST", "APP", "RUNNER")

#: Which setting names the address of which server.
ADDRESSES = {
    "redis": "SMARTSHELF_REDIS_URL",
    "kafka": "SMARTSHELF_KAFKA",
    "connect": "SMARTSHELF_CONNECT_URL",
    "postgres": "SMARTSHELF_POSTGRES_PORT",
    "dashboard": "SMARTSHELF_DASHBOARD_URL",
}

#: Settings that say where this store is: taken from where it runs, never from an earlier start.
_PLACES = {"SMARTSHELF_HOME", "SMARTSHELF_EPOCH", "SMARTSHELF_POSTGRES_HOST", *ADDRESSES.values()}
_DATABASE = "SMARTSHELF_POSTGRES_DB"


def wished_ports(environ: Mapping[str, str]) -> dict[str, int]:
    """The ports asked for by address settings in ``environ``; SettingError for one that is not on this machine."""
    wishes = {}
    for server, name in ADDRESSES.items():
        if not (value := environ.get(name)):
            continue
        address = urlsplit(value if "://" in value else f"//{value if ':' in value else ':' + value}")
        try:
            port = address.port
        except ValueError:
            port = None
        if port is None or address.hostname not in {None, "127.0.0.1", "localhost"}:
            raise SettingError(
                f"The setting {name} must name a port of this machine to start {server} here",
                value=value,
                remedy="Leave it out to get a free port, or use host 127.0.0.1.",
            )
        wishes[server] = port
    return wishes


def compose(
    ports: Mapping[str, int], epoch: int, environ: Mapping[str, str], before: Mapping[str, str]
) -> dict[str, str]:
    """The content of ``store.env``.

    Product settings given to an earlier ``up`` (``before``) stay until they are given anew or the
    store is reset: a store goes on as what it was. Passwords are made once.
    """
    product = known_settings() - _PLACES
    passwords = [f"SMARTSHELF_POSTGRES_{role}_PASSWORD" for role in ROLES]
    return {
        **{name: value for name, value in before.items() if name in product},
        **{name: value for name, value in environ.items() if name in product},
        **{name: environ.get(name) or before.get(name) or secrets.token_hex(16) for name in passwords},
        "SMARTSHELF_EPOCH": str(epoch),
        "SMARTSHELF_POSTGRES_HOST": "127.0.0.1",
        # Connect resolves this name itself, so it has to be in the environment even when it is the default.
        _DATABASE: environ.get(_DATABASE) or before.get(_DATABASE) or Settings.model_fields["postgres_db"].default,
        "SMARTSHELF_POSTGRES_PORT": str(ports["postgres"]),
        "SMARTSHELF_REDIS_URL": f"redis://127.0.0.1:{ports['redis']}/0",
        "SMARTSHELF_KAFKA": f"127.0.0.1:{ports['kafka']}",
        "SMARTSHELF_CONNECT_URL": f"http://127.0.0.1:{ports['connect']}",
        "SMARTSHELF_DASHBOARD_URL": f"http://127.0.0.1:{ports['dashboard']}",
    }


def path(layout: Layout) -> Path:
    """The file that ``smartshelf.settings`` reads."""
    return layout.home / "store.env"


def write(layout: Layout, values: Mapping[str, str]) -> None:
    """Write ``store.env`` so that only this user can read its passwords, and never half."""
    write_private(path(layout), "".join(f"{name}={value}\n" for name, value in sorted(values.items())))


def read(layout: Layout) -> dict[str, str]:
    """The content of ``store.env``; {} before the first ``up``."""
    return read_env_file(path(layout))


def write_private(target: Path, text: str) -> None:
    """Replace a file in one step, readable by this user alone."""
    draft = target.with_name(target.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(target)


def epoch(layout: Layout) -> int:
    """How many lives this store has had: 1, and one more by every ``reset``."""
    try:
        return int((layout.home / "epoch").read_text())
    except (FileNotFoundError, ValueError):
        return 1


def raise_epoch(layout: Layout) -> int:
    """Begin the next life; returns its number."""
    number = epoch(layout) + 1
    (layout.home / "epoch").write_text(f"{number}\n")
    return number
