-- question: How much leaves the store unpaid?
-- columns: sold and unpaid units by category; unpaid_pct; value at full price (EUR); open_alerts about it
with unpaid as (
    select store_id, shelf_id, sum(quantity) as units from ops.shelf_movements where event_type = 'unpaid' group by 1, 2
), sold as (
    select store_id, shelf_id, sum(quantity) as units from ops.pos_transaction_items group by 1, 2
), alerts as (
    select store_id, shelf_id, count(*) as open from ops.alerts
    where event_type in ('unpaid', 'phantom_stock', 'negative_balance') and status in ('open', 'ack') group by 1, 2
)
select p.store_id, p.category, coalesce(sum(s.units), 0) as sold, coalesce(sum(u.units), 0) as unpaid,
       round(100.0 * coalesce(sum(u.units), 0) / nullif(sum(s.units), 0), 3) as unpaid_pct,
       coalesce(sum(u.units * p.item_price), 0) as value, coalesce(sum(a.open), 0) as open_alerts
from config.shelf_profiles p
left join sold s using (store_id, shelf_id)
left join unpaid u using (store_id, shelf_id)
left join alerts a using (store_id, shelf_id)
group by p.store_id, p.category
order by p.store_id, unpaid desc, p.category;
