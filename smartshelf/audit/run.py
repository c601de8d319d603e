"""One audit: read every place of record at the same cut, compare, report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import redis

from producers.truth import shelves_of_the_world
from smartshelf.audit import books, quiet, sources
from smartshelf.audit.books import Balances, Difference, ShelfKey
from smartshelf.audit.cut import Cut
from smartshelf.contracts.ledger import Place
from smartshelf.io.step_save import read_position
from smartshelf.settings import Settings

#: What a shelf state tells of the books.
ON_SALE = (Place.SHELF, Place.BASKET, Place.ON_THE_WAY)


@dataclass(frozen=True)
class Report:
    """The result of an audit; ``hash`` digests what is true at ``step`` (PROTOCOL, Tests)."""

    balanced: bool
    step: int
    as_of: datetime | None
    differences: tuple[Difference, ...]
    #: Units by place, by source of record.
    totals: dict[str, dict[str, int]]
    hash: str
    facts: int
    #: What a stopped store has not delivered yet, by hop; nothing on a store at rest.
    in_the_pipe: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        plain = asdict(self)
        plain["as_of"] = self.as_of.isoformat().replace("+00:00", "Z") if self.as_of else None
        plain["differences"] = [difference._asdict() for difference in self.differences]
        return plain


def audit(config: Settings, client: redis.Redis, cut: Cut) -> Report:
    """Fold Kafka, Delta and Postgres independently and compare them, and the world's truth, to the unit.

    Hops that are behind the cut (only possible on a store that was stopped or killed) are listed as in the
    pipe and left out of the comparison.
    """
    facts = sources.facts_in_kafka(config, cut)
    rows = sources.states_in_kafka(config)
    states = sources.as_balances("kafka shelf_state", rows)
    pipe = {"facts after the last tick": facts.beyond}
    differences = books.unbalanced(facts.balances) + facts.sequences.differences()
    totals = {"kafka": facts.balances.totals(), "states": states.totals()}

    if quiet.archive_has(config, cut):
        archive = sources.facts_in_delta(config, cut)
        totals["delta"] = archive.totals()
        differences += books.compare(facts.balances, archive, tuple(Place))
    else:
        pipe["raw archive behind the cut"] = 1
    if quiet.stages_at(config, cut):
        differences += books.compare(facts.balances, states, ON_SALE)
    else:
        pipe["steps the stages have not decided"] = 1
    for name, mirror in (
        ("delta cleansed", sources.states_in_delta(config)),
        ("postgres state", sources.states_in_postgres(config)),
    ):
        behind = quiet.rows_behind(rows, mirror)
        pipe[f"rows on their way to {name}"] = len(behind)
        arrived = {key: row for key, row in rows.items() if key not in behind}
        there = {key: row for key, row in mirror.items() if key not in behind}
        differences += books.compare_rows("kafka shelf_state", arrived, name, there)
    if steps := read_position(client).step - cut.step:
        pipe["steps on their way through the bridge"] = steps
    else:
        differences += books.compare(facts.balances, _world(client, cut), (Place.SHELF, Place.BASKET))
    return Report(
        balanced=not differences,
        step=cut.step,
        as_of=min((tick.t for tick in cut.ticks.values()), default=None),
        differences=tuple(differences),
        totals=totals,
        hash=books.state_hash({"shelf_state": rows}),
        facts=facts.counted,
        in_the_pipe={hop: amount for hop, amount in pipe.items() if amount},
    )


def _world(client: redis.Redis, cut: Cut) -> Balances:
    """Physical truth: what really lies on the shelves and in the baskets."""
    truth = Balances("the world")
    for store_id in cut.ticks:
        for shelf_id, (on_shelf, in_baskets) in shelves_of_the_world(client, store_id).items():
            truth.by_shelf[ShelfKey(store_id, shelf_id)] = {Place.SHELF: on_shelf, Place.BASKET: in_baskets}
    return truth
