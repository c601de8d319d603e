"""What a stage is: a job that decides or keeps state, as a pure function of its inputs.

To add one: a file in spark_apps/jobs with a ``Stage``, its name in contracts/stages.py, a line in the registry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, NamedTuple, TypeVar

from smartshelf.contracts.events import Event
from spark_apps.runtime.config import StoreConfig

S = TypeVar("S")


class Step(NamedTuple):
    """Step ``k`` ends at ``at`` = T(k). ``n`` > 0: an extra cut while the clock stands, after step k is decided."""

    k: int
    n: int
    at: datetime


class Output(NamedTuple):
    """A record for a topic. A stage's own facts name its source (``job:NAME``) and the step in their envelope."""

    topic: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True)
class Scope:
    """What rows of a store carry beside their content."""

    store_id: str
    epoch: int
    as_of_step: int


class Stage(ABC, Generic[S]):
    """One job. All methods are deterministic: no clock, no I/O, no randomness, nothing kept on ``self``."""

    #: As in contracts/stages.py.
    name: ClassVar[str]
    #: Fact topics it folds, its own and other stages' included.
    facts: ClassVar[frozenset[str]]
    #: Configuration topics it needs.
    config: ClassVar[frozenset[str]] = frozenset({"shelf_profiles"})
    #: Fact topics that it writes itself; they count one step later, in this stage too.
    writes: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def new(self) -> S:
        """The state before step 0."""

    @abstractmethod
    def load(self, data: bytes) -> S:
        """State from its versioned binary value."""

    @abstractmethod
    def dump(self, state: S) -> bytes:
        """State as a versioned binary value."""

    @abstractmethod
    def advance(self, state: S, facts: Sequence[Event], config: StoreConfig, step: Step) -> tuple[S, list[Output]]:
        """Fold one step's facts and decide as of T(k). The state passed in may be changed: use the one returned.

        ``config`` holds up to the step's cut and says what the cut changed. Every fact names shelves with a
        profile, or none.
        """

    @abstractmethod
    def live(self, state: S, pending: Sequence[Event]) -> S:
        """The view of now: a copy of ``state`` with the facts of steps to come."""

    @abstractmethod
    def rows(self, before: S | None, after: S, config: StoreConfig, scope: Scope) -> list[Output]:
        """State rows whose version differs between two live views; all of ``after`` when ``before`` is None."""
