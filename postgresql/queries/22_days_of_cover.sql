-- question: What runs out first at the pace of the last seven days?
-- columns: units in the store's care; on_order; units_per_day; days_left without and with what is on order
with clock as (
    select max(last_update_ts) as now from state.shelf_state
), pace as (
    select i.store_id, i.shelf_id, sum(i.quantity) / 7.0 as units_per_day
    from clock, ops.pos_transactions t
    join ops.pos_transaction_items i using (store_id, transaction_id)
    where t.timestamp > clock.now - interval '7 days'
    group by 1, 2
)
select p.store_id, p.shelf_id, p.item_name, s.current_stock + s.on_the_way + w.wh_current_stock as units,
       w.on_order_qty as on_order, round(a.units_per_day, 2) as units_per_day,
       round((s.current_stock + s.on_the_way + w.wh_current_stock) / a.units_per_day, 1) as days_left,
       round((s.current_stock + s.on_the_way + w.wh_current_stock + w.on_order_qty) / a.units_per_day, 1)
           as days_left_with_orders
from pace a
join config.shelf_profiles p using (store_id, shelf_id)
join state.shelf_state s using (store_id, shelf_id)
join state.wh_state w using (store_id, shelf_id)
order by days_left, p.store_id, p.shelf_id
limit 30;
