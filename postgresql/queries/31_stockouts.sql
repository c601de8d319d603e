-- question: Which shelves were empty longest in the last four weeks, and what did that cost in sales?
-- columns: days with a stock-out; hours empty; units_per_day sold on days without one; missed: units at that pace; lost_revenue (EUR)
with clock as (
    select max(feature_date) as last from analytics.shelf_daily_features
), days as (
    select f.store_id, f.shelf_id, f.stockout_minutes, f.sales_qty, f.item_price
    from clock, analytics.shelf_daily_features f
    where f.feature_date > clock.last - 28
), shelves as (
    select store_id, shelf_id, count(*) filter (where stockout_minutes > 0) as days_empty,
           sum(stockout_minutes)::numeric as minutes, avg(sales_qty) filter (where stockout_minutes = 0) as pace,
           max(item_price) as price
    from days
    group by store_id, shelf_id
)
select s.store_id, s.shelf_id, p.item_name, p.category, s.days_empty, round(s.minutes / 60.0, 1) as hours_empty,
       round(s.pace, 2) as units_per_day,
       round(s.pace * s.minutes / (15 * 60), 1) as missed,  -- of 15 opening hours
       round((s.pace * s.minutes / (15 * 60)) * s.price, 2) as lost_revenue
from shelves s
join config.shelf_profiles p using (store_id, shelf_id)
where s.minutes > 0
order by lost_revenue desc nulls last, s.store_id, s.shelf_id
limit 30;
