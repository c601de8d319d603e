-- question: Which shelves are empty or nearly so although the backroom has the goods?
-- columns: current_stock of maximum; in_backroom; on_the_way; since: last change of the shelf; plan: status of its open restock plan
select s.store_id, s.shelf_id, p.item_name, p.aisle, s.current_stock, s.max_stock, w.wh_current_stock as in_backroom,
       s.on_the_way, s.last_update_ts as since, r.status as plan
from state.shelf_state s
join state.wh_state w using (store_id, shelf_id)
join config.shelf_profiles p using (store_id, shelf_id)
left join ops.shelf_restock_plan r
  on r.store_id = s.store_id and r.shelf_id = s.shelf_id and r.status in ('pending', 'issued')
where s.current_stock <= 0.3 * s.max_stock and w.wh_current_stock > 0
order by s.current_stock::float8 / nullif(s.max_stock, 0), s.store_id, s.shelf_id
limit 50;
