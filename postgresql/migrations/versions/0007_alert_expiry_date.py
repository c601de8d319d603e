"""An alert about a lot names the lot's expiry date."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade():
    op.execute("alter table ops.alerts add column expiry_date date")
