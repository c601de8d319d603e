"""Which changes of a schema are compatible: those after which everything that was valid still is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from smartshelf.contracts import generate
from smartshelf.contracts.render import jsonschema
from smartshelf.contracts.render.compatible import incompatibilities
from smartshelf.contracts.topics import TOPICS


def schema(**fields: Any) -> dict[str, Any]:
    """A shape with these fields; (type, default) for one that may be left out."""
    parts = [(name, *kind) if isinstance(kind, tuple) else (name, kind) for name, kind in fields.items()]
    return msgspec.json.schema(msgspec.defstruct("Shape", parts, kw_only=True))


Small, Large = Annotated[int, Meta(ge=0, le=10)], Annotated[int, Meta(ge=-1, le=20)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": int}, {"a": int}),
        ({"a": int}, {"a": int, "b": (int | None, None)}),
        ({"a": int}, {"a": int, "b": (str, "x")}),
        ({"a": int}, {"a": (int, 5)}),
        ({"a": int}, {"a": int | None}),
        ({"a": Small}, {"a": Large}),
        ({"a": Small}, {"a": int}),
        ({"a": Literal["x"]}, {"a": Literal["x", "y"]}),
        ({"a": list[Small]}, {"a": list[Large]}),
    ],
)
def test_what_only_adds_or_allows_more_is_compatible(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert incompatibilities(schema(**old), schema(**new)) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": int, "b": int}, {"a": int}, "Shape.b is gone"),
        ({"a": int}, {"a": int, "b": int}, "Shape.b must be there now"),
        ({"a": (int, 5)}, {"a": int}, "Shape.a must be there now"),
        ({"a": int}, {"a": str}, "Shape.a allows less: type was integer, is string"),
        ({"a": int | None}, {"a": int}, "Shape.a may no longer be null"),
        ({"a": Large}, {"a": Small}, "Shape.a allows less: maximum was 20, is 10"),
        ({"a": int}, {"a": Small}, "Shape.a allows less: maximum was None, is 10"),
        ({"a": Literal["x", "y"]}, {"a": Literal["x"]}, "Shape.a allows less: enum was ['x', 'y'], is ['x']"),
        ({"a": list[Large]}, {"a": list[Small]}, "Shape.a[] allows less: maximum was 20, is 10"),
    ],
)
def test_what_refuses_a_record_that_was_valid_is_told(old: dict[str, Any], new: dict[str, Any], told: str) -> None:
    assert told in incompatibilities(schema(**old), schema(**new))


def test_a_topic_may_get_an_event_type_and_never_loses_one() -> None:
    class A(Struct, tag="a"):
        n: int

    class B(Struct, tag="b"):
        n: int

    one, two = msgspec.json.schema(A), msgspec.json.schema(A | B)
    assert incompatibilities(one, two) == []
    assert "B is gone" in incompatibilities(two, one)


def test_the_schemas_of_this_checkout_keep_what_the_committed_ones_promise() -> None:
    assert generate.broken_promises(generate.CHECKOUT, generate.rendered()) == []


def test_an_incompatible_contract_is_not_written_over_the_one_that_others_rely_on(tmp_path: Path) -> None:
    path = generate.SCHEMAS / "cold_chain.json"
    now = jsonschema.topic_schema(TOPICS["cold_chain"])
    before = msgspec.json.decode(msgspec.json.encode(now))
    before["$defs"]["Reading"]["properties"]["humidity"] = {"type": "number"}
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(msgspec.json.encode(before))
    assert generate.broken_promises(tmp_path, generate.rendered()) == ["cold_chain: Reading.humidity is gone"]
