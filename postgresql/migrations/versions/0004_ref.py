"""Snapshots of the generated data as they were when the store was first started."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade():
    for place in ("store", "warehouse"):
        op.execute(f"""
            create table ref.{place}_inventory_snapshot (
                store_id         text             not null,
                snapshot_ts      timestamptz      not null,
                shelf_id         text             not null,
                aisle            bigint           not null,
                item_weight      double precision not null,
                shelf_weight     double precision not null,
                item_category    text             not null,
                item_subcategory text             not null,
                item_visibility  double precision not null,
                maximum_stock    bigint           not null,
                current_stock    bigint           not null,
                item_price       numeric(12, 2)   not null,
                primary key (store_id, snapshot_ts, shelf_id)
            )
        """)
        op.execute(f"""
            create table ref.{place}_batches_snapshot (
                store_id                 text        not null,
                snapshot_ts              timestamptz not null,
                shelf_id                 text        not null,
                batch_code               text        not null,
                item_category            text        not null,
                item_subcategory         text        not null,
                standard_batch_size      bigint      not null,
                received_date            date        not null,
                expiry_date              date        not null,
                batch_quantity_total     bigint      not null,
                batch_quantity_store     bigint      not null,
                batch_quantity_warehouse bigint      not null,
                location                 text        not null check (location in ('store', 'warehouse')),
                primary key (store_id, snapshot_ts, shelf_id, batch_code)
            )
        """)
    # Written with the first load, in its transaction: a table that people have emptied is not filled again.
    op.execute("""
        create table ref.first_load (
            table_name text        primary key,
            row_count  bigint      not null,
            loaded_at  timestamptz not null default now()
        )
    """)
