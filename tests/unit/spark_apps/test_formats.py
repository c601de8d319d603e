"""A state of another shape has another format: a store that is upgraded then has it built anew."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import pytest

from spark_apps.jobs import STAGES
from spark_apps.runtime import books, codec, handover
from spark_apps.runtime.books import Books
from spark_apps.runtime.config import StoreConfig
from spark_apps.runtime.engine import CONFIG, RUNTIME, Runtime
from spark_apps.runtime.stage import Stage
from spark_apps.runtime.writing import Deciding

#: Format and shape of the state of every stage that keeps one, and of the books.
KNOWN = {
    "shelf_aggregator": (1, 1954649447),
    "shelf_alerts": (1, 3537047382),
    "warehouse_alerts": (2, 3309281930),
    "restock_manager": (2, 2374079672),
    "refill_bridge": (1, 4040922272),
    "supplier_manager": (1, 789584177),
    "daily_discounts": (3, 282585075),
    "expired_removal": (1, 2133692647),
    "shrink": (1, 506945773),
    "daily_features": (2, 1765556490),
    "books": (2, 4270581272),
}


def _outline(value: Any) -> Any:
    """Names and types, without descriptions and packed columns."""
    if isinstance(value, dict):
        return {name: _outline(part) for name, part in value.items() if name != "description"}
    if isinstance(value, list):
        return [_outline(part) for part in value]
    return "bytes" if isinstance(value, bytes) else value


def _number(outline: Any) -> int:
    return zlib.crc32(msgspec.json.encode(_outline(outline), order="deterministic"))


def shape(stage: Stage[Any]) -> int:
    """A number for the fields and types of a state; of one that is no struct, for an empty one."""
    if isinstance(stage, Deciding):
        return _number(msgspec.json.schema(stage.made))
    return _number(msgspec.msgpack.decode(stage.dump(stage.new())))


def shapes() -> dict[str, tuple[int, int]]:
    kept = {stage.name: (stage.version, shape(stage)) for stage in STAGES if stage.version}
    empty = [msgspec.msgpack.decode(value) for value in Books().dump().values()]
    return kept | {"books": (books.FORMAT, _number(empty))}


def test_a_state_of_another_shape_has_another_format() -> None:
    assert shapes() == KNOWN, (
        "raise the stage's `version` (or books.FORMAT) where a shape has changed, and note it here"
    )


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_state_is_written_in_the_format_that_its_stage_names(stage: Stage[Any]) -> None:
    assert codec.version_of(stage.dump(stage.new())) == stage.version


def test_the_formats_of_a_process_are_those_of_all_that_it_keeps() -> None:
    kept = {RUNTIME: Runtime().dump(), CONFIG: StoreConfig().dump()} | Books().dump()
    kept |= {f"stage:{stage.name}": stage.dump(stage.new()) for stage in STAGES}
    assert handover.formats(STAGES) == {name: codec.version_of(value) for name, value in kept.items()}
    assert handover.unreadable(kept, STAGES) == {}
    newer = kept | {CONFIG: codec.pack(99, b""), "stage:shrink": codec.pack(0, b"")}
    assert handover.unreadable(newer, STAGES) == {CONFIG: 99, "stage:shrink": 0}
