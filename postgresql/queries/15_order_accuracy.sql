-- question: Do suppliers bring what was ordered?
-- columns: deliveries; units ordered and received; exact_pct = deliveries without difference; short and over (units)
select r.store_id, p.category, count(*) as deliveries, sum(r.qty - r.difference) as ordered, sum(r.qty) as received,
       round(100.0 * count(*) filter (where r.difference = 0) / count(*), 1) as exact_pct,
       coalesce(-sum(r.difference) filter (where r.difference < 0), 0) as short,
       coalesce(sum(r.difference) filter (where r.difference > 0), 0) as over
from ops.wh_supplier_receipts r
join config.shelf_profiles p using (store_id, shelf_id)
group by r.store_id, p.category
order by r.store_id, short desc, p.category;
