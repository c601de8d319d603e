"""What forecasts learn from: a row per shelf and day, and the two views that models read."""

from alembic import op

revision = "0009"
down_revision = "0008"

TABLE = "analytics.shelf_daily_features"
#: Of the views: what is true or false, what is a number already, what may be null.
FLAGS = (
    "is_weekend",
    "warehouse_inbound_day",
    "refill_day",
    "is_discounted",
    "is_discounted_next_7d",
    "is_shelf_alert",
    "is_warehouse_alert",
)
KNOWN = (
    "day_of_week",
    "item_price::double precision as item_price",
    "discount",
    "people_count",
    "sales_qty",
    "stockout_events",
    "stockout_minutes",
    "shelf_capacity",
    "current_stock_shelf",
    "shelf_fill_ratio",
    "shelf_threshold_qty",
    "expired_qty_shelf",
    "warehouse_capacity",
    "current_stock_warehouse",
    "warehouse_fill_ratio",
    "pending_supplier_qty",
    "expired_qty_wh",
    "moved_wh_to_shelf",
    "standard_batch_size",
    "qty_expiring_next_7d",
)
#: What may be null -> what stands for it: no history counts nothing; a shelf without a lot expires nothing.
FILLED = {
    "sales_last_1d": 0,
    "sales_last_7d": 0,
    "sales_last_14d": 0,
    "alerts_last_30d_shelf": 0,
    "alerts_last_30d_wh": 0,
    "wh_reorder_point_qty": 0,
    "min_expiration_days": -1,
    "avg_expiration_days": -1,
}


def upgrade():
    # Not partitioned: a store adds 1,142 rows a day, every query names a store and days or shelves, and partitions by
    # month would have to be there before the simulated month begins, whichever year that is.
    op.execute(f"""
        create table {TABLE} (
            epoch                   bigint           not null,
            version                 bigint           not null,
            as_of_step              bigint           not null,
            store_id                text             not null,
            shelf_id                text             not null,
            feature_date            date             not null,
            item_category           text             not null,
            item_subcategory        text             not null,
            day_of_week             bigint           not null,
            is_weekend              boolean          not null,
            warehouse_inbound_day   boolean          not null,
            refill_day              boolean          not null,
            item_price              numeric(12, 2)   not null,
            discount                double precision not null,
            is_discounted           boolean          not null,
            is_discounted_next_7d   boolean          not null,
            people_count            bigint           not null,
            sales_qty               bigint           not null,
            sales_last_1d           bigint,
            sales_last_7d           bigint,
            sales_last_14d          bigint,
            stockout_events         bigint           not null,
            stockout_minutes        double precision not null,
            lost_demand_qty         bigint,
            shelf_capacity          bigint           not null,
            current_stock_shelf     bigint           not null,
            shelf_fill_ratio        double precision not null,
            shelf_threshold_qty     bigint           not null,
            expired_qty_shelf       bigint           not null,
            alerts_last_30d_shelf   bigint,
            is_shelf_alert          boolean          not null,
            warehouse_capacity      bigint           not null,
            current_stock_warehouse bigint           not null,
            warehouse_fill_ratio    double precision not null,
            wh_reorder_point_qty    bigint,
            pending_supplier_qty    bigint           not null,
            expired_qty_wh          bigint           not null,
            alerts_last_30d_wh      bigint,
            is_warehouse_alert      boolean          not null,
            moved_wh_to_shelf       bigint           not null,
            standard_batch_size     bigint           not null,
            min_expiration_days     bigint,
            avg_expiration_days     double precision,
            qty_expiring_next_7d    bigint           not null,
            batches_to_order        bigint,
            label_next_day_stockout boolean,
            snapshot_ts             timestamptz      not null,
            primary key (store_id, shelf_id, feature_date)
        )
    """)
    op.execute(f"create index on {TABLE} (store_id, feature_date)")
    op.execute(f"comment on table {TABLE} is 'A closed day of every shelf, with what was known when it had ended'")
    op.execute(f"""
        create trigger keep_newer_row before update on {TABLE}
        for each row when ((new.epoch, new.version) < (old.epoch, old.version))
        execute function state.keep_newer_row()
    """)
    columns = [
        *KNOWN,
        *(f"{name}::int as {name}" for name in FLAGS),
        *(f"coalesce({name}, {value}) as {name}" for name, value in FILLED.items()),
    ]
    # Categories by their place in the alphabet of the assortment; -1: no longer in it.
    op.execute(f"""
        create view analytics.v_ml_features as
        with
        category as (
            select category, row_number() over (order by category) - 1 as code
            from (select distinct category from config.shelf_profiles) as named
        ),
        subcategory as (
            select category, subcategory, row_number() over (order by category, subcategory) - 1 as code
            from (select distinct category, subcategory from config.shelf_profiles) as named
        )
        select f.store_id, f.shelf_id, f.feature_date, f.snapshot_ts,
               coalesce(category.code, -1) as category_code,
               coalesce(subcategory.code, -1) as subcategory_code,
               {", ".join(columns)}
        from {TABLE} as f
        left join category on category.category = f.item_category
        left join subcategory
               on subcategory.category = f.item_category and subcategory.subcategory = f.item_subcategory
    """)
    op.execute(
        "comment on view analytics.v_ml_features is "
        "'The features as numbers: flags 0/1, names as codes, what is unknown filled'"
    )
    # A live row is never corrected: what the next day showed is looked up in the next day's row.
    op.execute(f"""
        create view analytics.v_ml_train as
        select f.*,
               later.sales_qty as target_next_day_sales,
               (later.stockout_minutes > 0)::int as next_day_is_censored,
               coalesce(day.label_next_day_stockout, later.stockout_minutes > 0)::int as label_next_day_stockout,
               day.batches_to_order
        from analytics.v_ml_features as f
        join {TABLE} as day using (store_id, shelf_id, feature_date)
        join {TABLE} as later
          on later.store_id = f.store_id and later.shelf_id = f.shelf_id and later.feature_date = f.feature_date + 1
    """)
    op.execute(
        "comment on view analytics.v_ml_train is "
        "'Closed days whose next day has closed as well, with what it showed; no simulation truth'"
    )
