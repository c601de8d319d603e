-- question: Which shelves ask for attention again and again (too small a shelf, or the wrong policy)?
-- columns: alerts by kind; maximum_stock of the shelf; units_per_day sold
with days as (
    select store_id, greatest(count(distinct (timestamp at time zone 'UTC')::date), 1) as n
    from ops.pos_transactions group by store_id
), sold as (
    select store_id, shelf_id, sum(quantity) as units from ops.pos_transaction_items group by 1, 2
)
select a.store_id, a.shelf_id, p.item_name, count(*) as alerts,
       count(*) filter (where a.event_type = 'refill_request') as refill_requests,
       count(*) filter (where a.event_type = 'near_expiry') as near_expiry,
       p.maximum_stock, round(coalesce(max(s.units), 0) / max(d.n)::numeric, 1) as units_per_day
from ops.alerts a
join config.shelf_profiles p using (store_id, shelf_id)
join days d using (store_id)
left join sold s using (store_id, shelf_id)
group by a.store_id, a.shelf_id, p.item_name, p.maximum_stock
order by alerts desc, a.store_id, a.shelf_id
limit 20;
