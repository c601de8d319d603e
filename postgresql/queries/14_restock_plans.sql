-- question: How well does the backroom serve the shelves?
-- columns: plans by status; wanted and picked units; fill_pct = picked / wanted; hours: mean time from opening to the last change
select store_id, status, count(*) as plans, sum(suggested_qty) as wanted, sum(picked_qty) as picked,
       round(100.0 * sum(picked_qty) / nullif(sum(suggested_qty), 0), 1) as fill_pct,
       round((avg(extract(epoch from updated_at - created_at)) / 3600)::numeric, 2) as hours
from ops.shelf_restock_plan
group by store_id, status
order by store_id, plans desc;
