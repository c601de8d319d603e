"""One audit: read every place of record at the same cut, compare, report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import redis

from simulated_time.store import Clock
from smartshelf.audit import books, quiet, sources
from smartshelf.audit.books import Balances, Difference, Rows
from smartshelf.audit.cut import Cut
from smartshelf.contracts.ledger import Place
from smartshelf.contracts.tables import Table
from smartshelf.domain.lots import LotPlace
from smartshelf.io.step_save import read_position
from smartshelf.settings import Settings

#: What the states tell of the books.
SHOWN = (Place.SHELF, Place.BASKET, Place.ON_THE_WAY, Place.BACKROOM)


@dataclass(frozen=True)
class Report:
    """The result of an audit; ``hash`` digests what is true at ``step`` (``books.store_hash``)."""

    balanced: bool
    step: int
    as_of: datetime | None
    differences: tuple[Difference, ...]
    #: Units by place, by source of record.
    totals: dict[str, dict[str, int]]
    hash: str
    facts: int
    #: Facts that stages decided in the last step: they count with the next.
    decided: int
    #: What a stopped store has not delivered yet, by hop; nothing on a store at rest.
    in_the_pipe: dict[str, int]
    #: Shelves of which files or foreign systems have told: not compared with the simulated world.
    told_from_outside: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        plain = asdict(self)
        plain["as_of"] = self.as_of.isoformat().replace("+00:00", "Z") if self.as_of else None
        plain["differences"] = [difference._asdict() for difference in self.differences]
        return plain


def audit_running(config: Settings, timeout: float) -> Report:
    """Hold the clock of a running store, wait until every event has arrived, audit, release.

    Raises NotQuiet when it does not come to rest in ``timeout`` real seconds, or did not stay so.
    """
    client = quiet.connect(config)
    with Clock(client).holding("audit", "the books are being audited") as unbroken:
        report = audit(config, client, quiet.wait_until_quiet(config, client, timeout))
        if not unbroken():
            raise quiet.NotQuiet(
                "The clock went on during the audit: its hold was not renewed in time", remedy="Run it again."
            )
    return report


def audit(config: Settings, client: redis.Redis, cut: Cut) -> Report:
    """Fold Kafka, Delta and Postgres independently and compare them, and the world's truth, to the unit.

    Hops that are behind the cut (only possible on a store that was stopped or killed) are listed as in the
    pipe and left out of the comparison.
    """
    before = sources.facts_put_away(config, cut)
    facts = sources.facts_in_kafka(config, cut, before)
    tables = {table.full_name: sources.rows_in_kafka(config, table) for table in sources.MIRRORED}
    pipe = {"facts after the last tick": facts.beyond}
    differences = books.unbalanced(facts.balances) + facts.sequences.differences()
    totals = {"kafka": facts.balances.totals()}

    if quiet.archive_has(config, cut):
        archive = sources.facts_in_delta(config, cut, before)
        totals["delta"] = archive.totals()
        differences += books.compare(facts.balances, archive, tuple(Place))
        differences += books.compare_lots(facts.balances, archive)
    else:
        pipe["raw archive behind the cut"] = 1
    if quiet.stages_at(config, cut):
        states = sources.as_balances("kafka states", tables)
        totals["states"] = states.totals()
        differences += states_against(facts, states, tables)
    else:
        pipe["steps the stages have not decided"] = 1
    history: dict[str, Rows] = {}
    for table in sources.MIRRORED:
        differences += _mirrors(config, table, tables[table.full_name], pipe, history)
    for table in sources.RECORDED:
        missing = sources.ids_in_kafka(config, table) - sources.ids_in_postgres(config, table)
        pipe[f"facts on their way to postgres {table.full_name}"] = len(missing)
    if steps := read_position(client).step - cut.step:
        pipe["steps on their way through the bridge"] = steps
    else:
        differences += _reality(client, cut, facts)
    return Report(
        balanced=not differences,
        step=cut.step,
        as_of=min((tick.t for tick in cut.ticks.values()), default=None),
        differences=tuple(differences),
        totals=totals,
        hash=books.store_hash(tables | history, facts.taken),
        facts=facts.counted,
        decided=facts.decided,
        in_the_pipe={hop: amount for hop, amount in pipe.items() if amount},
        told_from_outside=len(facts.told),
    )


def states_against(facts: sources.Facts, states: Balances, tables: Mapping[str, Rows]) -> list[Difference]:
    """What the stages keep against the facts, by shelf and by lot, and their lots against their shelves.

    What came from outside after the last tick waits for its step, but states show it: their shelves are left out.
    """
    in_store = sources.lots_in_store("kafka shelf_batch_state", tables["state.shelf_batch_state"])
    return [
        *books.compare(facts.balances, states, SHOWN, leaving_out=facts.ahead),
        *books.compare_lots(facts.balances, states, leaving_out=facts.ahead),
        *books.compare_lots(facts.balances, in_store, (LotPlace.STORE,), leaving_out=facts.ahead),
        *books.lots_against_shelves(states),
    ]


def _mirrors(
    config: Settings, table: Table, rows: Rows, pipe: dict[str, int], history: dict[str, Rows]
) -> list[Difference]:
    """Each mirror of a table against its topic, row by row; ``history`` gets what Delta keeps of past plans."""
    mirrors = {f"postgres {table.full_name}": sources.rows_in_postgres(config, table)}
    if table.delta:
        mirrors[f"delta {table.delta}"] = sources.rows_in_delta(config, table)
        if not table.deletes:
            history[table.full_name] = mirrors[f"delta {table.delta}"]
    found: list[Difference] = []
    for name, mirror in mirrors.items():
        behind = quiet.rows_behind(rows, mirror)
        pipe[f"rows on their way to {name}"] = len(behind)
        arrived = {key: row for key, row in rows.items() if key not in behind}
        there = {key: row for key, row in mirror.items() if key not in behind}
        source = f"kafka {table.topic.name}"
        found += books.compare_rows(source, arrived, name, there, keeps_more=not table.deletes)
    return found


def _reality(client: redis.Redis, cut: Cut, facts: sources.Facts) -> list[Difference]:
    """The books against what physically is there; nothing to compare with for a real feed.

    Of what files and foreign systems told, the world knows nothing: their shelves are left out.
    """
    real, unsure = sources.world(client, cut, facts.leaving)
    if not real.by_shelf:
        return []
    seen = sources.as_the_world_sees(facts.balances)
    lots_in_store = books.compare_lots(seen, real, (LotPlace.STORE,), leaving_out=unsure | facts.told)
    places = (Place.SHELF, Place.BASKET, Place.BACKROOM, Place.SOLD, Place.WASTED)
    return [
        *books.compare(seen, real, places, leaving_out=facts.told),
        *books.compare_lots(seen, real, (LotPlace.BACKROOM,), leaving_out=facts.told),
        *lots_in_store,
    ]
