-- question: What is on its way from suppliers, and is it enough?
-- columns: expected delivery; orders, units; cost (EUR); below_batch: products whose stock is below one batch until it arrives
select o.store_id, o.expected_delivery_ts, s.name as supplier, count(*) as orders, sum(o.qty) as units,
       sum(o.qty * p.item_cost) as cost,
       count(*) filter (where w.wh_current_stock + f.current_stock < p.standard_batch_size) as below_batch
from ops.wh_supplier_orders o
join config.suppliers s using (supplier_id)
join config.shelf_profiles p on (p.store_id, p.shelf_id) = (o.store_id, o.shelf_id)
join state.wh_state w on (w.store_id, w.shelf_id) = (o.store_id, o.shelf_id)
join state.shelf_state f on (f.store_id, f.shelf_id) = (o.store_id, o.shelf_id)
where o.status in ('pending', 'issued')
group by o.store_id, o.expected_delivery_ts, s.name
order by o.expected_delivery_ts, units desc;
