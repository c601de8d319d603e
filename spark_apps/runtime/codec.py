"""Versioned binary values: how state is kept in Spark's state store and brought forward to Delta.

A value is msgpack of (format version, body). Upgrading an old format is our code (``upgrades``), not
Spark's schema evolution; a newer format than this code knows is refused, never guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from smartshelf.errors import SmartShelfError

#: Equal states are equal bytes, whatever the order in which they came about.
_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder().decode
_decode_version = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw]).decode

#: format version -> function from its body to the body of the next version
Upgrades = Mapping[int, Callable[[Any], Any]]


def pack(version: int, body: Any) -> bytes:
    """A body of plain values, lists, maps and bytes, with its format version."""
    return _encode((version, body))


def version_of(data: bytes) -> int:
    """The format version of a value; 0 of an empty one, which a stage without state leaves."""
    return _decode_version(data)[0] if data else 0


def reads(version: int, newest: int, upgrades: Upgrades | None = None) -> bool:
    """Whether ``unpack`` takes a value in this format."""
    while version < newest and upgrades and version in upgrades:
        version += 1
    return version == newest


def unpack(data: bytes, newest: int, what: str, upgrades: Upgrades | None = None) -> Any:
    """The body in format ``newest``, upgraded step by step where it is older.

    SmartShelfError when the value was written by newer code, or no upgrade leads here.
    """
    version, body = _decode(data)
    while version < newest and upgrades and version in upgrades:
        body, version = upgrades[version](body), version + 1
    if version != newest:
        raise SmartShelfError(
            f"The state '{what}' has a format that this version of the code does not read",
            value=version,
            remedy=f"It reads up to {newest}. Start the version that wrote it.",
        )
    return body
