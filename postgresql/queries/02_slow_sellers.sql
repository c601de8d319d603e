-- question: What lies in the store and the backroom and has not sold once in the last seven days?
-- columns: item_name, category; units in store and backroom; tied_up: what they cost (EUR); last_sold (simulated day, null: never)
with clock as (
    select max(last_update_ts) as now from state.shelf_state
), last_sale as (
    select i.store_id, i.shelf_id, max(t.timestamp) as at
    from ops.pos_transactions t
    join ops.pos_transaction_items i using (store_id, transaction_id)
    group by i.store_id, i.shelf_id
)
select p.store_id, p.shelf_id, p.item_name, p.category,
       s.current_stock + w.wh_current_stock as units,
       (s.current_stock + w.wh_current_stock) * p.item_cost as tied_up,
       (l.at at time zone 'UTC')::date as last_sold
from clock, config.shelf_profiles p
join state.shelf_state s using (store_id, shelf_id)
join state.wh_state w using (store_id, shelf_id)
left join last_sale l using (store_id, shelf_id)
where (l.at is null or l.at <= clock.now - interval '7 days') and s.current_stock + w.wh_current_stock > 0
order by tied_up desc, p.store_id, p.shelf_id
limit 20;
