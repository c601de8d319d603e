"""The bridge's start, without servers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import redis

from bridge import forward
from smartshelf.errors import Unavailable
from smartshelf.settings import load


@pytest.mark.parametrize("away", [redis.ConnectionError("refused"), redis.TimeoutError("too slow")])
def test_a_redis_that_goes_away_or_hangs_while_the_bridge_starts_is_told_in_a_sentence(
    away: redis.RedisError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise away

    monkeypatch.setattr(forward, "Bridge", fails)
    service = SimpleNamespace(settings=load({}), wait_for=lambda *_: None, sleep=None)
    with pytest.raises(Unavailable, match="Redis does not answer"):
        forward.run(service)  # type: ignore[arg-type]
