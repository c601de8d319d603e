-- question: What was thrown away, why, where, and what did it cost?
-- columns: location, reason; lots, units; cost (what the goods cost, EUR), value (what they would have brought at full price, EUR)
select m.store_id, coalesce(m.location, 'store') as location, m.reason, p.category,
       count(distinct m.batch_code) as lots, sum(m.quantity) as units,
       sum(m.quantity * p.item_cost) as cost, sum(m.quantity * p.item_price) as value
from ops.shelf_movements m
join config.shelf_profiles p using (store_id, shelf_id)
where m.event_type = 'removal' and m.quantity > 0
group by m.store_id, coalesce(m.location, 'store'), m.reason, p.category
order by m.store_id, cost desc;
