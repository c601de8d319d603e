-- question: When in the day do customers buy, and how much?
-- columns: hour (simulated UTC = store time); receipts, units and revenue (EUR) per day; share_pct of the day's revenue
with days as (
    select store_id, count(distinct (timestamp at time zone 'UTC')::date) as n from ops.pos_transactions group by store_id
)
select t.store_id, extract(hour from t.timestamp at time zone 'UTC')::int as hour,
       round(count(*) / d.n::numeric, 1) as receipts,
       round(sum(t.total_items) / d.n::numeric, 1) as units,
       round(sum(t.total_amount) / d.n, 2) as revenue,
       round(100 * sum(t.total_amount) / sum(sum(t.total_amount)) over (partition by t.store_id), 1) as share_pct
from ops.pos_transactions t
join days d using (store_id)
group by t.store_id, hour, d.n
order by t.store_id, hour;
