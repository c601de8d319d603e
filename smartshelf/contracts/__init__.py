"""The single source of every shape and name: envelope, events, rows, topics, tables, ledger.

Nothing else in the repository declares a field, a topic or a primary key; ``render`` derives Spark,
Arrow, Connect, Postgres and Markdown from here, and ``generate --check`` fails when a rendered file
is stale.
"""
