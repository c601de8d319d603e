"""What was on its way to a shelf and not found leaves neither the backroom nor the store: it had left already."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade():
    op.execute("""
        create or replace view ops.v_lot_movements as
        select store_id, shelf_id, batch_code, timestamp, step, seq, event_id, event_type,
               case when event_type = 'wh_out' then -qty
                    when event_type = 'wh_adjust' and reason = 'not_found' then 0
                    else qty end as backroom,
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
