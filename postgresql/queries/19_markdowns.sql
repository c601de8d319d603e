-- question: What do near-expiry markdowns save?
-- columns: units sold of marked-down lots on their days; revenue (EUR) and what they had cost; wasted: units of those lots thrown away all the same
with marked as (
    select store_id, shelf_id, batch_code, discount_date as day, discount
    from analytics.daily_discounts where reason = 'near_expiry'
), sold as (
    select m.store_id, m.shelf_id, sum(i.quantity) as units, sum(i.total_price) as revenue
    from marked m
    join ops.pos_transaction_items i
      on i.store_id = m.store_id and i.shelf_id = m.shelf_id and m.batch_code in (i.batch_code, '*') and i.discount > 0
    join ops.pos_transactions t
      on t.store_id = i.store_id and t.transaction_id = i.transaction_id
     and (t.timestamp at time zone 'UTC')::date = m.day
    group by 1, 2
), wasted as (
    select w.store_id, w.shelf_id, sum(w.quantity) as units
    from ops.shelf_movements w
    where w.event_type = 'removal'
      and exists (select from marked m
                  where (m.store_id, m.shelf_id) = (w.store_id, w.shelf_id) and m.batch_code in (w.batch_code, '*'))
    group by 1, 2
)
select p.store_id, p.category, count(distinct p.shelf_id) as products, coalesce(sum(s.units), 0) as units,
       coalesce(sum(s.revenue), 0) as revenue, coalesce(sum(s.units * p.item_cost), 0) as cost,
       coalesce(sum(w.units), 0) as wasted
from (select distinct store_id, shelf_id from marked) m
join config.shelf_profiles p using (store_id, shelf_id)
left join sold s using (store_id, shelf_id)
left join wasted w using (store_id, shelf_id)
group by p.store_id, p.category
order by p.store_id, revenue desc, p.category;
