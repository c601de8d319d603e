"""The runner of scheduled jobs loads the generated year."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade():
    op.execute("grant usage on schema ref to smartshelf_runner")
    op.execute("grant insert on ref.first_load, analytics.shelf_daily_features to smartshelf_runner")
