-- question: Are the tills evenly used, and how busy is the busiest hour?
-- columns: till; receipts, units, revenue (EUR); busiest_hour: most receipts of one till in one hour
with hourly as (
    select store_id, till_id, date_trunc('hour', timestamp) as hour, count(*) as receipts,
           sum(total_items) as units, sum(total_amount) as revenue
    from ops.pos_transactions group by 1, 2, 3
)
select store_id, till_id, sum(receipts) as receipts, sum(units) as units, sum(revenue) as revenue,
       max(receipts) as busiest_hour
from hourly
group by store_id, till_id
order by store_id, till_id;
