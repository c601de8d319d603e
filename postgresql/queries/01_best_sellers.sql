-- question: Which products earned most in the last seven days?
-- columns: item_name, category; units sold; revenue (EUR, discounts taken off); share_pct of the store's revenue
with clock as (
    select max(last_update_ts) as now from state.shelf_state
), sold as (
    select i.store_id, i.shelf_id, sum(i.quantity) as units, sum(i.total_price) as revenue
    from clock, ops.pos_transactions t
    join ops.pos_transaction_items i using (store_id, transaction_id)
    where t.timestamp > clock.now - interval '7 days'
    group by i.store_id, i.shelf_id
)
select s.store_id, p.item_name, p.category, s.units, s.revenue,
       round(100 * s.revenue / sum(s.revenue) over (partition by s.store_id), 2) as share_pct
from sold s
join config.shelf_profiles p using (store_id, shelf_id)
order by s.store_id, s.revenue desc, s.shelf_id
limit 20;
