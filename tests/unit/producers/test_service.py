"""What the saver does when Redis fails; the loop itself is proved on real servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from producers import service as module
from producers.service import RedisSaver
from smartshelf.io import step_save
from smartshelf.io.step_save import Position
from smartshelf.service import Service
from smartshelf.settings import load

BEFORE, AFTER = Position(1, 4, 9, 1_000), Position(1, 4, 10, 2_000)
SAVE: dict[str, Any] = {"epoch": 1, "step": 4, "number": 9, "facts": [], "changes": {}, "until_ms": 2_000, "mark": None}


class Answers:
    """A Redis that fails as told, then takes the save."""

    def __init__(self, *failures: Exception) -> None:
        self.failures, self.calls = list(failures), 0

    def __call__(self, *_: Any, **__: Any) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "saved"


@pytest.fixture
def saver(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Callable[..., tuple[RedisSaver, Answers]]:
    def make(found: Position, *failures: Exception) -> tuple[RedisSaver, Answers]:
        answers = Answers(*failures)
        monkeypatch.setattr(step_save, "save", answers)
        monkeypatch.setattr(step_save, "read_position", lambda _: found)
        monkeypatch.setattr(module.redis_stream, "ping", lambda _: True)
        service = Service("producers", load({"SMARTSHELF_HOME": str(tmp_path)}))
        monkeypatch.setattr(service, "sleep", lambda _: None)
        return RedisSaver(service, object()), answers  # type: ignore[arg-type]

    return make


LOST = redis.ConnectionError("gone")
FULL = redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")


def test_a_save_whose_answer_got_lost_is_not_repeated(saver) -> None:
    save, answers = saver(AFTER, LOST)
    assert save(**SAVE) == "saved"
    assert answers.calls == 1


def test_a_save_that_never_arrived_is_sent_again(saver) -> None:
    save, answers = saver(BEFORE, LOST, redis.TimeoutError("slow"))
    assert save(**SAVE) == "saved"
    assert answers.calls == 3


@pytest.mark.parametrize("found", [Position(1, 4, 7, 500), Position(2, 4, 9, 1_000), Position(1, 4, 11, 3_000)])
def test_a_redis_that_stands_elsewhere_is_a_conflict(saver, found: Position) -> None:
    save, answers = saver(found, LOST)
    assert save(**SAVE) == "conflict"
    assert answers.calls == 1


def test_a_full_redis_is_waited_for_with_the_same_save(saver) -> None:
    save, answers = saver(BEFORE, FULL, FULL)
    assert save(**SAVE) == "saved"
    assert answers.calls == 3


def test_any_other_refusal_is_a_bug_and_shows(saver) -> None:
    save, _ = saver(BEFORE, redis.ResponseError("WRONGTYPE"))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        save(**SAVE)
