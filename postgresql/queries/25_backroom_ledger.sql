-- question: What happened to the backroom's stock of a product, movement by movement?
-- columns: each movement with the lot's and the product's stock after it. Here: the product that moved most; put your own shelf_id in its place
with busiest as (
    select store_id, shelf_id from ops.wh_events group by 1, 2 order by count(*) desc, 1, 2 limit 1
)
select v.store_id, v.shelf_id, v.timestamp, v.event_type, v.batch_code, v.qty, v.reason,
       v.batch_quantity_warehouse_after, v.batch_quantity_store_after, v.shelf_warehouse_qty_after
from ops.v_wh_events_after v
where v.store_id = (select store_id from busiest) and v.shelf_id = (select shelf_id from busiest)
order by v.timestamp, v.seq;
