"""Every kind of command finds the stage that carries it out."""

from __future__ import annotations

import msgspec
import pytest

from smartshelf.contracts import commands
from smartshelf.contracts.rows import Command
from smartshelf.contracts.stages import STAGES
from tests.loop import START


def read(what: object) -> commands.Asked:
    text = what if isinstance(what, str) else msgspec.json.encode(what).decode()
    return commands.read(Command(store_id="S01", command_id="c", who="ANNA", what=text, at=START))


@pytest.mark.parametrize("stage", STAGES)
def test_an_alerts_id_names_the_stage_that_owns_it(stage: str) -> None:
    asked = read({"kind": "ack_alert", "alert_id": commands.alert_name(stage, "0a1b")})
    assert (asked.stage, asked.problem) == (stage, "")


def test_a_count_is_for_whoever_keeps_the_books_of_the_place() -> None:
    count = {"kind": "count", "shelf_id": "X", "quantity": 0, "batch_code": "B"}
    assert read(count).stage == "shelf_aggregator"
    assert read(count | {"location": "warehouse"}).stage == "restock_manager"


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"kind": 3}', '{"kind": "order"}', '{"note": "x"}'])
def test_what_cannot_be_read_is_answered_by_the_first_stage_with_a_reason(text: str) -> None:
    asked = read(text)
    assert (asked.stage, asked.what) == (STAGES[0], None)
    assert asked.problem


def test_every_kind_but_those_of_alerts_has_an_owner() -> None:
    of_alerts = {str(kind.__struct_config__.tag) for kind in commands.ALERT_COMMANDS}
    assert set(commands.OWNERS) == set(commands.KINDS) - of_alerts
