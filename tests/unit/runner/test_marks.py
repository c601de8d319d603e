"""Done marks: the slowest store counts, and only this epoch's marks."""

from __future__ import annotations

import msgspec

from smartshelf.contracts.control import Done, Task
from smartshelf.runner.marks import Marks


def heard(*messages: msgspec.Struct) -> Marks:
    marks = Marks.__new__(Marks)
    marks._stores, marks._epoch, marks._reached = ("S01", "S02"), 2, {}
    for message in messages:
        marks.hear(msgspec.json.encode(message))
    return marks


def done(store: str, k: int, epoch: int = 2) -> Done:
    return Done(store_id=store, stage="shrink", k=k, epoch=epoch, offsets={})


def test_a_stage_has_done_what_it_has_done_for_every_store() -> None:
    assert heard(done("S01", 5)).done("shrink") == -1
    assert heard(done("S01", 5), done("S02", 3), done("S01", 4)).done("shrink") == 3


def test_tasks_and_marks_of_another_epoch_count_for_nothing() -> None:
    task = Task(task_id="t", kind="price", store_id="S01", step=1, do_at=9)
    assert heard(task, done("S01", 5, epoch=1), done("S02", 5)).done("shrink") == -1
