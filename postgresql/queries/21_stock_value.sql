-- question: What is all the stock worth, and where does it lie?
-- columns: units on shelves, in the backroom and on the way; at_cost and at_price (EUR)
select p.store_id, p.storage_zone, sum(s.current_stock) as on_shelves, sum(w.wh_current_stock) as in_backroom,
       sum(s.on_the_way) as on_the_way,
       sum((s.current_stock + w.wh_current_stock + s.on_the_way) * p.item_cost) as at_cost,
       sum((s.current_stock + w.wh_current_stock + s.on_the_way) * p.item_price) as at_price
from config.shelf_profiles p
join state.shelf_state s using (store_id, shelf_id)
join state.wh_state w using (store_id, shelf_id)
group by p.store_id, p.storage_zone
order by p.store_id, at_cost desc;
