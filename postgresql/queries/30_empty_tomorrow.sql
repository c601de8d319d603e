-- question: How likely does a shelf run out on the next day, by how full it is in the evening?
-- columns: filled_to = upper end of the fill in percent; days = shelf-days; empty_pct = share that ran out the next day; sold = mean units sold then
select store_id, 20 * least(greatest(ceil(5 * shelf_fill_ratio), 0), 5)::int as filled_to, count(*) as days,
       round(100 * avg(label_next_day_stockout), 2) as empty_pct,
       round(avg(target_next_day_sales), 2) as sold
from analytics.v_ml_train
group by 1, 2
order by 1, 2;
