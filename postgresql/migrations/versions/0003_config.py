"""What people own: profiles, policies, suppliers, lanes, lots; and the heartbeat of its capture.

The names of the checks are sentences because Postgres shows them to whoever enters a contradictory policy.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

SCOPE_CHECKS = """
            constraint "item_subcategory needs its item_category"
                check (item_subcategory is null or item_category is not null),
            constraint "a policy is for a shelf or for a category, not for both"
                check (shelf_id is null or item_category is null)
"""
AGE_AND_CHANGE = """
            active     boolean     not null default true,
            notes      text,
            created_at timestamptz default now(),
            updated_at timestamptz default now(),
"""


def upgrade():
    op.execute("""
        create table config.shelf_profiles (
            store_id            text             not null,
            shelf_id            text             not null,
            product_id          text             not null,
            item_name           text             not null,
            category            text             not null,
            subcategory         text             not null,
            aisle               bigint           not null,
            storage_zone        text             not null,
            zone_id             text             not null,
            item_weight         double precision not null,
            item_price          numeric(12, 2)   not null,
            item_cost           numeric(12, 2)   not null,
            supplier_id         text             not null,
            maximum_stock       bigint           not null,
            warehouse_capacity  bigint           not null,
            standard_batch_size bigint           not null,
            shelf_life_days     bigint           not null,
            item_visibility     double precision not null,
            primary key (store_id, shelf_id),
            constraint "storage_zone must be ambient, chilled or frozen"
                check (storage_zone in ('ambient', 'chilled', 'frozen')),
            constraint "item_weight must be above 0 grams and at most 1000000"
                check (item_weight > 0 and item_weight <= 1000000),
            constraint "item_price and item_cost must lie between 0 and 10000000"
                check (item_price between 0 and 10000000 and item_cost between 0 and 10000000),
            constraint "capacities and batch size must not be negative"
                check (maximum_stock >= 0 and warehouse_capacity >= 0 and standard_batch_size >= 0),
            constraint "shelf_life_days must not be negative"
                check (shelf_life_days >= 0),
            constraint "item_visibility must lie between 0 and 1"
                check (item_visibility between 0 and 1)
        )
    """)
    op.execute(f"""
        create table config.shelf_policies (
            policy_id        uuid primary key default gen_random_uuid(),
            store_id         text,
            shelf_id         text,
            item_category    text,
            item_subcategory text,
            threshold_pct    double precision,
            min_qty          bigint,
            target_pct       double precision,
            cooldown_minutes bigint,
            near_expiry_days bigint,
            {AGE_AND_CHANGE}
            constraint "threshold_pct must lie between 0 and 100"
                check (threshold_pct between 0 and 100),
            constraint "target_pct must lie between 0 and 100"
                check (target_pct between 0 and 100),
            constraint "target_pct must be above threshold_pct"
                check (target_pct > threshold_pct),
            constraint "min_qty must not be negative"
                check (min_qty between 0 and 10000000),
            constraint "cooldown_minutes must not be negative"
                check (cooldown_minutes >= 0),
            constraint "near_expiry_days must not be negative"
                check (near_expiry_days >= 0),
            {SCOPE_CHECKS}
        )
    """)
    op.execute(f"""
        create table config.wh_policies (
            policy_id         uuid primary key default gen_random_uuid(),
            store_id          text,
            shelf_id          text,
            item_category     text,
            item_subcategory  text,
            reorder_point_qty bigint,
            order_up_to_qty   bigint,
            safety_days       double precision,
            near_expiry_days  bigint,
            service_level     double precision,
            {AGE_AND_CHANGE}
            constraint "reorder_point_qty must not be negative"
                check (reorder_point_qty between 0 and 10000000),
            constraint "order_up_to_qty must be above reorder_point_qty"
                check (order_up_to_qty > reorder_point_qty),
            constraint "order_up_to_qty must not be negative"
                check (order_up_to_qty between 0 and 10000000),
            constraint "safety_days must not be negative"
                check (safety_days >= 0),
            constraint "near_expiry_days must not be negative"
                check (near_expiry_days >= 0),
            constraint "service_level must lie between 0 and 1"
                check (service_level between 0 and 1),
            {SCOPE_CHECKS}
        )
    """)
    for table in ("shelf_policies", "wh_policies"):
        # Two active policies for one scope would leave open which of them counts. Null means any.
        op.execute(f"""
            create unique index "{table}: one active policy per scope" on config.{table}
            (coalesce(store_id, ''), coalesce(shelf_id, ''), coalesce(item_category, ''), coalesce(item_subcategory, ''))
            where active
        """)
        op.execute(f"grant insert, update, delete on config.{table} to smartshelf_app")
    op.execute("""
        create function config.touch() returns trigger language plpgsql as $$
        begin
            new.updated_at := now();
            return new;
        end
        $$
    """)
    for table in ("shelf_policies", "wh_policies"):
        op.execute(f"""
            create trigger touch before update on config.{table}
            for each row when (old.* is distinct from new.*) execute function config.touch()
        """)
    op.execute("""
        create table config.suppliers (
            supplier_id    text primary key,
            name           text             not null,
            capacity_units bigint           not null check (capacity_units >= 0),
            cost_per_order numeric(12, 2)   not null check (cost_per_order >= 0),
            cost_per_unit  numeric(12, 2)   not null check (cost_per_unit >= 0),
            lead_days      double precision not null check (lead_days >= 0),
            on_time_rate   double precision not null check (on_time_rate between 0 and 1)
        )
    """)
    op.execute("""
        create table config.lanes (
            from_store    text             not null,
            to_store      text             not null,
            cost_per_unit numeric(12, 2)   not null check (cost_per_unit >= 0),
            days          double precision not null check (days >= 0),
            primary key (from_store, to_store),
            constraint "a lane leads to another store" check (from_store <> to_store)
        )
    """)
    op.execute("""
        create table config.batch_catalog (
            store_id            text   not null,
            batch_code          text   not null,
            shelf_id            text   not null,
            supplier_id         text   not null,
            received_date       date   not null,
            expiry_date         date   not null,
            standard_batch_size bigint not null check (standard_batch_size >= 0),
            primary key (store_id, batch_code),
            constraint "expiry_date must not be before received_date" check (expiry_date >= received_date)
        )
    """)
    op.execute("""
        create table config.debezium_heartbeat (
            id bigint primary key,
            ts timestamptz not null
        )
    """)
    op.execute("grant insert, update on config.debezium_heartbeat to smartshelf_debezium")
