"""The star schema, its weekly views, the functions that keep both, and what scheduled jobs tell of their runs."""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = {
    "dim_date": (
        "Days",
        """
            day         date primary key,
            year        int  not null,
            quarter     int  not null,
            month       int  not null,
            week_start  date not null,
            iso_week    int  not null,
            day_of_week int  not null,
            day_name    text not null,
            is_weekend  boolean not null
        """,
    ),
    "dim_store": (
        "Stores",
        """
            store_id      text primary key,
            aisles        bigint not null,
            shelves       bigint not null,
            maximum_stock bigint not null
        """,
    ),
    "dim_product": (
        "Products, each at its shelf; prices are those of today",
        """
            store_id        text not null,
            shelf_id        text not null,
            product_id      text not null,
            item_name       text not null,
            category        text not null,
            subcategory     text not null,
            aisle           bigint not null,
            storage_zone    text not null,
            supplier_id     text not null,
            item_price      numeric(12, 2) not null,
            item_cost       numeric(12, 2) not null,
            shelf_life_days bigint not null,
            primary key (store_id, shelf_id)
        """,
    ),
    "dim_supplier": (
        "Suppliers, with what they promise",
        """
            supplier_id    text primary key,
            name           text not null,
            capacity_units bigint not null,
            lead_days      double precision not null,
            on_time_rate   double precision not null
        """,
    ),
    "dim_warehouse": (
        "Backrooms by storage zone; capacity in units",
        """
            store_id     text not null,
            storage_zone text not null,
            products     bigint not null,
            capacity     bigint not null,
            primary key (store_id, storage_zone)
        """,
    ),
    "fact_sales": (
        "What a product sold on a day; EUR",
        """
            store_id         text not null,
            shelf_id         text not null,
            day              date not null,
            units            bigint not null,
            lines            bigint not null,
            revenue          numeric(14, 2) not null,
            list_revenue     numeric(14, 2) not null,
            cost             numeric(14, 2) not null,
            discounted_units bigint not null,
            primary key (store_id, shelf_id, day)
        """,
    ),
    "fact_stock_daily": (
        "What moved of a product on a day, and what was left at its end; units",
        """
            store_id       text not null,
            shelf_id       text not null,
            day            date not null,
            received       bigint not null,
            to_shelf       bigint not null,
            sold           bigint not null,
            removed        bigint not null,
            store_close    bigint not null,
            backroom_close bigint not null,
            primary key (store_id, shelf_id, day)
        """,
    ),
    "fact_waste": (
        "What staff threw away; units, EUR",
        """
            store_id   text not null,
            shelf_id   text not null,
            batch_code text not null,
            location   text not null,
            reason     text not null,
            day        date not null,
            units      bigint not null,
            cost       numeric(14, 2) not null,
            value      numeric(14, 2) not null,
            primary key (store_id, shelf_id, batch_code, location, reason, day)
        """,
    ),
    "fact_orders": (
        "What was ordered from suppliers; units, EUR",
        """
            store_id    text not null,
            order_id    text not null,
            day         date not null,
            shelf_id    text not null,
            supplier_id text not null,
            proposed_by text not null,
            status      text not null,
            ordered     bigint not null,
            cost        numeric(14, 2) not null,
            primary key (store_id, order_id)
        """,
    ),
    "fact_shipments": (
        "What came of an order: promised and real arrival, units short; nulls while it is on its way",
        """
            store_id     text not null,
            order_id     text not null,
            day          date not null,
            shelf_id     text not null,
            supplier_id  text not null,
            promised     timestamptz not null,
            arrived      timestamptz,
            ordered      bigint not null,
            received     bigint,
            short        bigint,
            late_minutes bigint,
            primary key (store_id, order_id)
        """,
    ),
}

DIMENSIONS = """
    insert into analytics.dim_date
    select d, extract(year from d), extract(quarter from d), extract(month from d), date_trunc('week', d)::date,
           extract(week from d), extract(isodow from d) - 1, to_char(d, 'FMDay'), extract(isodow from d) > 5
    from generate_series(date_trunc('year', since), date_trunc('year', last) + interval '2 years - 1 day', '1 day') g,
         lateral (select g::date as d) day
    on conflict do nothing;

    insert into analytics.dim_store
    select store_id, count(distinct aisle), count(*), sum(maximum_stock) from config.shelf_profiles group by store_id
    on conflict (store_id) do update
    set (aisles, shelves, maximum_stock) = (excluded.aisles, excluded.shelves, excluded.maximum_stock);

    insert into analytics.dim_product
    select store_id, shelf_id, product_id, item_name, category, subcategory, aisle, storage_zone, supplier_id,
           item_price, item_cost, shelf_life_days
    from config.shelf_profiles
    on conflict (store_id, shelf_id) do update
    set (product_id, item_name, category, subcategory, aisle, storage_zone, supplier_id, item_price, item_cost,
         shelf_life_days)
      = (excluded.product_id, excluded.item_name, excluded.category, excluded.subcategory, excluded.aisle,
         excluded.storage_zone, excluded.supplier_id, excluded.item_price, excluded.item_cost,
         excluded.shelf_life_days)
    where analytics.dim_product.* is distinct from excluded.*;

    insert into analytics.dim_supplier
    select supplier_id, name, capacity_units, lead_days, on_time_rate from config.suppliers
    on conflict (supplier_id) do update
    set (name, capacity_units, lead_days, on_time_rate)
      = (excluded.name, excluded.capacity_units, excluded.lead_days, excluded.on_time_rate);

    insert into analytics.dim_warehouse
    select store_id, storage_zone, count(*), sum(warehouse_capacity)
    from config.shelf_profiles group by store_id, storage_zone
    on conflict (store_id, storage_zone) do update
    set (products, capacity) = (excluded.products, excluded.capacity);
"""

# Prices and costs are those at the time of loading: a day's cost is fixed when the day is loaded.
SALES = """
    insert into analytics.fact_sales
    select i.store_id, i.shelf_id, (t.timestamp at time zone 'UTC')::date, sum(i.quantity), count(*),
           sum(i.total_price), sum(i.quantity * i.unit_price), sum(i.quantity * coalesce(p.item_cost, 0)),
           coalesce(sum(i.quantity) filter (where i.discount > 0), 0)
    from ops.pos_transactions t
    join ops.pos_transaction_items i using (store_id, transaction_id)
    left join config.shelf_profiles p using (store_id, shelf_id)
    where t.timestamp >= since::timestamp at time zone 'UTC'
    group by 1, 2, 3
    on conflict (store_id, shelf_id, day) do update
    set (units, lines, revenue, list_revenue, cost, discounted_units)
      = (excluded.units, excluded.lines, excluded.revenue, excluded.list_revenue, excluded.cost,
         excluded.discounted_units)
    where analytics.fact_sales.* is distinct from excluded.*;
"""

STOCK = """
    with moved as (
        select store_id, shelf_id, greatest((timestamp at time zone 'UTC')::date, since) as day,
               coalesce(sum(backroom) filter (where event_type = 'wh_in'), 0)::bigint as received,
               coalesce(sum(store) filter (where event_type = 'refill'), 0)::bigint as to_shelf,
               coalesce(-sum(store) filter (where event_type = 'sale'), 0)::bigint as sold,
               coalesce(-sum(store) filter (where event_type = 'removal'), 0)::bigint
             + coalesce(-sum(backroom) filter (where event_type = 'wh_adjust'), 0)::bigint as removed,
               sum(store)::bigint as store, sum(backroom)::bigint as backroom
        from ops.v_lot_movements
        where timestamp >= since::timestamp at time zone 'UTC'
        group by 1, 2, 3
    ), grid as (
        select p.store_id, p.shelf_id, d::date as day
        from config.shelf_profiles p, generate_series(since, last, '1 day') d
    )
    insert into analytics.fact_stock_daily
    select store_id, shelf_id, g.day, coalesce(m.received, 0), coalesce(m.to_shelf, 0), coalesce(m.sold, 0),
           coalesce(m.removed, 0),
           coalesce(b.store_close, 0) + coalesce(sum(m.store) over shelf, 0)::bigint,
           coalesce(b.backroom_close, 0) + coalesce(sum(m.backroom) over shelf, 0)::bigint
    from grid g
    left join moved m using (store_id, shelf_id, day)
    left join analytics.fact_stock_daily b using (store_id, shelf_id)
    where b.day is null or b.day = since - 1
    window shelf as (partition by store_id, shelf_id order by g.day)
    on conflict (store_id, shelf_id, day) do update
    set (received, to_shelf, sold, removed, store_close, backroom_close)
      = (excluded.received, excluded.to_shelf, excluded.sold, excluded.removed, excluded.store_close,
         excluded.backroom_close)
    where analytics.fact_stock_daily.* is distinct from excluded.*;
"""

WASTE = """
    insert into analytics.fact_waste
    select m.store_id, m.shelf_id, coalesce(m.batch_code, '~UNKNOWN'), coalesce(m.location, 'store'),
           coalesce(m.reason, 'unknown'), (m.timestamp at time zone 'UTC')::date, sum(m.quantity),
           sum(m.quantity * coalesce(p.item_cost, 0)), sum(m.quantity * coalesce(p.item_price, 0))
    from ops.shelf_movements m
    left join config.shelf_profiles p using (store_id, shelf_id)
    where m.event_type = 'removal' and m.quantity > 0 and m.timestamp >= since::timestamp at time zone 'UTC'
    group by 1, 2, 3, 4, 5, 6
    on conflict (store_id, shelf_id, batch_code, location, reason, day) do update
    set (units, cost, value) = (excluded.units, excluded.cost, excluded.value)
    where analytics.fact_waste.* is distinct from excluded.*;
"""

# Orders stay open for days, so all of them are compared each time: a few thousand a month.
ORDERS = """
    insert into analytics.fact_orders
    select o.store_id, o.order_id, (o.cutoff_ts at time zone 'UTC')::date, o.shelf_id, o.supplier_id,
           coalesce(l.source, 'unknown'), o.status, o.qty, o.qty * coalesce(p.item_cost, 0)
    from ops.wh_supplier_orders o
    left join ops.wh_supplier_plan l using (store_id, supplier_plan_id)
    left join config.shelf_profiles p on (p.store_id, p.shelf_id) = (o.store_id, o.shelf_id)
    on conflict (store_id, order_id) do update
    set (proposed_by, status, ordered, cost)
      = (excluded.proposed_by, excluded.status, excluded.ordered, excluded.cost)
    where analytics.fact_orders.* is distinct from excluded.*;

    insert into analytics.fact_shipments
    select o.store_id, o.order_id, (o.expected_delivery_ts at time zone 'UTC')::date, o.shelf_id, o.supplier_id,
           o.expected_delivery_ts, r.arrived, o.qty, r.received,
           case when r.received is not null then greatest(o.qty - r.received, 0) end,
           (extract(epoch from r.arrived - o.expected_delivery_ts) / 60)::bigint
    from ops.wh_supplier_orders o
    left join (
        select store_id, order_id, min(received_ts) as arrived, sum(qty)::bigint as received
        from ops.wh_supplier_receipts group by 1, 2
    ) r using (store_id, order_id)
    where o.status <> 'canceled'
    on conflict (store_id, order_id) do update
    set (promised, arrived, ordered, received, short, late_minutes)
      = (excluded.promised, excluded.arrived, excluded.ordered, excluded.received, excluded.short,
         excluded.late_minutes)
    where analytics.fact_shipments.* is distinct from excluded.*;
"""

WEEKLY = {
    "weekly_sales": (
        "store_id, week_start, category",
        """
        select s.store_id, d.week_start, p.category, sum(s.units)::bigint as units, sum(s.revenue) as revenue,
               sum(s.revenue - s.cost) as margin, sum(s.list_revenue - s.revenue) as discounts,
               sum(s.discounted_units)::bigint as discounted_units
        from analytics.fact_sales s
        join analytics.dim_date d using (day)
        join analytics.dim_product p using (store_id, shelf_id)
        group by 1, 2, 3
        """,
    ),
    "weekly_waste": (
        "store_id, week_start, category, location, reason",
        """
        select w.store_id, d.week_start, p.category, w.location, w.reason, sum(w.units)::bigint as units,
               sum(w.cost) as cost, sum(w.value) as value
        from analytics.fact_waste w
        join analytics.dim_date d using (day)
        join analytics.dim_product p using (store_id, shelf_id)
        group by 1, 2, 3, 4, 5
        """,
    ),
    "weekly_stock": (
        "store_id, week_start, category",
        """
        select f.store_id, d.week_start, p.category, round(avg(f.store_close), 1) as store_units_per_shelf,
               round(avg(f.backroom_close), 1) as backroom_units_per_shelf, count(*) as shelf_days,
               count(*) filter (where f.store_close <= 0) as empty_at_close
        from analytics.fact_stock_daily f
        join analytics.dim_date d using (day)
        join analytics.dim_product p using (store_id, shelf_id)
        group by 1, 2, 3
        """,
    ),
    "weekly_suppliers": (
        "store_id, week_start, supplier_id",
        """
        select f.store_id, d.week_start, f.supplier_id, count(*) as shipments, count(f.arrived) as arrived,
               count(*) filter (where f.late_minutes <= 0) as on_time, count(*) filter (where f.short = 0) as complete,
               sum(f.ordered)::bigint as ordered, sum(f.short)::bigint as short
        from analytics.fact_shipments f
        join analytics.dim_date d using (day)
        group by 1, 2, 3
        """,
    ),
}


def upgrade():
    for name, (about, columns) in TABLES.items():
        op.execute(f"create table analytics.{name} ({columns})")
        op.execute(f"comment on table analytics.{name} is '{about}'")
        op.execute(f"revoke insert, update, delete on analytics.{name} from smartshelf_sink")
    op.execute("create index on analytics.fact_sales (day)")
    op.execute("create index on analytics.fact_stock_daily (day)")
    # What was loaded stays right when it is loaded again: every statement is an upsert of whole days.
    op.execute(f"""
        create function analytics.refresh_star(from_day date default null) returns bigint
        language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
        declare
            opened date := (select min(timestamp at time zone 'UTC')::date from ops.shelf_movements);
            last   date := (select max(last_update_ts at time zone 'UTC')::date from state.shelf_state);
            loaded date := (select max(day) from analytics.fact_stock_daily);
            since  date;
            changed bigint := 0;
            part   bigint;
        begin
            if opened is null or last is null then
                return 0;
            end if;
            -- The last day may have been loaded before it was over, or before its last facts had arrived.
            since := greatest(least(from_day, loaded - 1), opened);
            if loaded is null or not exists (select from analytics.fact_stock_daily where day = since - 1) then
                since := opened;
            end if;
            {DIMENSIONS}
            {SALES}
            get diagnostics part = row_count; changed := changed + part;
            {STOCK}
            get diagnostics part = row_count; changed := changed + part;
            {WASTE}
            get diagnostics part = row_count; changed := changed + part;
            {ORDERS}
            get diagnostics part = row_count;
            return changed + part;
        end
        $$
    """)
    for name, (key, query) in WEEKLY.items():
        op.execute(f"create materialized view analytics.{name} as {query}")
        op.execute(f"create unique index on analytics.{name} ({key})")
        op.execute(f"revoke insert, update, delete on analytics.{name} from smartshelf_sink")
    refreshes = "".join(f"refresh materialized view concurrently analytics.{name};\n" for name in WEEKLY)
    counts = " + ".join(f"(select count(*) from analytics.{name})" for name in WEEKLY)
    op.execute(f"""
        create function analytics.refresh_weekly() returns bigint
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        begin
            {refreshes}
            return {counts};
        end
        $$
    """)
    # The archive is delta/raw. The backroom's and staff's movements stay: the stock of every lot is their sum.
    op.execute("""
        create function ops.prune(keep_days int) returns bigint
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        declare
            horizon timestamptz := (select max(last_update_ts) from state.shelf_state) - make_interval(days => keep_days);
            deleted bigint := 0;
            part bigint;
        begin
            if keep_days < 31 then
                raise exception 'keep_days must be at least 31: the topics still have what is younger';
            end if;
            delete from ops.pos_transaction_items i using ops.pos_transactions t
            where (t.store_id, t.transaction_id) = (i.store_id, i.transaction_id) and t.timestamp < horizon;
            get diagnostics part = row_count; deleted := deleted + part;
            delete from ops.pos_transactions where timestamp < horizon;
            get diagnostics part = row_count; deleted := deleted + part;
            delete from ops.cold_chain where timestamp < horizon;
            get diagnostics part = row_count; deleted := deleted + part;
            delete from ops.alerts where updated_at < horizon and status in ('resolved', 'dismissed');
            get diagnostics part = row_count;
            return deleted + part;
        end
        $$
    """)
    op.execute("""
        create table ops.job_runs (
            job           text        not null,
            scheduled_for timestamptz not null,
            started       timestamptz,
            finished      timestamptz,
            status        text        not null check (status in ('running', 'succeeded', 'failed', 'skipped')),
            attempts      int         not null default 0,
            rows          bigint,
            error         text,
            primary key (job, scheduled_for)
        )
    """)
    op.execute("""
        comment on table ops.job_runs is
        'Runs of scheduled jobs and of stages that the calendar fires: scheduled_for is simulated time, the rest real'
    """)
    op.execute("revoke insert, update, delete on ops.job_runs from smartshelf_sink")
    op.execute("grant usage on schema ops, analytics, state to smartshelf_runner")
    op.execute("grant select, insert, update on ops.job_runs to smartshelf_runner")
    for function in ("analytics.refresh_star(date)", "analytics.refresh_weekly()", "ops.prune(int)"):
        op.execute(f"revoke execute on function {function} from public")
        op.execute(f"grant execute on function {function} to smartshelf_runner")
