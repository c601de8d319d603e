"""What people ask of the store, what came of it, the lots that lorries bring, and policies that contradict themselves.

The sentences raised here are what Postgres shows to whoever enters something that cannot be followed.
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade():
    commands()
    outcomes()
    delivered_lots()
    policies()


def commands():
    op.execute("""
        create table ops.commands (
            store_id   text        not null default 'S01',
            command_id uuid        not null default gen_random_uuid(),
            who        text        not null default session_user,
            what       jsonb       not null,
            at         timestamptz not null default now(),
            primary key (store_id, command_id),
            constraint "who must name a person in 1 to 128 characters"
                check (length(who) between 1 and 128),
            constraint "what must be a JSON object with a text field kind"
                check (coalesce(jsonb_typeof(what -> 'kind') = 'string', false)),
            constraint "what must be shorter than 8000 characters"
                check (length(what::text) < 8000)
        )
    """)
    op.execute("""
        create function ops.check_command() returns trigger language plpgsql as $$
        begin
            if not exists (select from config.shelf_profiles where store_id = new.store_id) then
                raise exception 'There is no store %', new.store_id using errcode = 'check_violation';
            end if;
            -- When a command came tells a repetition from a new one, so nobody may say it himself.
            new.at := clock_timestamp();
            return new;
        end
        $$
    """)
    op.execute("""
        create trigger check_command before insert on ops.commands
        for each row execute function ops.check_command()
    """)
    op.execute("comment on table ops.commands is 'What people asked of the store; answers in ops.command_outcomes'")
    # A command that was given is not changed any more: who wants something else gives another.
    op.execute("grant insert (store_id, command_id, who, what) on ops.commands to smartshelf_app")
    op.execute("create index on ops.commands (store_id, at)")


def outcomes():
    op.execute("""
        create table ops.command_outcomes (
            epoch      bigint      not null,
            version    bigint      not null,
            as_of_step bigint      not null,
            store_id   text        not null,
            command_id uuid        not null,
            outcome    text        not null,
            reason     text        not null,
            at         timestamptz not null,
            primary key (store_id, command_id)
        )
    """)
    op.execute("comment on table ops.command_outcomes is 'What came of each command; at is simulated time'")
    op.execute("""
        create trigger keep_newer_row before update on ops.command_outcomes
        for each row when ((new.epoch, new.version) < (old.epoch, old.version))
        execute function state.keep_newer_row()
    """)


    op.execute("""
        create view ops.v_commands as
        select c.store_id, c.command_id, c.who, c.what, c.at as asked_at, o.outcome, o.reason, o.at as answered_at
        from ops.commands c left join ops.command_outcomes o using (store_id, command_id)
    """)
    op.execute("comment on view ops.v_commands is 'Commands with what came of them; asked_at is wall clock'")


def delivered_lots():
    # The sink's role may not write people's tables; this function may, and does nothing else.
    op.execute("""
        create function config.add_delivered_lot() returns trigger
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        begin
            insert into config.batch_catalog (
                store_id, batch_code, shelf_id, supplier_id, received_date, expiry_date, standard_batch_size
            )
            values (
                new.store_id, new.batch_code, new.shelf_id, new.supplier_id, new.received_date,
                greatest(new.expiry_date, new.received_date), new.standard_batch_size
            )
            on conflict (store_id, batch_code) do nothing;
            return null;
        end
        $$
    """)
    op.execute("revoke execute on function config.add_delivered_lot() from public")
    op.execute("""
        create trigger add_delivered_lot after insert on ops.wh_supplier_receipts
        for each row execute function config.add_delivered_lot()
    """)


def policies():
    op.execute("""
        alter table config.wh_policies
            drop constraint "service_level must lie between 0 and 1",
            add constraint "service_level must be at least 0.5 and below 1"
                check (service_level >= 0.5 and service_level < 1) not valid,
            add constraint "safety_days must be a number of days up to 365"
                check (safety_days <= 365) not valid
    """)
    # A policy that says only one of the two is read with the product's default for the other (domain/policy.py).
    op.execute("""
        alter table config.shelf_policies
            add constraint "with defaults 30 and 80, target_pct must be above threshold_pct"
                check (coalesce(threshold_pct, 30) < coalesce(target_pct, 80)) not valid
    """)
