"""Ports: the usual ones, free ones where those are taken, the same ones next time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from smartshelf.errors import SettingError, SmartShelfError

#: What each server listens on unless told otherwise.
USUAL = {
    "redis": 6379,
    "kafka": 9092,
    "kafka-controller": 9093,
    "connect": 8083,
    "postgres": 5432,
    "dashboard": 8501,
}

#: Substitutes start here above the usual port: below the range from which the kernel takes the
#: ports of outgoing connections (32768 and up), so that no client of ours can sit on them.
SUBSTITUTES = range(10_000, 20_000, 10)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As the servers do: a connection that is still closing does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose(
    wished: Mapping[str, int],
    remembered: Mapping[str, int],
    free: Callable[[int], bool] = is_free,
) -> dict[str, int]:
    """A port for every server.

    ``wished`` are those a setting names; one that is taken is an error. All others are the
    remembered port, the usual port or the first free substitute, in this order.
    """
    chosen: dict[str, int] = {}
    for name, usual in USUAL.items():
        if name in wished:
            if not free(wished[name]) or wished[name] in chosen.values():
                raise SettingError(
                    f"The port set for {name} is taken",
                    value=wished[name],
                    remedy="Stop what listens there, or leave the setting out to get a free port.",
                )
            chosen[name] = wished[name]
            continue
        candidates = [remembered.get(name, usual), usual, *(usual + step for step in SUBSTITUTES)]
        avoid = {*chosen.values(), *wished.values()}
        port = next((port for port in candidates if port not in avoid and free(port)), None)
        if port is None:
            raise SmartShelfError(f"No free port for {name}", value=usual, remedy="Stop some of the machine's servers.")
        chosen[name] = port
    return chosen


@contextmanager
def claims(folder: Path) -> Iterator[None]:
    """One store of this user at a time chooses ports: between choosing and listening lie seconds."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def claim(folder: Path, store: Path, chosen: Mapping[str, int]) -> None:
    """Tell the user's other stores which ports the store with home ``store`` will listen on."""
    (folder / f"{_claim_name(store)}.json").write_text(json.dumps({"store": str(store), "ports": [*chosen.values()]}))


def claimed(folder: Path, store: Path, lives: Callable[[Path], bool]) -> set[int]:
    """The ports of this user's other stores that live; forgets stores that do not."""
    found: set[int] = set()
    for file in folder.glob("*.json"):
        try:
            told = json.loads(file.read_text())
        except ValueError:  # its store was killed while it wrote
            file.unlink()
            continue
        if Path(told["store"]) == store:
            continue
        if lives(Path(told["store"])):
            found.update(told["ports"])
        else:
            file.unlink()
    return found


def _claim_name(store: Path) -> str:
    return hashlib.sha256(os.fsencode(store)).hexdigest()[:16]


def recall(path: Path) -> dict[str, int]:
    """The ports of last time; {} the first time."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: int(port) for name, port in found.items() if name in USUAL}


def remember(path: Path, chosen: Mapping[str, int]) -> None:
    """Keep the ports for next time."""
    path.write_text(json.dumps(dict(chosen), indent=1) + "\n")
