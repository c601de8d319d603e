"""The reading of contract classes that every renderer starts from."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import UNSET, Struct, UnsetType

from smartshelf.contracts import events as e
from smartshelf.contracts.render.columns import Column, ListOf, MapOf, Record, Scalar, columns, merged
from smartshelf.contracts.rows import JobProgress, ShelfPolicy, ShelfProfile
from smartshelf.contracts.topics import TOPICS


def named(shape: type[Struct]) -> dict[str, Column]:
    return {column.name: column for column in columns(shape)}


def test_the_event_type_comes_first() -> None:
    assert columns(e.Pickup)[0] == Column("event_type", Scalar("text", description="what happened"), nullable=False)
    assert columns(ShelfProfile)[0].name == "store_id"


def test_a_field_with_a_none_default_is_nullable_and_one_with_a_value_is_not() -> None:
    policy = named(ShelfPolicy)
    assert policy["store_id"].nullable
    assert not policy["active"].nullable
    assert not policy["active"].required
    assert policy["policy_id"].required


def test_a_field_that_may_be_left_out_is_nullable() -> None:
    assert named(e.WhIn)["transport_kwh"].nullable


def test_meaning_beyond_the_python_type_is_kept() -> None:
    assert named(ShelfPolicy)["policy_id"].type == Scalar("uuid")
    kinds = {name: column.type.kind for name, column in named(ShelfProfile).items() if isinstance(column.type, Scalar)}
    assert kinds["item_price"] == "money"
    assert kinds["item_weight"] == "float"
    assert kinds["aisle"] == "integer"
    expiry = named(e.WhIn)["expiry_date"].type
    assert isinstance(expiry, Scalar)
    assert expiry.kind == "date"


def test_literals_keep_their_values_and_numbers_their_bounds() -> None:
    zone = named(ShelfProfile)["storage_zone"].type
    assert isinstance(zone, Scalar)
    assert zone.allowed == ("ambient", "chilled", "frozen")
    quantity = named(e.Pickup)["quantity"].type
    assert isinstance(quantity, Scalar)
    assert (quantity.minimum, quantity.maximum) == (1, 10_000)


def test_nested_parts_are_read_through() -> None:
    items = named(e.PosTransaction)["items"].type
    assert isinstance(items, ListOf)
    assert isinstance(items.item, Record)
    assert [column.name for column in items.item.columns][:3] == ["line_no", "shelf_id", "batch_code"]
    assert named(JobProgress)["offsets"].type == MapOf(MapOf(Scalar("integer")))


def test_events_of_a_topic_merge_into_one_nullable_row_in_which_shared_fields_come_once() -> None:
    wide = merged(TOPICS["shelf_events"].events)
    names = [column.name for column in wide]
    assert len(names) == len(set(names))
    assert {"customer_id", "delta_weight", "adjustment", "batch_code", "plan_id"} <= set(names)
    assert all(column.nullable for column in wide)


def test_one_name_with_two_types_in_a_topic_is_refused() -> None:
    class Clash(e.Event, tag="clash", kw_only=True):
        quantity: str

    with pytest.raises(TypeError, match=r"Clash\.quantity has another type"):
        merged([e.Pickup, Clash])


def test_a_type_that_no_renderer_knows_is_refused_by_name() -> None:
    class Odd(Struct):
        price: Decimal

    with pytest.raises(TypeError, match=r"Odd\.price: no renderer knows DecimalType"):
        columns(Odd)


def test_a_union_of_two_types_is_refused() -> None:
    class Either(Struct):
        value: int | str | UnsetType | None = UNSET

    with pytest.raises(TypeError, match=r"Either\.value"):
        columns(Either)
