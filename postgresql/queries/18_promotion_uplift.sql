-- question: Do the weekly discounts sell more?
-- columns: units per shelf and day with and without a weekly discount, of the products that had one; uplift_pct; discount_pct: mean
with clock as (
    select (max(last_update_ts) at time zone 'UTC')::date as today from state.shelf_state
), promoted as (
    select store_id, shelf_id, discount_date as day, max(discount) as discount
    from clock, analytics.daily_discounts
    where reason = 'weekly' and discount_date < clock.today
    group by 1, 2, 3
), span as (
    select store_id, min((timestamp at time zone 'UTC')::date) as first from ops.pos_transactions group by store_id
), days as (
    select p.store_id, p.shelf_id, d::date as day
    from (select distinct store_id, shelf_id from promoted) p
    join span using (store_id), clock, generate_series(span.first, clock.today - 1, '1 day') d
), sold as (
    select t.store_id, i.shelf_id, (t.timestamp at time zone 'UTC')::date as day, sum(i.quantity) as units
    from ops.pos_transactions t
    join ops.pos_transaction_items i using (store_id, transaction_id)
    group by 1, 2, 3
), compared as (
    select d.store_id, f.category, p.discount, coalesce(s.units, 0) as units
    from days d
    join config.shelf_profiles f using (store_id, shelf_id)
    left join promoted p using (store_id, shelf_id, day)
    left join sold s using (store_id, shelf_id, day)
), by_category as (
    select store_id, category, avg(units) filter (where discount > 0) as promoted,
           avg(units) filter (where discount is null) as plain, avg(discount) as discount
    from compared group by 1, 2
)
select store_id, category, round(promoted, 2) as units_with, round(plain, 2) as units_without,
       round(100 * (promoted / nullif(plain, 0) - 1), 1) as uplift_pct, round(100 * discount::numeric, 1) as discount_pct
from by_category
order by store_id, uplift_pct desc nulls last, category;
