-- question: Did a cold zone become too warm, and what does cooling cost?
-- columns: zone; readings; mean, lowest and highest temperature (degrees Celsius); too_warm: readings above 5 (chilled) or -15 (frozen); kwh_per_day
select c.store_id, c.zone_id, z.storage_zone, count(*) as readings, round(avg(c.temperature_c)::numeric, 1) as mean,
       min(c.temperature_c) as lowest, max(c.temperature_c) as highest,
       count(*) filter (where c.temperature_c > case z.storage_zone when 'frozen' then -15 when 'chilled' then 5 end) as too_warm,
       round((sum(c.kwh) / greatest(extract(epoch from max(c.timestamp) - min(c.timestamp)) / 86400, 1))::numeric, 1)
           as kwh_per_day
from ops.cold_chain c
left join (select distinct store_id, zone_id, storage_zone from config.shelf_profiles) z using (store_id, zone_id)
group by c.store_id, c.zone_id, z.storage_zone
order by c.store_id, c.zone_id;
