"""Mirrors of the backroom and of lots."""

from alembic import op

revision = "0005"
down_revision = "0004"

ABOUT = {
    "state.wh_state": "What the business knows of each product in the backroom; units",
    "state.shelf_batch_state": "Units of each lot in the store; lot ~UNKNOWN may be negative",
    "state.wh_batch_state": "Units of each lot in backroom, on the way and in the store",
}


def upgrade():
    op.execute("""
        create table state.wh_state (
            epoch            bigint      not null,
            version          bigint      not null,
            as_of_step       bigint      not null,
            store_id         text        not null,
            shelf_id         text        not null,
            category         text        not null,
            subcategory      text        not null,
            wh_current_stock bigint      not null,
            wh_capacity      bigint      not null,
            reserved_qty     bigint      not null,
            on_order_qty     bigint      not null,
            last_update_ts   timestamptz not null,
            primary key (store_id, shelf_id)
        )
    """)
    op.execute("""
        create table state.shelf_batch_state (
            epoch                bigint      not null,
            version              bigint      not null,
            as_of_step           bigint      not null,
            store_id             text        not null,
            shelf_id             text        not null,
            batch_code           text        not null,
            category             text        not null,
            subcategory          text        not null,
            received_date        date,
            expiry_date          date,
            batch_quantity_store bigint      not null,
            last_update_ts       timestamptz not null,
            primary key (store_id, shelf_id, batch_code)
        )
    """)
    op.execute("""
        create table state.wh_batch_state (
            epoch                    bigint      not null,
            version                  bigint      not null,
            as_of_step               bigint      not null,
            store_id                 text        not null,
            shelf_id                 text        not null,
            batch_code               text        not null,
            category                 text        not null,
            subcategory              text        not null,
            received_date            date,
            expiry_date              date,
            batch_quantity_warehouse bigint      not null,
            batch_quantity_store     bigint      not null,
            in_transit_qty           bigint      not null,
            last_update_ts           timestamptz not null,
            primary key (store_id, shelf_id, batch_code)
        )
    """)
    op.execute("create index on state.shelf_batch_state (store_id, expiry_date) where batch_quantity_store > 0")
    op.execute("create index on state.wh_batch_state (store_id, expiry_date) where batch_quantity_warehouse > 0")
    for table, about in ABOUT.items():
        op.execute(f"comment on table {table} is '{about}'")
        op.execute(f"""
            create trigger keep_newer_row before update on {table}
            for each row when ((new.epoch, new.version) < (old.epoch, old.version))
            execute function state.keep_newer_row()
        """)
