-- question: How large are baskets over the day?
-- columns: hour; receipts; lines, units and EUR per receipt (means), median and 95th percentile of EUR
select t.store_id, extract(hour from t.timestamp at time zone 'UTC')::int as hour, count(*) as receipts,
       round(avg(l.lines), 2) as lines, round(avg(t.total_items), 2) as units, round(avg(t.total_amount), 2) as mean_eur,
       round(percentile_cont(0.5) within group (order by t.total_amount)::numeric, 2) as median_eur,
       round(percentile_cont(0.95) within group (order by t.total_amount)::numeric, 2) as p95_eur
from ops.pos_transactions t
join (
    select store_id, transaction_id, count(*) as lines from ops.pos_transaction_items group by 1, 2
) l using (store_id, transaction_id)
group by t.store_id, hour
order by t.store_id, hour;
