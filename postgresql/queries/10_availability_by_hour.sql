-- question: At which hours are shelves empty, and in which aisles?
-- columns: hour; availability_pct = share of open shelf minutes with stock; worst_aisle and its availability
with hours as (
    select store_id, extract(hour from hour_ts at time zone 'UTC')::int as hour, aisle,
           sum(open_minutes) as open, sum(out_minutes) as out
    from analytics.availability_hourly
    group by 1, 2, 3
    having sum(open_minutes) > 0
)
select store_id, hour, round(100 - 100 * sum(out) / sum(open), 2) as availability_pct,
       (array_agg(aisle order by out / open desc, aisle))[1] as worst_aisle,
       round(100 - 100 * max(out / open), 2) as worst_pct
from hours
group by store_id, hour
order by store_id, hour;
