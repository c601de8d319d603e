"""First load of the generated data into Postgres."""

from __future__ import annotations

from pathlib import Path

from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

from smartshelf.io import postgres

#: File in ``data/db_csv`` -> table.
FILES = {
    "shelf_profiles.csv": "config.shelf_profiles",
    "shelf_policies.csv": "config.shelf_policies",
    "wh_policies.csv": "config.wh_policies",
    "suppliers.csv": "config.suppliers",
    "lanes.csv": "config.lanes",
    "batch_catalog.csv": "config.batch_catalog",
    "store_inventory_snapshot.csv": "ref.store_inventory_snapshot",
    "warehouse_inventory_snapshot.csv": "ref.warehouse_inventory_snapshot",
    "store_batches_snapshot.csv": "ref.store_batches_snapshot",
    "warehouse_batches_snapshot.csv": "ref.warehouse_batches_snapshot",
}

#: Topic -> its table, for the rows that decisions wait for (mark 0).
CONFIG_ROWS = {
    "shelf_profiles": "config.shelf_profiles",
    "shelf_policies": "config.shelf_policies",
    "wh_policies": "config.wh_policies",
}


def unloaded_files(connection: Connection) -> list[str]:
    """Files whose table has not had its first load yet."""
    with connection.cursor() as cursor:
        cursor.execute("select table_name from ref.first_load")
        loaded = {row[0] for row in cursor.fetchall()}
    return [file for file, table in FILES.items() if table not in loaded]


def load(connection: Connection, folder: Path) -> dict[str, int]:
    """COPY what has not been loaded yet from ``folder``; returns rows by table. {} when all was there.

    Runs in the caller's transaction: all tables or none. A table that people have emptied since is left empty, one
    that was filled by other means is left as it is. Raises BadInput naming the file that does not fit.
    """
    rows = {}
    with connection.cursor() as cursor:
        for file in unloaded_files(connection):
            table = FILES[file]
            cursor.execute(f"select exists (select from {table})")
            filled = (cursor.fetchone() or (False,))[0]
            rows[table] = 0 if filled else postgres.copy_csv(connection, table, folder / file)
            cursor.execute("insert into ref.first_load (table_name, row_count) values (%s, %s)", (table, rows[table]))
    return rows


def config_rows(connection: Connection, stores: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Rows by store and configuration topic that concern the store: its own and those for any store."""
    counted: dict[str, dict[str, int]] = {store: {} for store in stores}
    with connection.cursor() as cursor:
        for topic, table in CONFIG_ROWS.items():
            cursor.execute(f"select store_id, count(*) from {table} group by store_id")
            by_store: dict[str | None, int] = dict(cursor.fetchall())
            for store in stores:
                counted[store][topic] = by_store.get(store, 0) + by_store.get(None, 0)
    return counted
