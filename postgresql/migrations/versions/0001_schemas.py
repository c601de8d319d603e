"""Schemas, and who may do what in them.

The roles themselves are made by `python -m smartshelf.init` before the first migration: their passwords are settings.
Default privileges cover every table that a later migration adds, so that none is forgotten.
"""

from alembic import op

revision = "0001"
down_revision = None

SCHEMAS = {
    "ref": "First-load snapshots of the generated data",
    "config": "What people own: profiles, policies, suppliers; captured by Kafka Connect",
    "state": "Mirrors of the live states, written by Kafka Connect alone",
    "ops": "What the business did: alerts, plans, orders, commands",
    "analytics": "Features, models, discounts and the star schema",
}
READERS = "smartshelf_analyst, smartshelf_app"
WRITTEN_BY_CONNECT = ("state", "ops", "analytics")


def upgrade():
    for schema, about in SCHEMAS.items():
        op.execute(f"create schema {schema}")
        op.execute(f"comment on schema {schema} is '{about}'")
        op.execute(f"grant usage on schema {schema} to {READERS}, smartshelf_sink, smartshelf_debezium")
        op.execute(f"alter default privileges in schema {schema} grant select on tables to {READERS}")
    for schema in WRITTEN_BY_CONNECT:
        op.execute(
            f"alter default privileges in schema {schema} "
            "grant select, insert, update, delete on tables to smartshelf_sink"
        )
    op.execute("alter default privileges in schema config grant select on tables to smartshelf_debezium")
    # Debezium's snapshot and stream of ops.commands, once there is such a table.
    op.execute("alter default privileges in schema ops grant select on tables to smartshelf_debezium")
    op.execute("revoke create on schema public from public")
