-- question: What is at risk of expiring within seven days, by category and day?
-- columns: expiry_date; lots; units in store and backroom; cost (EUR)
with clock as (
    select (max(last_update_ts) at time zone 'UTC')::date as today from state.shelf_state
)
select b.store_id, b.category, b.expiry_date, count(*) as lots,
       sum(b.batch_quantity_store) as in_store, sum(b.batch_quantity_warehouse) as in_backroom,
       sum((b.batch_quantity_store + b.batch_quantity_warehouse) * p.item_cost) as cost
from clock, state.wh_batch_state b
join config.shelf_profiles p using (store_id, shelf_id)
where b.expiry_date between clock.today and clock.today + 7 and b.batch_quantity_store + b.batch_quantity_warehouse > 0
group by b.store_id, b.category, b.expiry_date
order by b.store_id, b.expiry_date, cost desc;
