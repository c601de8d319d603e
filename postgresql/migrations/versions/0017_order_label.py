"""What the rule ordered at the first cutoff after a day is known of live days too, from what it proposed."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade():
    # A generated row says what was ordered then; a live row is never corrected, and the last generated days wait for a
    # live cutoff. The rule's last word before a cutoff is what it orders; of what it proposed nothing of it orders none.
    # A label is known when the day of its cutoff has closed: until then its row is not learnt from.
    op.execute("""
        create or replace view analytics.v_ml_train as
        with
        cutoff as (
            select store_id, max(cutoff_ts) as cutoff_ts, (cutoff_ts at time zone 'UTC')::date as day
            from ops.order_proposals
            group by store_id, (cutoff_ts at time zone 'UTC')::date
        ),
        first_cutoff as (
            select store_id, since::date as feature_date, cutoff_ts
            from (
                select *, coalesce(lag(day) over (partition by store_id order by day), day - 7) as before
                from cutoff
            ) as named,
            generate_series(before, day - 1, interval '1 day') as since
            where exists (
                select from analytics.shelf_daily_features as closed
                where closed.store_id = named.store_id and closed.feature_date = named.day
            )
        ),
        labelled as (
            select day.store_id, day.shelf_id, day.feature_date, day.label_next_day_stockout,
                   coalesce(
                       day.batches_to_order,
                       case when first_cutoff.cutoff_ts is not null
                            then coalesce(rule.qty, 0) / greatest(day.standard_batch_size, 1) end
                   ) as batches_to_order
            from analytics.shelf_daily_features as day
            left join first_cutoff using (store_id, feature_date)
            left join ops.order_proposals as rule
                   on rule.store_id = day.store_id and rule.shelf_id = day.shelf_id
                  and rule.cutoff_ts = first_cutoff.cutoff_ts and rule.source = 'rule'
        )
        select f.*,
               later.sales_qty as target_next_day_sales,
               (later.stockout_minutes > 0)::int as next_day_is_censored,
               coalesce(day.label_next_day_stockout, later.stockout_minutes > 0)::int as label_next_day_stockout,
               day.batches_to_order
        from analytics.v_ml_features as f
        join labelled as day using (store_id, shelf_id, feature_date)
        join analytics.shelf_daily_features as later
          on later.store_id = f.store_id and later.shelf_id = f.shelf_id and later.feature_date = f.feature_date + 1
        where day.batches_to_order is not null
    """)
    op.execute(
        "comment on view analytics.v_ml_train is "
        "'Closed days whose next day and next cutoff have closed as well, with what they showed; no simulation truth'"
    )
