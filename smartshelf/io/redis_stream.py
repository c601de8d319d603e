"""Redis connections with settings that do not lose or repeat anything."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from smartshelf.errors import Unavailable

log = logging.getLogger(__name__)

#: One entry of a stream: its id and its fields.
Entry = tuple[bytes, dict[bytes, bytes]]

#: Longest BLOCK of an XREAD, real milliseconds; must stay well below the socket timeout.
BLOCK_MS = 1_000


def connect(url: str) -> redis.Redis:
    """A client that never retries a command by itself: a repeated XADD would be a second event.

    Replies are bytes; shapes do not depend on the server's protocol version.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=30,
        socket_connect_timeout=5,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        decode_responses=False,
        legacy_responses=False,
    )


def ping(client: redis.Redis) -> bool:
    """True when the server answers and has its data loaded; raises Unavailable otherwise."""
    try:
        return bool(client.ping())
    except redis.RedisError as failed:
        raise away(failed) from failed


def away(failed: redis.RedisError) -> Unavailable:
    """What a person is told of a Redis that does not answer."""
    return Unavailable(
        "Redis does not answer", value=str(failed), remedy="Is the store up? See `smartshelf status`; `up` starts it."
    )


def id_order(redis_id: str | bytes) -> tuple[int, int]:
    """A stream id as a number pair, for comparing: ids order as (milliseconds, sequence), not as text."""
    milliseconds, _, sequence = (redis_id.decode() if isinstance(redis_id, bytes) else redis_id).partition("-")
    return int(milliseconds), int(sequence or 0)


def read(client: redis.Redis, after: Mapping[str, str], count: int, block: int | None) -> dict[str, list[Entry]]:
    """Up to ``count`` entries of each stream after the given ids, in one atomic look at all of them.

    Waits up to ``block`` real milliseconds for the first entry; None: not at all. Streams without entries are left out.
    """
    streams: dict[Any, Any] = dict(after)
    reply: Any = client.xread(streams, count=count, block=block) or {}
    return {name.decode(): entries for name, entries in reply.items()}


def last_generated_id(client: redis.Redis, stream: str) -> str:
    """Last id a stream ever gave out, also when its entries are trimmed; "0-0" when there is no stream."""
    try:
        return str(client.xinfo_stream(stream)["last-generated-id"].decode())
    except redis.ResponseError:
        return "0-0"
