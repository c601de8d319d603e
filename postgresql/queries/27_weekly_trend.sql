-- question: How do sales, margin and waste develop week by week?
-- columns: week_start (Monday); units; revenue, margin, waste (EUR); waste_pct of the revenue. From the weekly views, refreshed on Mondays at 05:00
with sales as (
    select store_id, week_start, sum(units) as units, sum(revenue) as revenue, sum(margin) as margin
    from analytics.weekly_sales group by 1, 2
), waste as (
    select store_id, week_start, sum(cost) as cost from analytics.weekly_waste group by 1, 2
)
select s.store_id, s.week_start, s.units, s.revenue, s.margin, coalesce(w.cost, 0) as waste,
       round(100 * coalesce(w.cost, 0) / nullif(s.revenue, 0), 2) as waste_pct
from sales s
left join waste w using (store_id, week_start)
order by s.store_id, s.week_start;
