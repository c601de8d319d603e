"""Figures that proposals, supplier plans and their alerts give as reasons, and what has arrived of a plan."""

from alembic import op

revision = "0012"
down_revision = "0011"

FIGURES = ("inventory_position", "reorder_point_qty", "order_up_to_qty")
COLUMNS = {
    "ops.order_proposals": FIGURES,
    "ops.wh_supplier_plan": (*FIGURES, "received_qty"),
    "ops.alerts": FIGURES[:2],
}


def upgrade():
    for table, names in COLUMNS.items():
        added = ", ".join(f"add column {name} bigint" for name in names)
        op.execute(f"alter table {table} {added}")
