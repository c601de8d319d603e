"""Mirrors of the live states, and the guard that keeps an older row from overwriting a newer one."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    # The sink upserts unconditionally and may repeat itself after a crash, so the table itself refuses to go back.
    op.execute("""
        create function state.keep_newer_row() returns trigger language plpgsql as $$
        begin
            return null;  -- skips this update: the row in the table is newer
        end
        $$
    """)
    op.execute("""
        create table state.shelf_state (
            epoch          bigint           not null,
            version        bigint           not null,
            as_of_step     bigint           not null,
            store_id       text             not null,
            shelf_id       text             not null,
            category       text             not null,
            subcategory    text             not null,
            current_stock  bigint           not null,
            max_stock      bigint           not null,
            shelf_weight   double precision not null,
            in_baskets     bigint           not null,
            on_the_way     bigint           not null,
            last_update_ts timestamptz      not null,
            primary key (store_id, shelf_id)
        )
    """)
    op.execute("""
        create trigger keep_newer_row before update on state.shelf_state
        for each row when ((new.epoch, new.version) < (old.epoch, old.version))
        execute function state.keep_newer_row()
    """)
    op.execute("comment on table state.shelf_state is 'What the business knows of each shelf; units, weight in grams'")
