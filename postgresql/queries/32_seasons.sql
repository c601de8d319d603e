-- question: How do the categories sell through the year?
-- columns: units per day in each month, the year of history included; index: 100 = the category's mean
with months as (
    select store_id, item_category, date_trunc('month', feature_date)::date as month,
           sum(sales_qty)::numeric / (max(feature_date) - min(feature_date) + 1) as units_per_day
    from analytics.shelf_daily_features
    group by 1, 2, 3
)
select store_id, item_category, month, round(units_per_day, 1) as units_per_day,
       round(100 * units_per_day / nullif(avg(units_per_day) over (partition by store_id, item_category), 0)) as index
from months
order by store_id, item_category, month;
