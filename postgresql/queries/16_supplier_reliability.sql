-- question: Which supplier can be relied on?
-- columns: orders due; on_time_pct and complete_pct of those; promised_pct: what the supplier promises; mean late_minutes of late ones; short units
with clock as (
    select max(last_update_ts) as now from state.shelf_state
), due as (
    select o.store_id, o.supplier_id, o.qty, o.expected_delivery_ts as promised,
           min(r.received_ts) as arrived, coalesce(sum(r.qty), 0) as received
    from clock, ops.wh_supplier_orders o
    left join ops.wh_supplier_receipts r using (store_id, order_id)
    where o.status <> 'canceled' and o.expected_delivery_ts <= clock.now
    group by o.store_id, o.order_id
)
select d.store_id, s.name as supplier, count(*) as orders,
       round(100.0 * count(*) filter (where d.arrived <= d.promised + interval '1 hour') / count(*), 1) as on_time_pct,
       round(100.0 * count(*) filter (where d.received >= d.qty) / count(*), 1) as complete_pct,
       round(100 * s.on_time_rate::numeric, 1) as promised_pct,
       round(avg(extract(epoch from d.arrived - d.promised) / 60)
             filter (where d.arrived > d.promised + interval '1 hour'), 0) as late_minutes,
       sum(greatest(d.qty - d.received, 0)) as short
from due d
join config.suppliers s using (supplier_id)
group by d.store_id, s.name, s.on_time_rate
order by on_time_pct, d.store_id, supplier;
