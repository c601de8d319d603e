-- question: Which lots expire by tomorrow, and where do they lie?
-- columns: batch_code, expiry_date; units in store and in the backroom; value at full price (EUR); discount of the day in force (0-1)
with clock as (
    select (max(last_update_ts) at time zone 'UTC')::date as today from state.shelf_state
)
select b.store_id, p.item_name, b.shelf_id, b.batch_code, b.expiry_date, b.batch_quantity_store as in_store,
       b.batch_quantity_warehouse as in_backroom,
       (b.batch_quantity_store + b.batch_quantity_warehouse) * p.item_price as value,
       coalesce(max(d.discount), 0) as discount
from clock, state.wh_batch_state b
join config.shelf_profiles p using (store_id, shelf_id)
left join analytics.daily_discounts d
  on d.store_id = b.store_id and d.shelf_id = b.shelf_id and d.batch_code in (b.batch_code, '*')
 and d.discount_date = (select today from clock)
where b.expiry_date <= clock.today + 1 and b.batch_quantity_store + b.batch_quantity_warehouse > 0
group by b.store_id, p.item_name, b.shelf_id, b.batch_code, b.expiry_date, b.batch_quantity_store,
         b.batch_quantity_warehouse, p.item_price
order by b.expiry_date, value desc, b.shelf_id;
