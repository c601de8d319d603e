"""Facts as they came: the backroom's movements, what staff did at shelves, cold zones; and every lot's movements."""

from alembic import op

revision = "0007"
down_revision = "0006"

ABOUT = {
    "ops.wh_events": "Every movement of the backroom; units",
    "ops.shelf_movements": "What staff did at shelves (refill, removal, count), and what left them unpaid; units",
    "ops.cold_chain": "Temperature (degrees Celsius) and energy (kWh) of the cold zones",
}
ENVELOPE = """
            event_id       text        not null,
            event_type     text        not null,
            schema_version bigint      not null,
            store_id       text        not null,
            timestamp      timestamptz not null,
            source         text        not null,
            seq            bigint,
            step           bigint,
            produced_at    timestamptz,
"""


def upgrade():
    op.execute(f"""
        create table ops.wh_events (
            {ENVELOPE}
            shelf_id                text   not null,
            batch_code              text   not null,
            qty                     bigint not null,
            order_id                text,
            plan_id                 text,
            due_ts                  timestamptz,
            reason                  text,
            received_date           date,
            expiry_date             date,
            transport_temperature_c double precision,
            transport_kwh           double precision,
            primary key (store_id, event_id)
        )
    """)
    op.execute(f"""
        create table ops.shelf_movements (
            {ENVELOPE}
            shelf_id      text not null,
            batch_code    text,
            quantity      bigint,
            adjustment    bigint,
            location      text,
            reason        text,
            plan_id       text,
            received_date date,
            expiry_date   date,
            primary key (store_id, event_id),
            constraint "a movement says how many units" check (quantity is not null)
        )
    """)
    op.execute(f"""
        create table ops.cold_chain (
            {ENVELOPE}
            zone_id       text             not null,
            temperature_c double precision not null,
            kwh           double precision not null,
            primary key (store_id, zone_id, timestamp)
        )
    """)
    # The topic has what customers and scales do as well: a hundred times as much, and it stands in Delta (raw).
    op.execute("""
        create function ops.skip_row() returns trigger language plpgsql as $$
        begin
            return null;
        end
        $$
    """)
    op.execute("""
        create trigger staff_only before insert on ops.shelf_movements
        for each row when (new.event_type not in ('refill', 'removal', 'count', 'unpaid'))
        execute function ops.skip_row()
    """)
    op.execute("create index on ops.wh_events (store_id, shelf_id, batch_code)")
    op.execute("create index on ops.wh_events (store_id, timestamp)")
    op.execute("create index on ops.shelf_movements (store_id, shelf_id, batch_code)")
    op.execute("create index on ops.shelf_movements (store_id, timestamp)")
    for table, about in ABOUT.items():
        op.execute(f"comment on table {table} is '{about}'")
    op.execute("""
        create view ops.v_lot_movements as
        select store_id, shelf_id, batch_code, timestamp, step, seq, event_id, event_type,
               case event_type when 'wh_out' then -qty else qty end as backroom,
               0::bigint as store
        from ops.wh_events
        union all
        select store_id, shelf_id, coalesce(batch_code, '~UNKNOWN'), timestamp, step, seq, event_id, event_type,
               case when location = 'warehouse' then adjustment else 0 end,
               case when event_type = 'refill' then quantity
                    when event_type = 'unpaid' then -quantity
                    when location = 'warehouse' then 0
                    when event_type = 'removal' then -quantity
                    else adjustment end
        from ops.shelf_movements
        where event_type <> 'removal' or location is distinct from 'warehouse'
        union all
        select i.store_id, i.shelf_id, coalesce(i.batch_code, '~UNKNOWN'), t.timestamp, null, null,
               i.transaction_id || '/' || i.line_no, 'sale', 0, -i.quantity
        from ops.pos_transaction_items i
        join ops.pos_transactions t using (store_id, transaction_id)
    """)
    op.execute("""
        comment on view ops.v_lot_movements is
        'Everything that changed a lot''s units in the backroom or in the store (shelf and baskets), opening included'
    """)
    # Units that left the backroom and are on their way are in neither column, as in state.wh_batch_state.
    op.execute("""
        create view ops.v_wh_events_after as
        select e.*, m.batch_quantity_warehouse_after, m.batch_quantity_store_after, m.shelf_warehouse_qty_after
        from ops.wh_events e
        join (
            select store_id, shelf_id, event_id, event_type,
                   (sum(backroom) over lot)::bigint as batch_quantity_warehouse_after,
                   (sum(store) over lot)::bigint as batch_quantity_store_after,
                   (sum(backroom) over shelf)::bigint as shelf_warehouse_qty_after
            from ops.v_lot_movements
            window lot as (partition by store_id, shelf_id, batch_code
                           order by timestamp, step nulls first, seq, event_id rows unbounded preceding),
                   shelf as (partition by store_id, shelf_id
                             order by timestamp, step nulls first, seq, event_id rows unbounded preceding)
        ) m using (store_id, shelf_id, event_id, event_type)
    """)
    op.execute("comment on view ops.v_wh_events_after is 'Movements of the backroom with the stock after each; units'")
