"""The first refill of a shelf after a moment, for the question how long an alert waited."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade():
    op.execute(
        "create index shelf_movements_refills on ops.shelf_movements (store_id, shelf_id, timestamp) "
        "where event_type = 'refill'"
    )
