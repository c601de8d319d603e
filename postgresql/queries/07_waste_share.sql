-- question: How much of what could have been sold ends as waste, by category?
-- columns: sold and wasted units; waste_pct = wasted / sold; cost of the waste (EUR)
with sold as (
    select i.store_id, p.category, sum(i.quantity) as units
    from ops.pos_transaction_items i
    join config.shelf_profiles p using (store_id, shelf_id)
    group by 1, 2
), wasted as (
    select m.store_id, p.category, sum(m.quantity) as units, sum(m.quantity * p.item_cost) as cost
    from ops.shelf_movements m
    join config.shelf_profiles p using (store_id, shelf_id)
    where m.event_type = 'removal'
    group by 1, 2
)
select s.store_id, s.category, s.units as sold, coalesce(w.units, 0) as wasted,
       round(100.0 * coalesce(w.units, 0) / nullif(s.units, 0), 2) as waste_pct, coalesce(w.cost, 0) as cost
from sold s
left join wasted w using (store_id, category)
order by s.store_id, waste_pct desc nulls last, s.category;
