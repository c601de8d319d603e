"""What the business decided and what came of it: plans, orders, receipts, alerts, discounts, sales."""

from alembic import op

revision = "0006"
down_revision = "0005"

ABOUT = {
    "analytics.daily_discounts": "What the tills take off, by day; ratio 0-1",
    "analytics.availability_hourly": "Minutes open and minutes out by aisle and hour, summed over its shelves",
    "ops.shelf_restock_plan": "Every plan from backroom to shelf, with its last status",
    "ops.order_proposals": "What each proposer wanted to order of a product at a cutoff",
    "ops.wh_supplier_plan": "What is or was to be ordered of a product at a cutoff",
    "ops.wh_supplier_orders": "What was ordered from suppliers",
    "ops.wh_supplier_receipts": "What lorries brought for orders",
    "ops.alerts": "What needs or needed attention, with its last status",
    "ops.pos_transactions": "Receipts of the tills",
    "ops.pos_transaction_items": "Lines of the receipts",
}


def upgrade():
    op.execute("""
        create table analytics.daily_discounts (
            epoch         bigint           not null,
            version       bigint           not null,
            as_of_step    bigint           not null,
            store_id      text             not null,
            shelf_id      text             not null,
            batch_code    text             not null,
            discount_date date             not null,
            reason        text             not null,
            discount      double precision not null,
            created_at    timestamptz      not null,
            primary key (store_id, shelf_id, batch_code, discount_date, reason)
        )
    """)
    op.execute("""
        create table analytics.availability_hourly (
            epoch        bigint      not null,
            version      bigint      not null,
            as_of_step   bigint      not null,
            store_id     text        not null,
            aisle        bigint      not null,
            hour_ts      timestamptz not null,
            open_minutes bigint      not null,
            out_minutes  bigint      not null,
            primary key (store_id, aisle, hour_ts)
        )
    """)
    op.execute("""
        create table ops.shelf_restock_plan (
            epoch         bigint      not null,
            version       bigint      not null,
            as_of_step    bigint      not null,
            store_id      text        not null,
            plan_id       text        not null,
            shelf_id      text        not null,
            suggested_qty bigint      not null,
            picked_qty    bigint      not null,
            status        text        not null,
            why           text        not null,
            created_at    timestamptz not null,
            updated_at    timestamptz not null,
            primary key (store_id, plan_id)
        )
    """)
    op.execute("""
        create table ops.order_proposals (
            epoch         bigint      not null,
            version       bigint      not null,
            as_of_step    bigint      not null,
            store_id      text        not null,
            shelf_id      text        not null,
            cutoff_ts     timestamptz not null,
            source        text        not null,
            qty           bigint      not null,
            reason        text        not null,
            quantiles     text,
            model_version text,
            created_at    timestamptz not null,
            primary key (store_id, shelf_id, cutoff_ts, source)
        )
    """)
    op.execute("""
        create table ops.wh_supplier_plan (
            epoch               bigint      not null,
            version             bigint      not null,
            as_of_step          bigint      not null,
            store_id            text        not null,
            supplier_plan_id    text        not null,
            shelf_id            text        not null,
            suggested_qty       bigint      not null,
            standard_batch_size bigint      not null,
            status              text        not null,
            source              text        not null,
            cutoff_ts           timestamptz not null,
            delivery_ts         timestamptz not null,
            why                 text        not null,
            created_at          timestamptz not null,
            updated_at          timestamptz not null,
            primary key (store_id, supplier_plan_id)
        )
    """)
    op.execute("""
        create table ops.wh_supplier_orders (
            epoch                bigint      not null,
            version              bigint      not null,
            as_of_step           bigint      not null,
            store_id             text        not null,
            order_id             text        not null,
            supplier_id          text        not null,
            supplier_plan_id     text        not null,
            shelf_id             text        not null,
            qty                  bigint      not null,
            status               text        not null,
            cutoff_ts            timestamptz not null,
            expected_delivery_ts timestamptz not null,
            primary key (store_id, order_id)
        )
    """)
    op.execute("""
        create table ops.wh_supplier_receipts (
            epoch               bigint      not null,
            version             bigint      not null,
            as_of_step          bigint      not null,
            store_id            text        not null,
            receipt_id          text        not null,
            order_id            text        not null,
            shelf_id            text        not null,
            supplier_id         text        not null,
            batch_code          text        not null,
            qty                 bigint      not null,
            difference          bigint      not null,
            received_date       date        not null,
            expiry_date         date        not null,
            standard_batch_size bigint      not null,
            received_ts         timestamptz not null,
            primary key (store_id, receipt_id)
        )
    """)
    op.execute("""
        create table ops.alerts (
            epoch           bigint           not null,
            version         bigint           not null,
            as_of_step      bigint           not null,
            store_id        text             not null,
            alert_id        text             not null,
            event_id        text             not null,
            event_type      text             not null,
            schema_version  bigint           not null,
            timestamp       timestamptz      not null,
            source          text             not null,
            seq             bigint           not null,
            step            bigint           not null,
            shelf_id        text             not null,
            batch_code      text,
            location        text             not null,
            current_stock   bigint           not null,
            max_stock       bigint,
            target_pct      double precision,
            suggested_qty   bigint,
            severity        text             not null,
            why             text             not null,
            status          text             not null,
            assigned_to     text,
            acknowledged_by text,
            acknowledged_at timestamptz,
            created_at      timestamptz      not null,
            updated_at      timestamptz      not null,
            primary key (store_id, alert_id)
        )
    """)
    op.execute("""
        create table ops.pos_transactions (
            epoch          bigint         not null,
            version        bigint         not null,
            as_of_step     bigint         not null,
            store_id       text           not null,
            transaction_id text           not null,
            customer_id    text           not null,
            till_id        text           not null,
            timestamp      timestamptz    not null,
            total_items    bigint         not null,
            total_amount   numeric(12, 2) not null,
            primary key (store_id, transaction_id)
        )
    """)
    op.execute("""
        create table ops.pos_transaction_items (
            epoch          bigint           not null,
            version        bigint           not null,
            as_of_step     bigint           not null,
            store_id       text             not null,
            transaction_id text             not null,
            line_no        bigint           not null,
            shelf_id       text             not null,
            batch_code     text,
            quantity       bigint           not null,
            unit_price     numeric(12, 2)   not null,
            discount       double precision not null,
            total_price    numeric(12, 2)   not null,
            expiry_date    date,
            primary key (store_id, transaction_id, line_no)
        )
    """)
    op.execute("create index on ops.alerts (store_id, status, event_type)")
    op.execute("create index on ops.alerts (store_id, shelf_id)")
    op.execute("create index on ops.shelf_restock_plan (store_id, shelf_id, status)")
    op.execute("create index on ops.wh_supplier_plan (store_id, cutoff_ts)")
    op.execute("create index on ops.wh_supplier_orders (store_id, expected_delivery_ts)")
    op.execute("create index on ops.wh_supplier_receipts (store_id, order_id)")
    op.execute("create index on ops.pos_transactions (store_id, timestamp)")
    op.execute("create index on ops.pos_transaction_items (store_id, shelf_id)")
    op.execute("create index on analytics.daily_discounts (store_id, discount_date)")
    for table, about in ABOUT.items():
        op.execute(f"comment on table {table} is '{about}'")
        op.execute(f"""
            create trigger keep_newer_row before update on {table}
            for each row when ((new.epoch, new.version) < (old.epoch, old.version))
            execute function state.keep_newer_row()
        """)
