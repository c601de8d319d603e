"""The clock as a state machine of orders, holds, restarts, stalls and wall-clock jumps around the pure `pace`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from simulated_time.clock import STALL_SECONDS, Anchor, Grid, Seen, lead_ms, pace

START, STEP = 1_767_250_800_000, 60_000
GRID = Grid(START, STEP, START + 2 * 1440 * STEP)
SPEEDS = st.floats(0.01, 100_000)


class ClockMachine(RuleBasedStateMachine):
    """Redis is `seen`; the service's memory is `anchor`, which a restart loses."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen("running", 60.0, None, 1, False, START, START)
        self.anchor: Anchor | None = None
        self.now, self.wall = 1_000.0, 0

    def order(self, **changes) -> None:
        """As the scripts do: a new version, and no target beyond the running step for a new order."""
        end = GRID.step_end(self.seen.world_ms)
        target = end if changes.get("held") else min(self.seen.target_ms, end)
        self.seen = replace(self.seen, version=self.seen.version + 1, target_ms=target, **changes)

    @rule(elapsed=st.floats(0.0, STALL_SECONDS), share=st.floats(0, 1))
    def turn(self, elapsed, share) -> None:
        before = self.seen
        self.now += elapsed
        self.anchor, target = pace(self.anchor, before, GRID, now=self.now, wall_ms=self.wall)
        assert target >= before.target_ms, "the target fell"
        assert target <= GRID.end_ms, "the target passed the end"
        if before.held:
            assert target == before.target_ms, "the target moved under a hold"
        elif before.mode == "running":
            lead = lead_ms(before.speed, STEP)
            assert target <= max(before.target_ms, before.world_ms + lead), "the target ran away from the world"
        elif before.mode == "advance":
            assert target <= max(before.target_ms, before.goal_ms), "the target passed the goal"
        self.seen = replace(before, target_ms=target)
        self.live(share)

    @rule(share=st.floats(0, 1))
    def live(self, share) -> None:
        lived = self.seen.world_ms + int((self.seen.target_ms - self.seen.world_ms) * share)
        self.seen = replace(self.seen, world_ms=lived)

    @rule(speed=SPEEDS)
    def set_speed(self, speed) -> None:
        self.order(mode="running", speed=speed, goal_ms=None, held=False)

    @rule()
    def auto(self) -> None:
        self.order(mode="auto", goal_ms=None, held=False)

    @rule(steps=st.integers(1, 500))
    @precondition(lambda self: self.seen.world_ms < GRID.end_ms)
    def advance(self, steps) -> None:
        goal = min(GRID.step_end(self.seen.world_ms) + steps * STEP, GRID.end_ms)
        self.order(mode="advance", goal_ms=goal, held=False)

    @rule()
    def hold(self) -> None:
        self.order(held=True)
        assert (self.seen.target_ms - START) % STEP == 0, "a hold in mid-step"

    @rule()
    def release(self) -> None:
        self.order(held=False)

    @rule(wall=st.integers(-(10**13), 10**14))
    def wall_clock_jumps(self, wall) -> None:
        self.wall = wall

    @rule(off=st.floats(0, 1e6))
    def killed_and_started_again(self, off) -> None:
        published = self.seen.target_ms
        self.anchor, self.now = None, self.now + off
        self.anchor, target = pace(self.anchor, self.seen, GRID, now=self.now, wall_ms=self.wall)
        if self.seen.mode == "running":
            assert target == published, "a night off moved the time"

    @rule(off=st.floats(STALL_SECONDS * 1.01, 1e6))
    def frozen(self, off) -> None:
        self.now += off
        self.anchor, target = pace(self.anchor, self.seen, GRID, now=self.now, wall_ms=self.wall)
        if self.seen.mode == "running":
            assert target == self.seen.target_ms, "a frozen service moved the time"

    @invariant()
    def the_world_is_never_ahead_of_the_target(self) -> None:
        assert self.seen.world_ms <= self.seen.target_ms


TestClock = ClockMachine.TestCase
TestClock.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
