"""The database as init makes it: complete, repeatable, guarded, and never half migrated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql
from psycopg2.errorcodes import CHECK_VIOLATION, INSUFFICIENT_PRIVILEGE, READ_ONLY_SQL_TRANSACTION, UNIQUE_VIOLATION

from smartshelf.contracts.render.connect import PUBLICATION
from smartshelf.contracts.tables import TABLES
from smartshelf.errors import BadInput, SmartShelfError
from smartshelf.init import database, reference
from smartshelf.io import postgres
from smartshelf.settings import Settings
from tests.integration.databases import ask, database_of_its_own, refusal
from tests.integration.servers import Servers

pytestmark = [pytest.mark.servers]


@pytest.fixture
def empty(servers: Servers) -> Iterator[Settings]:
    """A database without tables."""
    with database_of_its_own(servers) as config:
        yield config


@pytest.fixture(scope="module")
def shared(servers: Servers) -> Iterator[Settings]:
    """A database with every table, for tests that leave nothing behind in it."""
    with database_of_its_own(servers) as config:
        database.migrate(config)
        yield config


@pytest.fixture
def migrated(empty: Settings) -> Settings:
    """The same with every table."""
    database.migrate(empty)
    return empty


# --- migrations ----------------------------------------------------------------------------------


def test_the_tables_are_what_the_contracts_say(shared: Settings) -> None:
    with postgres.connect(shared) as connection:
        assert database.contract_differences(connection) == []


def test_every_way_in_which_a_table_can_differ_from_its_contract_is_told(migrated: Settings) -> None:
    ask(migrated, "drop trigger keep_newer_row on state.shelf_state")
    ask(migrated, "alter table state.shelf_state drop column in_baskets, add column colour text")
    ask(migrated, "alter table state.shelf_state alter column max_stock type int, alter column category drop not null")
    ask(
        migrated, "alter table config.wh_policies drop constraint wh_policies_pkey, add primary key (policy_id, active)"
    )
    ask(migrated, "drop table config.shelf_policies")
    with postgres.connect(migrated) as connection:
        assert database.contract_differences(connection) == [
            "state.shelf_state.in_baskets is missing",
            "state.shelf_state.colour is in no contract",
            "state.shelf_state.category is text, the contract says text not null",
            "state.shelf_state.max_stock is integer not null, the contract says bigint not null",
            "config.shelf_policies does not exist",
            "config.wh_policies has the primary key (policy_id, active), the contract says (policy_id)",
        ]


def test_a_second_run_changes_nothing(migrated: Settings) -> None:
    before, after = database.migrate(migrated)
    assert before == after
    with postgres.connect(migrated) as connection:
        assert database.ensure_roles(connection, migrated) == []
        database.ensure_capture(connection)
        assert database.ensure_capture(connection) == []


def test_a_failed_migration_leaves_the_old_version(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "100 % migrations"
    shutil.copytree(database.MIGRATIONS, folder)
    newest = max(path.stem for path in (folder / "versions").glob("0*.py"))[:4]
    for number, statement in (("9001", "create table ref.good ()"), ("9002", "create table no_such_schema.bad ()")):
        (folder / "versions" / f"{number}.py").write_text(
            f"from alembic import op\nrevision, down_revision = '{number}', '{newest}'\n"
            f"def upgrade():\n    op.execute('{statement}')\n"
        )
        newest = number
    database.migrate(empty)
    before = ask(empty, "select version_num from alembic_version")
    monkeypatch.setattr(database, "MIGRATIONS", folder)
    with pytest.raises(SmartShelfError, match=r'rolled back.*schema "no_such_schema" does not exist'):
        database.migrate(empty)
    assert ask(empty, "select version_num from alembic_version") == before
    assert ask(empty, "select to_regclass('ref.good')") == [(None,)]


def test_a_database_of_newer_code_is_refused_in_a_sentence(migrated: Settings) -> None:
    ask(migrated, "update alembic_version set version_num = '9999'")
    with pytest.raises(SmartShelfError, match="another version than this code"):
        database.migrate(migrated)


def test_a_role_gets_the_password_of_the_settings_when_that_has_changed(migrated: Settings) -> None:
    other = migrated.model_copy(
        update={"postgres_analyst_password": type(migrated.postgres_app_password)("n'e\"w p@ß%")}
    )
    with postgres.connect(migrated) as connection:
        assert database.ensure_roles(connection, other) == ["smartshelf_analyst"]
    assert postgres.answers(other, "analyst")
    with pytest.raises(postgres.Unavailable, match="password authentication failed"):
        postgres.answers(migrated, "analyst")
    with postgres.connect(migrated) as connection:
        assert database.ensure_roles(connection, migrated) == ["smartshelf_analyst"]


def test_exactly_the_source_tables_and_the_heartbeat_are_published(migrated: Settings) -> None:
    published = "select schemaname || '.' || tablename from pg_publication_tables where pubname = %s"
    with postgres.connect(migrated) as connection:
        database.ensure_capture(connection)
    wanted = {t.full_name for t in TABLES.values() if t.direction == "source"} | {"config.debezium_heartbeat"}
    assert {row[0] for row in ask(migrated, published, PUBLICATION)} == wanted
    ask(migrated, f"alter publication {PUBLICATION} set table config.suppliers")
    with postgres.connect(migrated) as connection:
        database.ensure_capture(connection)
    assert {row[0] for row in ask(migrated, published, PUBLICATION)} == wanted


def test_every_mirror_keeps_its_newer_row(shared: Settings) -> None:
    guarded = {
        row[0] for row in ask(shared, "select tgrelid::regclass::text from pg_trigger where tgname = 'keep_newer_row'")
    }
    # Facts never change: the same one again is the same row.
    assert guarded == {t.full_name for t in TABLES.values() if t.direction == "sink" and not t.takes_facts}


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "columns", "values", "reason"),
    [
        ("shelf_policies", "threshold_pct, target_pct", (80, 80), "target_pct must be above threshold_pct"),
        ("shelf_policies", "threshold_pct, target_pct", (80, 30), "target_pct must be above threshold_pct"),
        ("shelf_policies", "threshold_pct", (101,), "threshold_pct must lie between 0 and 100"),
        ("shelf_policies", "target_pct", (-1,), "target_pct must lie between 0 and 100"),
        ("shelf_policies", "min_qty", (-1,), "min_qty must not be negative"),
        ("shelf_policies", "cooldown_minutes", (-1,), "cooldown_minutes must not be negative"),
        ("shelf_policies", "near_expiry_days", (-1,), "near_expiry_days must not be negative"),
        ("shelf_policies", "item_subcategory", ("x",), "item_subcategory needs its item_category"),
        (
            "wh_policies",
            "shelf_id, item_category",
            ("x", "y"),
            "a policy is for a shelf or for a category, not for both",
        ),
        (
            "wh_policies",
            "reorder_point_qty, order_up_to_qty",
            (9, 9),
            "order_up_to_qty must be above reorder_point_qty",
        ),
        ("wh_policies", "reorder_point_qty", (-1,), "reorder_point_qty must not be negative"),
        ("wh_policies", "order_up_to_qty", (-1,), "order_up_to_qty must not be negative"),
        ("wh_policies", "safety_days", (-0.1,), "safety_days must not be negative"),
        ("shelf_policies", "threshold_pct", (80,), "with defaults 30 and 80, target_pct must be above threshold_pct"),
        ("shelf_policies", "target_pct", (30,), "with defaults 30 and 80, target_pct must be above threshold_pct"),
        ("wh_policies", "safety_days", ("NaN",), "safety_days must be a number of days up to 365"),
        ("wh_policies", "service_level", (1.01,), "service_level must be at least 0.5 and below 1"),
        ("wh_policies", "service_level", (0.4,), "service_level must be at least 0.5 and below 1"),
        ("wh_policies", "near_expiry_days", (-1,), "near_expiry_days must not be negative"),
    ],
)
def test_a_contradictory_policy_is_refused_with_its_reason(
    shared: Settings, table: str, columns: str, values: tuple[Any, ...], reason: str
) -> None:
    places = ", ".join(["%s"] * len(values))
    failed = refusal(shared, f"insert into config.{table} ({columns}) values ({places})", *values, role="app")
    assert failed.pgcode == CHECK_VIOLATION
    assert failed.diag.constraint_name == reason


# --- commands ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_a_shelf(shared: Settings) -> Settings:
    ask(
        shared,
        "insert into config.shelf_profiles values ('S01', 'A0001', 'P', 'Äpfel', 'FRUIT', 'APPLES', 1, 'ambient', 'Z', "
        "100, 1, 0.5, 'SUP', 10, 20, 5, 7, 0.1)",
    )
    return shared


def test_a_command_is_entered_with_what_alone_and_postgres_says_when(with_a_shelf: Settings) -> None:
    statement = "insert into ops.commands (who, what) values ('ÅSA', '{\"kind\": \"sing\"}') returning store_id, who"
    assert ask(with_a_shelf, statement, role="app") == [("S01", "ÅSA")]
    (row,) = ask(with_a_shelf, "select now() - asked_at < '1 minute', outcome from ops.v_commands", role="analyst")
    assert row == (True, None)


@pytest.mark.parametrize(
    ("columns", "values", "reason"),
    [
        ("what", ("[]",), "what must be a JSON object with a text field kind"),
        ("what", ('{"kind": 3}',), "what must be a JSON object with a text field kind"),
        ("what", ("7",), "what must be a JSON object with a text field kind"),
        ("who, what", ("", '{"kind": "x"}'), "who must name a person in 1 to 128 characters"),
        ("store_id, what", ("S77", '{"kind": "x"}'), "There is no store S77"),
    ],
)
def test_a_command_that_no_stage_could_answer_is_refused_with_its_reason(
    with_a_shelf: Settings, columns: str, values: tuple[str, ...], reason: str
) -> None:
    places = ", ".join(["%s"] * len(values))
    failed = refusal(with_a_shelf, f"insert into ops.commands ({columns}) values ({places})", *values, role="app")
    assert failed.pgcode == CHECK_VIOLATION
    assert reason in str(failed)


@pytest.mark.parametrize(
    "statement",
    [
        "update ops.commands set who = 'me'",
        "delete from ops.commands",
        'insert into ops.commands (what, at) values (\'{"kind": "x"}\', now())',
        "insert into ops.command_outcomes values (1, 1, 1, 'S01', gen_random_uuid(), 'done', '', now())",
    ],
)
def test_a_command_once_given_cannot_be_changed_dated_or_answered_by_hand(
    with_a_shelf: Settings, statement: str
) -> None:
    assert refusal(with_a_shelf, statement, role="app").pgcode == INSUFFICIENT_PRIVILEGE


def test_a_delivered_lot_enters_the_catalogue_once_and_the_sink_needs_no_right_to_it(shared: Settings) -> None:
    receipt = (
        "insert into ops.wh_supplier_receipts values (1, %s, 1, 'S01', 'R1', 'O1', 'A0001', 'SUP', 'LOT', 5, 0, "
        "'2026-01-05', '2026-02-01', 5, now()) "
        "on conflict (store_id, receipt_id) do update set version = excluded.version"
    )
    for version in (1, 2):
        ask(shared, receipt, version, role="sink")
    found = ask(shared, "select shelf_id, expiry_date::text from config.batch_catalog where batch_code = 'LOT'")
    assert found == [("A0001", "2026-02-01")]
    writing = "insert into config.batch_catalog values ('S01', 'X', 'A', 'B', now(), now(), 1)"
    assert refusal(shared, writing, role="sink").pgcode == INSUFFICIENT_PRIVILEGE


def test_two_active_policies_for_one_scope_are_refused_but_an_inactive_one_may_stand_by(migrated: Settings) -> None:
    insert = (
        "insert into config.shelf_policies (store_id, item_category, threshold_pct, active) values (%s, 'X', 30, %s)"
    )
    ask(migrated, insert, None, True)
    ask(migrated, insert, "S01", True)
    ask(migrated, insert, None, False)
    failed = refusal(migrated, insert, None, True)
    assert failed.pgcode == UNIQUE_VIOLATION
    assert "one active policy per scope" in str(failed)


def test_an_edit_moves_updated_at_and_a_non_edit_does_not(migrated: Settings) -> None:
    ask(migrated, "insert into config.wh_policies (safety_days, updated_at) values (2, '2026-01-01T00:00:00Z')")
    ask(migrated, "update config.wh_policies set safety_days = 2")
    assert ask(migrated, "select extract(year from updated_at)::int from config.wh_policies where safety_days = 2") == [
        (2026,)
    ]
    ask(migrated, "update config.wh_policies set safety_days = 3")
    assert ask(migrated, "select now() - updated_at < '1 minute' from config.wh_policies") == [(True,)]


# --- who may do what -----------------------------------------------------------------------------

SCHEMAS = ("ref", "config", "state", "ops", "analytics")


def test_the_analyst_reads_every_table_also_later_ones_and_writes_none(migrated: Settings) -> None:
    for schema in SCHEMAS:
        ask(migrated, f"create table {schema}.later (id int)")
    tables = ask(
        migrated, "select schemaname || '.' || tablename from pg_tables where schemaname = any(%s)", [*SCHEMAS]
    )
    assert len(tables) > len(SCHEMAS)
    for (table,) in tables:
        ask(migrated, f"select count(*) from {table}", role="analyst")
        writing = f"set transaction read write; delete from {table}"
        assert refusal(migrated, writing, role="analyst").pgcode == INSUFFICIENT_PRIVILEGE
    assert refusal(migrated, "create table public.mine ()", role="analyst").pgcode == READ_ONLY_SQL_TRANSACTION


@pytest.mark.parametrize(
    "statement",
    [
        "create table analytics.mine ()",
        "create temporary table mine ()",
        "create schema mine",
        "create function analytics.mine() returns int language sql as 'select 1'",
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select analytics.refresh_star()",
        "select analytics.refresh_weekly()",
        "select ops.prune(400)",
        "refresh materialized view analytics.weekly_sales",
        "copy config.suppliers from program 'echo'",
        "copy config.suppliers to '/tmp/suppliers'",
        "copy (select 1) to program 'cat'",
        "insert into ops.job_runs (job, scheduled_for, status) values ('x', now(), 'failed')",
        "alter role smartshelf_app superuser",
        "set role smartshelf_owner",
        "select pg_reload_conf()",
        "select pg_drop_replication_slot('smartshelf_config')",
    ],
)
def test_the_analyst_cannot_write_by_any_way_around_its_read_only_transactions(
    shared: Settings, statement: str
) -> None:
    failed = refusal(shared, f"set transaction read write; {statement}", role="analyst")
    assert failed.pgcode == INSUFFICIENT_PRIVILEGE


@pytest.mark.parametrize(
    "statement",
    [
        "select rolpassword from pg_authid",
        "select passwd from pg_shadow",
        "select pg_read_file('postgresql.conf')",
        "select pg_read_binary_file('global/pg_control')",
        "select pg_ls_dir('.')",
        "select * from pg_hba_file_rules",
        "select * from pg_file_settings",
        "select lo_import('/etc/passwd')",
        "copy (select 1) to '/tmp/x'",
        "select * from pg_stat_get_wal_senders(), pg_read_file('standby.signal')",
    ],
)
def test_the_analyst_cannot_read_secrets_or_files(shared: Settings, statement: str) -> None:
    assert refusal(shared, statement, role="analyst").pgcode == INSUFFICIENT_PRIVILEGE


def test_the_analyst_sees_only_its_own_queries(shared: Settings) -> None:
    with postgres.connect(shared, "sink") as connection, connection.cursor() as cursor:
        cursor.execute("select 'a secret'")
        seen = ask(shared, "select query from pg_stat_activity where usename <> current_user", role="analyst")
    assert seen
    assert not any("a secret" in (query or "") for (query,) in seen)


def test_a_question_of_the_analyst_is_given_up_after_a_minute(shared: Settings) -> None:
    assert ask(shared, "show statement_timeout", role="analyst") == [("1min",)]
    assert ask(shared, "show default_transaction_read_only", role="analyst") == [("on",)]


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("runner", "delete from ops.job_runs"),
        ("runner", "delete from ops.pos_transactions"),
        ("runner", "update analytics.fact_sales set units = 0"),
        ("sink", "update analytics.fact_sales set units = 0"),
        ("sink", "insert into ops.job_runs (job, scheduled_for, status) values ('x', now(), 'failed')"),
        ("sink", "delete from config.shelf_policies"),
        ("sink", "update config.shelf_profiles set aisle = 1"),
        ("app", "delete from state.shelf_state"),
        ("app", "delete from config.shelf_profiles"),
        ("app", "truncate config.shelf_policies"),
        ("debezium", "delete from config.shelf_policies"),
        ("debezium", "select * from state.shelf_state"),
    ],
)
def test_a_role_cannot_do_what_another_one_owns(shared: Settings, role: postgres.Role, statement: str) -> None:
    assert refusal(shared, statement, role=role).pgcode == INSUFFICIENT_PRIVILEGE


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("runner", "select analytics.refresh_star(), analytics.refresh_weekly(), ops.prune(400)"),
        ("runner", "insert into ops.job_runs (job, scheduled_for, status) values ('x', now(), 'failed')"),
        ("sink", "delete from state.shelf_state"),
        ("app", "delete from config.shelf_policies"),
        ("app", "update config.wh_policies set notes = ''"),
        (
            "debezium",
            "insert into config.debezium_heartbeat values (1, now()) on conflict (id) do update set ts = now()",
        ),
        ("debezium", "select * from config.shelf_profiles"),
    ],
)
def test_a_role_can_do_its_own_work(shared: Settings, role: postgres.Role, statement: str) -> None:
    ask(shared, statement, role=role)


# --- first load ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Path:
    """Generated data of two small stores."""
    from data.build import Order, build

    folder = tmp_path_factory.mktemp("generated")
    build(folder, Order(("S01", "S02"), 0.1, 3, servers.config.sim_start))
    return folder / "db_csv"


def load(config: Settings, folder: Path) -> dict[str, int]:
    with postgres.connect(config) as connection:
        return reference.load(connection, folder)


def test_every_generated_row_is_loaded_once(migrated: Settings, generated: Path) -> None:
    rows = load(migrated, generated)
    assert set(rows) == set(reference.FILES.values())
    for file, table in reference.FILES.items():
        lines = len((generated / file).read_text().splitlines()) - 1
        assert rows[table] == lines
        assert ask(migrated, f"select count(*) from {table}") == [(lines,)]
    assert ask(migrated, "select distinct store_id from config.shelf_profiles order by 1") == [("S01",), ("S02",)]
    assert load(migrated, generated) == {}


def test_what_people_have_changed_or_deleted_since_stays_so(migrated: Settings, generated: Path) -> None:
    load(migrated, generated)
    ask(migrated, "delete from config.shelf_policies")
    ask(migrated, "update config.shelf_profiles set maximum_stock = 1")
    assert load(migrated, generated) == {}
    assert ask(migrated, "select count(*) from config.shelf_policies") == [(0,)]
    assert ask(migrated, "select distinct maximum_stock from config.shelf_profiles") == [(1,)]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text.replace("30,,80,", "80,,30,", 1), "target_pct must be above threshold_pct"),
        (lambda text: text.replace('"threshold_pct"', '"treshold_pct"', 1), 'column "treshold_pct"'),
        (lambda text: text.replace("30,,80,", "30,,eighty,", 1), 'invalid input syntax.*"eighty"'),
        (lambda text: "", "is empty"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_the_reason_and_nothing_is_loaded(
    migrated: Settings, generated: Path, tmp_path: Path, damage: Any, reason: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(generated, folder)
    file = folder / "shelf_policies.csv"
    whole = file.read_text()
    file.write_text(damage(whole))
    assert file.read_text() != whole
    with pytest.raises(BadInput, match=rf"(?s)shelf_policies\.csv.*{reason}"):
        load(migrated, folder)
    assert ask(migrated, "select count(*) from config.shelf_profiles") == [(0,)]
    file.unlink()
    with pytest.raises(BadInput, match="does not exist"):
        load(migrated, folder)


def test_the_rows_to_wait_for_are_the_stores_own_and_those_for_any_store(migrated: Settings, generated: Path) -> None:
    load(migrated, generated)
    ask(migrated, "insert into config.shelf_policies (item_category, threshold_pct) values ('X', 10), ('Y', 10)")
    shelves = len((generated / "shelf_profiles.csv").read_text().splitlines()) // 2
    with postgres.connect(migrated) as connection:
        rows = reference.config_rows(connection, ("S01", "S02", "S03"))
    own = {"shelf_profiles": shelves, "shelf_policies": 3, "wh_policies": 1}
    assert rows == {"S01": own, "S02": own, "S03": {"shelf_profiles": 0, "shelf_policies": 2, "wh_policies": 0}}


def test_identifiers_are_quoted() -> None:
    assert isinstance(postgres.identifier("config.lanes"), sql.Identifier)
