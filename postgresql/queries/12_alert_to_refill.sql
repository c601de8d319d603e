-- question: How long does it take from "this shelf needs goods" until staff have filled it?
-- columns: alerts with a refill after them; minutes (simulated): median, 90th percentile, longest; unanswered: alerts without one yet
with answered as (
    select a.store_id, a.alert_id, a.created_at, p.category,
           (select min(m.timestamp) from ops.shelf_movements m
            where m.store_id = a.store_id and m.shelf_id = a.shelf_id and m.event_type = 'refill'
              and m.timestamp >= a.created_at) as refilled
    from ops.alerts a
    join config.shelf_profiles p using (store_id, shelf_id)
    where a.event_type = 'refill_request'
), timed as (
    select *, extract(epoch from refilled - created_at)::float8 / 60 as minutes from answered
)
select store_id, category, count(refilled) as alerts,
       round(percentile_cont(0.5) within group (order by minutes)::numeric, 1) as median_minutes,
       round(percentile_cont(0.9) within group (order by minutes)::numeric, 1) as p90_minutes,
       round(max(minutes)::numeric, 1) as longest_minutes, count(*) - count(refilled) as unanswered
from timed
group by store_id, category
order by store_id, alerts desc, category;
