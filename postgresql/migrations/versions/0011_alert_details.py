"""An alert names the expiry date of its lot, or the likely cause of a difference."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade():
    op.execute("alter table ops.alerts add column expiry_date date, add column likely_cause text")
