"""How Alembic runs the migrations: on the connection it is given, all of them in its one transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
