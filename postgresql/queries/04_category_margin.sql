-- question: Which categories earn the money, after what the goods cost and what discounts took?
-- columns: units sold; revenue, discounts and margin (EUR); margin_pct of the revenue. From the star schema: whole days, loaded at 04:00
select s.store_id, p.category, sum(s.units) as units, sum(s.revenue) as revenue,
       sum(s.list_revenue - s.revenue) as discounts, sum(s.revenue - s.cost) as margin,
       round(100 * sum(s.revenue - s.cost) / nullif(sum(s.revenue), 0), 1) as margin_pct
from analytics.fact_sales s
join analytics.dim_product p using (store_id, shelf_id)
group by s.store_id, p.category
order by s.store_id, margin desc;
