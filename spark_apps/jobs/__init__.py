"""The registry of jobs. A new stage: its file here, its line in STAGES, its name in contracts/stages.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smartshelf.contracts import stages as configured
from smartshelf.errors import SettingError
from smartshelf.io.closing import FILE as CLOSING
from smartshelf.io.closing import read_closing
from smartshelf.io.offers import FILE as OFFERS
from smartshelf.io.offers import read_weekly
from smartshelf.settings import Settings
from spark_apps.jobs.batch_state import BatchState
from spark_apps.jobs.daily_discounts import DailyDiscounts
from spark_apps.jobs.daily_features import DailyFeatures
from spark_apps.jobs.expired_removal import ExpiredRemoval
from spark_apps.jobs.pos_flattener import PosFlattener
from spark_apps.jobs.refill_bridge import RefillBridge
from spark_apps.jobs.restock_manager import RestockManager
from spark_apps.jobs.shelf_aggregator import ShelfAggregator
from spark_apps.jobs.shelf_alerts import ShelfAlerts
from spark_apps.jobs.shrink import Shrink
from spark_apps.jobs.supplier_manager import SupplierManager
from spark_apps.jobs.warehouse_aggregator import WarehouseAggregator
from spark_apps.jobs.warehouse_alerts import WarehouseAlerts
from spark_apps.jobs.wh_batch_state import WarehouseBatchState
from spark_apps.runtime.rates import Opening
from spark_apps.runtime.stage import Stage

#: Stages in the order in which a step runs them.
STAGES: tuple[Stage[Any], ...] = (
    ShelfAggregator(),
    BatchState(),
    WarehouseAggregator(),
    WarehouseBatchState(),
    ShelfAlerts(),
    WarehouseAlerts(),
    RestockManager(),
    RefillBridge(),
    SupplierManager(),
    DailyDiscounts(),
    ExpiredRemoval(),
    Shrink(),
    PosFlattener(),
    DailyFeatures(),
)
#: Jobs that are no stages: delta_init only makes tables, retention only looks now and then.
OTHERS = ("delta_init", "raw_sinks", "mirrors", "retention")
ALL, REST = "all", "rest"

if tuple(stage.name for stage in STAGES) != configured.STAGES:
    raise ImportError("spark_apps.jobs.STAGES and smartshelf.contracts.stages.STAGES differ")


def configured_by(config: Settings) -> tuple[Stage[Any], ...]:
    """All stages, in order, as the settings want them."""
    weekly = read_weekly(config.data_dir / OFFERS, config.sim_start)
    closing = read_closing(config.data_dir / CLOSING)
    chosen: dict[str, Stage[Any]] = {
        WarehouseAlerts.name: WarehouseAlerts(config.calendar),
        SupplierManager.name: SupplierManager(config.calendar),
        DailyDiscounts.name: DailyDiscounts(weekly),
        ExpiredRemoval.name: ExpiredRemoval(config.remove_mode),
        DailyFeatures.name: DailyFeatures(weekly, closing, config.calendar),
    }
    return tuple(chosen.get(stage.name, stage) for stage in STAGES)


def learnt_by(config: Settings) -> dict[str, Opening]:
    """Store -> what its year of history has learnt of demand."""
    return {store: past.demand() for store, past in read_closing(config.data_dir / CLOSING).items()}


def part(parts: Sequence[str], number: int) -> tuple[str, ...]:
    """The jobs of process ``number`` (from 1) of a split; SettingError unless every job is in one process."""
    if parts in ((), ("",)):
        parts = (ALL,)
    named = [() if text == REST else select(text) for text in parts]
    chosen = [name for names in named for name in names]
    if doubled := sorted({name for name in chosen if chosen.count(name) > 1}):
        raise SettingError("SPARK_SPLIT names a job twice", value=doubled[0], remedy="A job runs in one process.")
    left = tuple(name for name in select(ALL) if name not in chosen)
    if left and parts.count(REST) != 1:
        raise SettingError("SPARK_SPLIT leaves jobs out", value=", ".join(left), remedy=f"Let a part be `{REST}`.")
    if not 1 <= number <= len(parts):
        raise SettingError(
            "There is no such Spark process", value=number, remedy=f"SPARK_SPLIT is {'/'.join(parts)!r}."
        )
    return left if parts[number - 1] == REST else named[number - 1]


def select(names: str) -> tuple[str, ...]:
    """Job names from ``all`` or a list with commas; SettingError names the first that does not exist."""
    known = (*OTHERS, *configured.STAGES)
    if names == ALL:
        return known
    chosen = tuple(name.strip() for name in names.split(",") if name.strip())
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise SettingError(
            "There is no such job", value=unknown[0] if unknown else names, remedy=f"Jobs: all, {', '.join(known)}."
        )
    return chosen
