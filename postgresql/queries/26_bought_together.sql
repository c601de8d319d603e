-- question: Which products were bought together in the last seven days?
-- columns: receipts with both; of those with the first one, pct that have the second; lift over chance
with lines as materialized (
    select distinct i.store_id, i.transaction_id, i.shelf_id
    from ops.pos_transactions t
    join ops.pos_transaction_items i using (store_id, transaction_id)
    where t.timestamp > (select max(last_update_ts) from state.shelf_state) - interval '7 days'
), total as (
    select store_id, count(distinct transaction_id) as n from lines group by 1
), counted as (
    -- Only what at least two receipts in a hundred have: rarer pairs are chance.
    select store_id, shelf_id, count(*) as n from lines join total t using (store_id) group by 1, 2, t.n
    having count(*) * 50 >= t.n
), common as materialized (
    select l.* from lines l join counted using (store_id, shelf_id)
), pairs as materialized (
    select a.store_id, a.shelf_id as first, b.shelf_id as second, count(*) as together
    from common a
    join common b using (store_id, transaction_id)
    where b.shelf_id > a.shelf_id
    group by 1, 2, 3
    order by together desc, 1, 2, 3
    limit 20
)
select p.store_id, f.item_name as first, s.item_name as second, p.together,
       round(100.0 * p.together / a.n, 1) as pct, round(p.together * t.n / (a.n * b.n)::numeric, 1) as lift
from pairs p
join counted a on (a.store_id, a.shelf_id) = (p.store_id, p.first)
join counted b on (b.store_id, b.shelf_id) = (p.store_id, p.second)
join total t on t.store_id = p.store_id
join config.shelf_profiles f on (f.store_id, f.shelf_id) = (p.store_id, p.first)
join config.shelf_profiles s on (s.store_id, s.shelf_id) = (p.store_id, p.second)
order by p.together desc, lift desc, first, second;
