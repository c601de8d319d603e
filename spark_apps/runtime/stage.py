"""What a stage is: a job that decides or keeps state, as a pure function of its inputs.

To add one: a file in spark_apps/jobs with a ``Stage``, its name in contracts/stages.py, a line in the registry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from msgspec.structs import replace

from smartshelf.contracts.events import Event
from smartshelf.contracts.rows import MirrorRow
from spark_apps.runtime.books import TOPICS, Books
from spark_apps.runtime.config import CONFIGURATION, StoreConfig

S = TypeVar("S")
R = TypeVar("R", bound=MirrorRow)
TICKS = "sim_ticks"


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

    def row(self, kind: type[R], version: int, **content: Any) -> R:
        """A row of ``kind``: this scope, its version, and the fields that are its own."""
        content["store_id"] = self.store_id
        return kind(epoch=self.epoch, version=version, as_of_step=self.as_of_step, **content)

    def next(self, row: R, **changes: Any) -> R:
        """The next version of a row."""
        version = row.version + 1
        return replace(row, epoch=self.epoch, version=version, as_of_step=self.as_of_step, **changes)


class Step(NamedTuple):
    """Step ``k`` ends at ``at`` = T(k). ``n`` > 0: an extra cut while the clock stands, after step k is decided.

    ``since`` = T(k-1); ``scope``: what the rows decided in this step carry.
    """

    k: int
    n: int
    at: datetime
    since: datetime
    scope: Scope

    @property
    def closes_day(self) -> bool:
        """Whether a day that the store has lived ends with this step; never while the clock stands."""
        return self.k > 0 and self.at.date() != self.since.date()


class View(NamedTuple, Generic[S]):
    """What a stage can show right now."""

    state: S
    books: Books


class Stage(ABC, Generic[S]):
    """One job. All methods are deterministic: no clock, no I/O, no randomness, nothing kept on ``self``."""

    #: As in contracts/stages.py.
    name: ClassVar[str]
    #: Format of its state value. Whatever changes the state raises it: a store then has all its states built anew.
    version: ClassVar[int] = 1
    #: Topics whose facts it is given, its own and other stages' included.
    facts: ClassVar[frozenset[str]] = frozenset()
    #: Whether it looks at the books; the engine folds them once for all stages.
    books: ClassVar[bool] = False
    #: Configuration topics it needs.
    config: ClassVar[frozenset[str]] = frozenset({"shelf_profiles"})
    #: Fact topics that it writes itself; they count one step later, in this stage too.
    writes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def reads(cls) -> frozenset[str]:
        """Fact topics that must have arrived before it can advance."""
        return cls.facts | TOPICS if cls.books else cls.facts

    @abstractmethod
    def new(self) -> S:
        """The state before step 0."""

    @abstractmethod
    def load(self, data: bytes) -> S:
        """State from its versioned binary value."""

    @abstractmethod
    def dump(self, state: S) -> bytes:
        """State as a versioned binary value (codec) in format ``version``."""

    @abstractmethod
    def advance(
        self, state: S, facts: Sequence[Event], config: StoreConfig, step: Step, books: Books
    ) -> tuple[S, list[Output]]:
        """Take in one step's facts and decide as of T(k). The state passed in may be changed: use the one returned.

        ``config`` holds up to the step's cut and says what the cut changed; ``books`` hold the step's facts and
        are not to be changed. Every fact names shelves with a profile, or none.
        """

    def begin(self, state: S) -> S:
        """What to go on from in a store that has lived without this stage, after the past was given to it in silence.

        Nobody has heard what it decided meanwhile. In the step that follows all is new to it: ``config`` and
        ``books`` name every shelf as changed.
        """
        return state

    def live(self, state: S, pending: Sequence[Event]) -> S:
        """The view of now: a copy of ``state`` with the facts of steps to come, where ``rows`` shows it."""
        return state

    def rows(
        self,
        before: View[S] | None,
        after: View[S],
        config: StoreConfig,
        scope: Scope,
    ) -> list[Output]:
        """State rows whose version differs between two live views; all of ``after`` when ``before`` is None."""
        return []


def facts_of(stages: Iterable[Stage[Any]]) -> frozenset[str]:
    """Fact topics that a process with these stages reads."""
    return frozenset[str]().union(*(stage.reads() for stage in stages))


def config_of(stages: Iterable[Stage[Any]]) -> frozenset[str]:
    """Configuration topics that it reads: all that a StoreConfig holds, so that no decision depends on the split."""
    return CONFIGURATION.union(*(stage.config for stage in stages))


def tellers(stages: Iterable[Stage[Any]]) -> dict[str, str]:
    """Topic -> the one stage, of all that are configured, whose process tells of bad records in it."""
    told: dict[str, str] = {}
    for stage in stages:
        for topic in (TICKS, *config_of([stage]), *stage.reads()):
            told.setdefault(topic, stage.name)
    return told


class Stateless(Stage[None]):
    """A stage that keeps nothing of its own."""

    version: ClassVar = 0

    def new(self) -> None:
        return None

    def load(self, data: bytes) -> None:
        return None

    def dump(self, state: None) -> bytes:
        return b""

    def advance(
        self,
        state: None,
        facts: Sequence[Event],
        config: StoreConfig,
        step: Step,
        books: Books,
    ) -> tuple[None, list[Output]]:
        return None, []
