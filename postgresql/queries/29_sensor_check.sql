-- question: Where does a shelf's weight not fit its stock (drift, mis-scan, theft)?
-- columns: every shelf by how far its weight is from its stock: current_stock; units_by_weight; apart (units)
select s.store_id, s.shelf_id, p.item_name, s.current_stock,
       round((s.shelf_weight / p.item_weight)::numeric, 2) as units_by_weight,
       round(abs(s.shelf_weight / p.item_weight - s.current_stock)::numeric, 2) as apart
from state.shelf_state s
join config.shelf_profiles p using (store_id, shelf_id)
order by apart desc, s.store_id, s.shelf_id
limit 20;
