"""Commands are done once and in order, however often capture repeats them and however their records are batched."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from smartshelf.contracts import events as e
from smartshelf.contracts.rows import Alert, CommandOutcome, RestockPlan
from spark_apps.runtime.engine import StoreEngine
from spark_apps.runtime.records import Record
from tests.loop import Loop
from tests.unit.spark_apps.test_commands import STAGES
from tests.worlds import small_body

seeds = st.integers(0, 2**32)
DECIDED = (CommandOutcome, Alert, RestockPlan, e.Count, e.WhAdjust, e.WhOut, e.Reserve)
UNTIL = 260


class Entered(NamedTuple):
    step: int
    command_id: str
    what: dict[str, Any]


class Recorded(Loop):
    """Keeps every record that the engine was given."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.fed: list[Record] = []
        super().__init__(*arguments, **options)

    def _batch(self, k: int) -> None:
        self.fed += self._waiting
        super()._batch(k)


def lived(seed: int, entered: list[Entered], batches: int = 0) -> Recorded:
    """A small store in which these commands are entered, at the end of the steps they name."""
    loop = Recorded(STAGES, small_body(shelves=6, visits=400.0, seed=seed), seed=batches)
    for command in sorted(entered, key=lambda each: each.step):
        loop.live(command.step)
        loop.command(command_id=command.command_id, **command.what)
    return loop.live(UNTIL)


def wishes(seed: int) -> list[Entered]:
    """Commands about what a store without any comes to, some of them about nothing."""
    loop, chance = lived(seed, []), random.Random(seed)
    shelves = [profile.shelf_id for profile in loop.profiles]
    made: list[Entered] = []

    def enter(step: int, **what: Any) -> None:
        made.append(Entered(min(step, UNTIL - 1), f"command-{len(made)}", what))

    for alert in loop.sent(Alert)[:12]:
        kind = chance.choice(["ack_alert", "dismiss_alert"])
        enter(alert.step + chance.randrange(20), kind=kind, alert_id=alert.alert_id)
    for plan in loop.sent(RestockPlan)[:8]:
        enter(plan.as_of_step + chance.randrange(5), kind="cancel_plan", plan_id=plan.plan_id)
    for _ in range(10):
        shelf_id, quantity = chance.choice([*shelves, "NOWHERE"]), chance.randrange(60)
        enter(chance.randrange(1, UNTIL), kind="count", shelf_id=shelf_id, quantity=quantity)
    return made


def decisions(loop: Loop) -> list[object]:
    return [value for _, _, value in loop.log if isinstance(value, DECIDED)]


@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_repeated_commands_change_nothing_and_every_command_is_answered_once(seed: int) -> None:
    once = wishes(seed)
    chance = random.Random(seed)
    again = [each._replace(step=chance.randrange(each.step, UNTIL)) for each in once for _ in range(2)]
    plain, repeated = lived(seed, once), lived(seed, once + again)
    assert decisions(plain) == decisions(repeated)
    answered = [outcome.command_id for outcome in plain.sent(CommandOutcome)]
    assert sorted(answered) == sorted(each.command_id for each in once)


@settings(max_examples=3, deadline=None)
@given(seed=seeds, batches=st.integers(1, 2**32))
def test_a_rebuild_from_all_records_ends_in_the_same_state(seed: int, batches: int) -> None:
    loop = lived(seed, wishes(seed), batches)
    engine = StoreEngine(loop.store_id, STAGES, epoch=1, step_seconds=60)
    records = list(loop.fed)
    random.Random(batches).shuffle(records)
    engine.process(records)
    rebuilt = engine.dump()
    states = {name for name in loop.values if name != "runtime"}
    assert {name: rebuilt[name] for name in states} == {name: loop.values[name] for name in states}
